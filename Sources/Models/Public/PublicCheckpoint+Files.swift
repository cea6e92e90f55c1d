public import Formats
internal import Memory
internal import Tensors
internal import Tiles

extension PublicCheckpoint {
  /// What published folders call their weights, by preference.
  private static let weightNames = [
    "model.safetensors", "weights.ckpt", "model.pt", "model.ckpt", "pytorch_model.bin",
  ]

  /// Opens a file of `torch.save` or safetensors, or a folder of one beside its `config.json`.
  ///
  /// - Parameters:
  ///   - path: the file or folder.
  ///   - configuration: path of a `config.json`; by default that of the folder, or what a training framework keeps in the
  ///     file as `hyper_parameters`.
  ///   - foreign: what to do with objects of Python's in the file.
  /// - Throws: as ``init(_:configuration:hints:)``, and what is wrong with the files.
  public init(
    path: String, configuration: String? = nil, hints: PublicHints = PublicHints(),
    foreign: PyTorchFile.ForeignObjects = .refused
  ) throws {
    var (file, settings) = (path, configuration)
    if FileKind(path: path) == .directory {
      let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
      let found = Self.weightNames.map { "\(folder)/\($0)" }.first { FileKind(path: $0) == .file }
      guard let found else {
        throw FormatError.missingFile(
          directory: path, name: Self.weightNames.joined(separator: " or "), remedy: "Name the file itself.")
      }
      file = found
      let own = "\(folder)/config.json"
      if settings == nil, FileKind(path: own) == .file { settings = own }
    }
    var stated: JSONNode?
    if let settings { stated = JSONNode(try JSON.read(settings), file: settings) }
    guard try PyTorchFile.isLikely(path: file) else {
      try self.init(Safetensors(path: file), configuration: stated, hints: hints)
      return
    }
    let tensors = try PyTorchFile(path: file, foreign: foreign)
    if stated == nil, let kept = tensors.settings["hyper_parameters"], kept.object != nil {
      stated = JSONNode(kept, file: "\(file) (hyper_parameters)")
    }
    try self.init(tensors, configuration: stated, hints: hints)
  }

  /// Writes a network in the form in which `godwit train` keeps checkpoints: float32, with the settings in the header.
  ///
  /// - Parameters:
  ///   - network: from ``network(on:)``.
  ///   - tokenizer: `bytes`, or the contents of a `tokenizer.json`, which continuing prompts takes.
  /// - Throws: ``Formats/FormatError``; `path` is then as it was.
  public func save(_ network: SequenceNetwork, tokenizer: String? = nil, to path: String) throws {
    let executor = network.parameters.device.executor
    let tensors = try network.parameters.parameters.map { parameter in
      (name: parameter.name, tensor: try executor.fetch(parameter.variable.value))
    }
    let origin: JSON = ["converted": ["file": .string(file), "layout": .string(layout.rawValue)]]
    var metadata = [
      "godwit.model": try settings.json.serialized(), "godwit.recipe": try origin.serialized(),
      "godwit.step": "0", "godwit.seed": "0", "format": "pt",
    ]
    metadata["godwit.tokenizer"] = tokenizer
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
  }
}
