internal import ArgumentParser
internal import Formats
internal import Train

/// A checkpoint's network alone.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a trained network alone, in 16 bits.",
    discussion: """
      What `godwit generate` and `godwit eval` need of a checkpoint, in a sixth of its size. It cannot be trained further.

        godwit export runs/code-hyena-seed0/checkpoint.safetensors --out hyena.safetensors
      """)

  @Argument(help: "A checkpoint of `godwit train`.")
  var checkpoint: String

  @Option(help: "The file to write.")
  var out: String

  @Flag(help: "Print one JSON line.")
  var json = false

  func run() throws {
    try Files.requireOther(out, than: [checkpoint])
    let source = try Checkpoint(path: checkpoint)
    try source.export(to: out)
    let bytes = try Safetensors(path: out).tensors.reduce(0) { $0 + $1.byteCount }
    if json {
      Output.json(["out": JSONField(out), "bytes": JSONField(bytes), "step": JSONField(source.step)])
    } else {
      Output.write("\(out): \(bytes) bytes of parameters, of step \(source.step)\n")
    }
  }
}
