public import Formats
internal import Memory
internal import Tensors
internal import Tiles

/// A published checkpoint as it lies on disk: its tensors, and what is said about them beside.
public struct PublicFile {
  /// The tensors.
  public let tensors: any NamedTensors
  /// A `config.json`, or what a training framework keeps in the file in its place; `nil` where there is neither.
  public let configuration: JSONNode?

  /// What published folders call their weights, by preference. `model.bin` holds safetensors.
  private static let weightNames = [
    "model.safetensors", "weights.ckpt", "model.pt", "model.ckpt", "pytorch_model.bin", "model.bin",
  ]

  /// Opens a file of `torch.save` or safetensors, or a folder of one beside its `config.json`.
  ///
  /// - Parameters:
  ///   - path: the file or folder.
  ///   - configuration: path of a `config.json`; by default that of the folder, or what a training framework keeps in the
  ///     file as `hyper_parameters`.
  ///   - foreign: what to do with objects of Python's in the file.
  /// - Throws: what is wrong with the files.
  public init(
    path: String, configuration: String? = nil, foreign: PyTorchFile.ForeignObjects = .refused
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
    if try PyTorchFile.isLikely(path: file) {
      let found = try PyTorchFile(path: file, foreign: foreign)
      if stated == nil, let kept = found.settings["hyper_parameters"], kept.object != nil {
        stated = JSONNode(kept, file: "\(file) (hyper_parameters)")
      }
      tensors = found
    } else {
      tensors = try Safetensors(path: file)
    }
    self.configuration = stated
  }
}

extension JSON {
  /// Checks that a checkpoint with these settings can be read again, as what it was written from.
  ///
  /// - Throws: what is wrong with a setting, which may be within bounds of tensors alone.
  func requireReadable<Settings: Equatable>(
    as settings: Settings, _ file: String, _ read: (JSONNode) throws -> Settings
  ) throws {
    guard try read(JSONNode(self, file: "\(file), as a checkpoint of Godwit")) == settings else {
      throw ModelError.unsupported(feature: "\(file): a network whose settings no checkpoint of Godwit holds")
    }
  }
}

extension ParameterSet {
  /// Writes the parameters in the form in which `godwit train` keeps checkpoints: float32, with the settings in the header.
  ///
  /// - Parameters:
  ///   - model: the settings.
  ///   - origin: the published file, and its layout.
  ///   - tokenizer: `bytes`, or the contents of a `tokenizer.json`, which continuing prompts takes.
  /// - Throws: ``Formats/FormatError``; `path` is then as it was.
  func save(
    model: JSON, origin: (file: String, layout: String), tokenizer: String?, to path: String
  ) throws {
    let tensors = try parameters.map { parameter in
      (name: parameter.name, tensor: try device.executor.fetch(parameter.variable.value))
    }
    let recipe: JSON = ["converted": ["file": .string(origin.file), "layout": .string(origin.layout)]]
    var metadata = [
      "godwit.model": try model.serialized(), "godwit.recipe": try recipe.serialized(),
      "godwit.step": "0", "godwit.seed": "0", "format": "pt",
    ]
    metadata["godwit.tokenizer"] = tokenizer
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
  }
}
