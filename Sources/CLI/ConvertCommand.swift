internal import ArgumentParser
internal import Formats
internal import Models
internal import Tensors
internal import TilesCPU
internal import Tokenizers

/// Makes a checkpoint of this program out of a published one.
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Make a checkpoint out of a published one of H3, Hyena, HyenaDNA or M2-BERT.",
    discussion: """
      Reads files of torch.save (nothing in them is run) and safetensors. What a file does not say is asked for.

        godwit convert H3-125M/model.pt --tokenizer gpt2/tokenizer.json --out models/h3-125m
        godwit generate --model models/h3-125m/checkpoint.safetensors --prompt "The longest flight"
        godwit convert hyenadna-tiny-1k --out models/hyenadna --window-shift 0.05
        godwit convert hyena-small/model.ckpt --out models/hyena --no-window --skip-objects --json
        godwit convert m2-bert-80M-8k-retrieval --tokenizer bert/tokenizer.json --out models/m2-bert
      """)

  @Argument(
    help:
      "A file such as model.pt, weights.ckpt or model.safetensors, or a folder of one with its config.json.")
  var checkpoint: String

  @Option(help: "Folder for checkpoint.safetensors.")
  var out: String

  @Option(help: "Path of its config.json, where it does not lie in the same folder.")
  var config: String?

  @Option(
    help: "bytes, or a tokenizer.json, which `godwit generate` needs; GPT-2's for the published H3 and Hyena."
  )
  var tokenizer: String?

  @Option(help: "Heads of attention, where layers have it.")
  var heads: Int?

  @Option(help: "Longest sequence.")
  var longest: Int?

  @Option(help: "Different tokens; by default the rows of the embedding.")
  var vocabulary: Int?

  @Flag(inversion: .prefixedNo, help: "Whether the filters of Hyena have their window (modulate).")
  var window: Bool?

  @Option(
    help: "What is added to the window (shift): 0 in training code, 0.05 in HyenaDNA's published loaders.")
  var windowShift: Float?

  @Flag(
    help:
      "Leave out objects of Python that are no tensors, which checkpoints of training hold. Nothing is run.")
  var skipObjects = false

  @Flag(help: "Replace a checkpoint that is in the folder, and take away what was measured of it.")
  var overwrite = false

  @Flag(help: "Print a JSON line.")
  var json = false

  func validate() throws {
    for (name, value) in [("heads", heads), ("longest", longest), ("vocabulary", vocabulary)] {
      guard let value, !(1...1 << 24).contains(value) else { continue }
      throw ValidationError("--\(name) must be from 1 to \(1 << 24).")
    }
    if let windowShift, !windowShift.isFinite { throw ValidationError("--window-shift must be a number.") }
    if window == false, windowShift != nil {
      throw ValidationError("--no-window and --window-shift exclude each other.")
    }
  }

  func run() throws {
    let folder = RunFolder(path: out)
    if folder.isUsed, !overwrite {
      throw CommandFailure("\(folder.path) has a checkpoint. Name another folder, or add --overwrite.")
    }
    if folder.holdsForeignMeasurements, !overwrite {
      throw CommandFailure(
        "\(folder.path) has measurements of a run whose checkpoint is not there. Name another folder, or add --overwrite."
      )
    }
    let description = try tokenizer.map { $0 == "bytes" ? $0 : try Files.text($0) }
    let file = try PublicFile(
      path: checkpoint, configuration: config, foreign: skipObjects ? .skipped : .refused)
    if PublicMonarchMixer.isLikely(file.tensors) { return try convertEncoder(file, description, folder) }
    var hints = PublicHints()
    (hints.heads, hints.longest, hints.vocabulary) = (heads, longest, vocabulary)
    (hints.hasWindow, hints.windowShift) = (window, windowShift)
    let found = try PublicCheckpoint(file.tensors, configuration: file.configuration, hints: hints)
    try requireRoom(for: description, found.settings.vocabularySize)
    let network = try found.network(on: Device(try CPUExecutor(threads: 1)))
    try folder.prepare()
    // First: what is there in between is never a network with the measurements of another.
    try folder.clearMeasurements()
    try found.save(network, tokenizer: description, to: folder.checkpoint)
    try report(found, network, folder)
  }

  private func requireRoom(for description: String?, _ vocabulary: Int) throws {
    guard let description, let tokenizer else { return }
    let tokens = try Tokenizer(description: description, file: tokenizer).vocabularySize
    guard tokens <= vocabulary else {
      throw CommandFailure("\(tokenizer) has \(tokens) tokens, the network \(vocabulary).")
    }
  }

  /// M2-BERT, whose settings all stand in its tensors.
  private func convertEncoder(_ file: PublicFile, _ description: String?, _ folder: RunFolder) throws {
    let stated = [
      ("heads", heads != nil), ("longest", longest != nil), ("vocabulary", vocabulary != nil),
      ("window", window != nil), ("window-shift", windowShift != nil),
    ].filter(\.1)
    if let first = stated.first {
      throw CommandFailure("--\(first.0) says nothing of M2-BERT, whose tensors tell it. Leave it out.")
    }
    let found = try PublicMonarchMixer(file.tensors, configuration: file.configuration)
    try requireRoom(for: description, found.settings.vocabularySize)
    try folder.prepare()
    try folder.clearMeasurements()
    let count = try found.save(
      on: Device(try CPUExecutor(threads: 1)), tokenizer: description, to: folder.checkpoint)
    guard !json else {
      return Output.json([
        "file": JSONField(found.file), "layout": JSONField(found.layout), "parameters": JSONField(count),
        "model": try JSONField(found.settings.json), "assumed": try JSONField(.array([])),
        "left_out": JSONField(found.outside.count), "checkpoint": JSONField(folder.checkpoint),
      ])
    }
    Output.write(
      "\(found.file): \(found.layout), \(count) parameters, \(found.settings.layers) layers of width "
        + "\(found.settings.width), sequences of up to \(found.settings.longest)\n")
    reportOutside(found.outside)
    Output.write("checkpoint \(folder.checkpoint)\n")
  }

  private func reportOutside(_ names: [String]) {
    guard let first = names.first else { return }
    Output.write("left out   \(names.count) tensors outside the network, such as \(first)\n")
  }

  private func report(_ found: PublicCheckpoint, _ network: SequenceNetwork, _ folder: RunFolder) throws {
    if json {
      return Output.json([
        "file": JSONField(found.file), "layout": JSONField(found.layout.rawValue),
        "parameters": JSONField(network.parameters.count), "model": try JSONField(found.settings.json),
        "assumed": try JSONField(.array(found.assumptions.map { .string($0) })),
        "left_out": JSONField(found.outside.count), "checkpoint": JSONField(folder.checkpoint),
      ])
    }
    let settings = found.settings
    Output.write(
      "\(found.file): \(found.layout.rawValue), \(network.parameters.count) parameters, \(settings.layers) layers of "
        + "width \(settings.width), sequences of up to \(settings.longest)\n")
    for assumption in found.assumptions { Output.write("assumed    \(assumption)\n") }
    reportOutside(found.outside)
    Output.write("checkpoint \(folder.checkpoint)\n")
  }
}
