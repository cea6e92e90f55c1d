public import Formats
internal import Tensors

extension PublicCheckpoint {
  /// Opens a file or folder; see ``PublicFile/init(path:configuration:foreign:)``.
  ///
  /// - Throws: as ``init(_:configuration:hints:)``, and what is wrong with the files.
  public init(
    path: String, configuration: String? = nil, hints: PublicHints = PublicHints(),
    foreign: PyTorchFile.ForeignObjects = .refused
  ) throws {
    let file = try PublicFile(path: path, configuration: configuration, foreign: foreign)
    try self.init(file.tensors, configuration: file.configuration, hints: hints)
  }

  /// Writes a network in the form in which `godwit train` keeps checkpoints: float32, with the settings in the header.
  ///
  /// - Parameters:
  ///   - network: from ``network(on:)``.
  ///   - tokenizer: `bytes`, or the contents of a `tokenizer.json`, which continuing prompts takes.
  /// - Throws: ``Formats/FormatError``, and ``ModelError`` for settings that such a checkpoint cannot have; `path` is then as it was.
  public func save(_ network: SequenceNetwork, tokenizer: String? = nil, to path: String) throws {
    try settings.json.requireReadable(as: settings, file) { try SequenceSettings($0) }
    try network.parameters.save(
      model: settings.json, origin: (file, layout.rawValue), tokenizer: tokenizer, to: path)
  }
}
