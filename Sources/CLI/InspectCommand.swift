internal import ArgumentParser
internal import Formats
internal import Memory

/// What is in a model file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "What is in a model file.",
    discussion: "  godwit inspect model.gguf --tensors")

  @Argument(
    help:
      "A GGUF, safetensors or PyTorch file, a model folder, or a catalogue name. Nothing in a file is run.")
  var path: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Leave out objects of Python that are no tensors, which checkpoints of training hold.")
  var skipObjects = false

  @Flag(help: "Print a JSON line.")
  var json = false

  func run() throws {
    var options = ModelOptions()
    options.model = path
    if FileKind(path: path) == .file, try PyTorchFile.isLikely(path: path) {
      return try show(PyTorchFile(path: path, foreign: skipObjects ? .skipped : .refused))
    }
    switch try ModelSource(path: try options.path()) {
    case .gguf(let path): try show(GGUF(path: path))
    case .safetensors(let path): try show(Safetensors(path: path))
    case .directory(let directory):
      _ = try JSON.read(directory.config)
      try show(directory.openWeights())
    }
  }

  private func show(_ file: GGUF) throws {
    let bytes = file.tensors.reduce(0) { $0 + ($1.byteCount ?? 0) }
    if json {
      return summarise(
        file.file, "gguf \(file.version)", keys: file.metadata.keys.count, tensors: file.tensors.count, bytes)
    }
    Output.write("GGUF \(file.version), \(file.tensors.count) tensors, \(bytes) bytes of weights\n")
    for key in file.metadata.keys { try line("\(key) = \(file.metadata.summary(key))") }
    for tensor in file.tensors where tensors {
      line("\(tensor.name)  \(tensor.type.name)  \(tensor.shape)")
    }
  }

  private func show(_ file: Safetensors) {
    let bytes = file.tensors.reduce(0) { $0 + $1.byteCount }
    if json {
      return summarise(
        file.file, "safetensors", keys: file.metadata.count, tensors: file.tensors.count, bytes)
    }
    Output.write("safetensors, \(file.tensors.count) tensors, \(bytes) bytes of weights\n")
    for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) { line("\(key) = \(value)") }
    for tensor in file.tensors where tensors {
      line("\(tensor.name)  \(tensor.type.name)  \(tensor.shape)")
    }
  }

  private func show(_ file: PyTorchFile) throws {
    // Tied weights lie in the file once.
    let sizes = Dictionary(file.tensors.map { ($0.byteOffset, $0.byteCount) }) { max($0, $1) }
    // Views that repeat numbers may claim any size.
    let bytes = Sizes.sum(sizes.values)
    if json {
      return summarise(
        file.file, "pytorch", keys: file.settings.object?.count ?? 0, tensors: file.tensors.count, bytes)
    }
    Output.write("PyTorch, \(file.tensors.count) tensors, \(bytes) bytes of weights\n")
    for member in file.settings.object?.members ?? [] {
      line("\(member.key) = \(member.value.summary)")
    }
    for name in file.foreign { line("left out: object of \(name)") }
    for tensor in file.tensors where tensors {
      line("\(tensor.name)  \(tensor.type.name)  \(tensor.shape)")
    }
  }

  /// Writes a line of what a file says.
  private func line(_ text: String) { Output.write(Output.visible(text) + "\n") }

  private func summarise(_ file: String, _ format: String, keys: Int, tensors: Int, _ bytes: Int) {
    Output.json([
      "file": JSONField(file), "format": JSONField(format), "keys": JSONField(keys),
      "tensors": JSONField(tensors), "tensor_bytes": JSONField(bytes),
    ])
  }
}
