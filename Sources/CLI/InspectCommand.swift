internal import ArgumentParser
internal import Formats
internal import Memory

/// What is in a model file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "What is in a model file.",
    discussion: "  godwit inspect model.gguf --tensors")

  @Argument(help: "A GGUF file, or a catalogue name.")
  var path: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Print a JSON line.")
  var json = false

  func run() throws {
    var options = ModelOptions()
    options.model = path
    let file = try GGUF(path: try options.path())
    let bytes = file.tensors.reduce(0) { $0 + ($1.byteCount ?? 0) }
    if json {
      Output.json([
        "file": JSONField(file.file), "version": JSONField(Int(file.version)),
        "keys": JSONField(file.metadata.keys.count),
        "tensors": JSONField(file.tensors.count), "tensor_bytes": JSONField(bytes),
      ])
      return
    }
    Output.write("GGUF \(file.version), \(file.tensors.count) tensors, \(bytes) bytes of weights\n")
    for key in file.metadata.keys { Output.write("\(key) = \(try file.metadata.summary(key))\n") }
    for tensor in file.tensors where tensors {
      Output.write("\(tensor.name)  \(tensor.type.name)  \(tensor.shape)\n")
    }
  }
}
