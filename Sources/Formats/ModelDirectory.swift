internal import Memory

/// What a path given as a model is; files are told by their first bytes, not by their names.
public enum ModelSource: Sendable {
  /// A GGUF file, maybe the first of several.
  case gguf(path: String)
  /// A single safetensors file: tensors without settings or tokenizer.
  case safetensors(path: String)
  /// A folder as the hub lays it out.
  case directory(ModelDirectory)

  /// Looks at `path` without opening the model.
  ///
  /// - Throws: ``FormatError/unreadable(file:reason:)``, ``FormatError/wrongFormat(file:expected:found:)``, and
  ///   what ``ModelDirectory/init(path:)`` throws.
  public init(path: String) throws(FormatError) {
    if FileKind(path: path) == .directory {
      self = .directory(try ModelDirectory(path: path))
      return
    }
    let file = try mapped(path)
    let bytes = file.bytes
    let head = (0..<min(9, bytes.count)).map { bytes[$0] }
    if head.starts(with: "GGUF".utf8) {
      self = .gguf(path: path)
    } else if head.count == 9, head[8] == UInt8(ascii: "{") {
      self = .safetensors(path: path)
    } else {
      let pickle = head.starts(with: "PK".utf8) || head.first == 0x80
      let hexadecimal = head.prefix(4).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      throw .wrongFormat(
        file: path, expected: "GGUF or safetensors",
        found: pickle
          ? "the mark of a Python pickle or archive, which can run code and is not opened"
          : "bytes \(hexadecimal.joined(separator: " "))")
    }
  }
}

/// A model's folder as the Hugging Face hub lays it out: settings, tokenizer and weights in separate files.
public struct ModelDirectory: Sendable {
  /// Where the tensors are.
  public enum Weights: Sendable, Equatable {
    /// One safetensors file.
    case single(path: String)
    /// Several, named by an index.
    case sharded(index: String)
  }

  /// The folder, as given.
  public let path: String
  /// Path of `config.json`.
  public let config: String
  /// The tensors.
  public let weights: Weights

  /// Finds the files that every model needs.
  ///
  /// - Throws: ``FormatError/missingFile(directory:name:remedy:)`` naming the first that is missing.
  public init(path: String) throws(FormatError) {
    let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = trimmed
    guard let config = Self.file("config.json", in: trimmed) else {
      throw .missingFile(
        directory: path, name: "config.json", remedy: "Give the folder of a model as the hub lays it out.")
    }
    self.config = config
    if let index = Self.file("model.safetensors.index.json", in: trimmed) {
      weights = .sharded(index: index)
    } else if let single = Self.file("model.safetensors", in: trimmed) {
      weights = .single(path: single)
    } else {
      let pickle =
        Self.file("pytorch_model.bin", in: trimmed) ?? Self.file("pytorch_model.bin.index.json", in: trimmed)
      throw .missingFile(
        directory: path, name: "model.safetensors or model.safetensors.index.json",
        remedy: pickle == nil
          ? "Download the weights too."
          : "pytorch_model.bin is a pickle, which can run code and is not opened: convert it to safetensors.")
    }
  }

  /// The path of a file in the folder, such as `generation_config.json`; `nil` when it is not there.
  ///
  /// - Precondition: `name` is a plain name.
  public func file(_ name: String) -> String? {
    precondition(!name.utf8.contains(UInt8(ascii: "/")), "\(name) is not a plain name")
    return Self.file(name, in: path)
  }

  /// The path of a file in the folder.
  ///
  /// - Throws: ``FormatError/missingFile(directory:name:remedy:)``.
  public func requiredFile(_ name: String) throws(FormatError) -> String {
    guard let path = file(name) else {
      throw .missingFile(directory: path, name: name, remedy: "Download it too.")
    }
    return path
  }

  /// Opens the tensors.
  public func openWeights() throws(FormatError) -> Safetensors {
    switch weights {
    case .single(let path): try Safetensors(path: path)
    case .sharded(let index): try Safetensors(index: index)
    }
  }

  private static func file(_ name: String, in directory: String) -> String? {
    let path = "\(directory)/\(name)"
    return FileKind(path: path) == .file ? path : nil
  }
}

/// Reading a whole text at once.
public enum TextFile {
  /// Longest text read by default, in bytes.
  public static let defaultLimit = 1 << 28

  /// The text of a UTF-8 file of at most `limit` bytes.
  public static func read(_ path: String, limit: Int = defaultLimit) throws(FormatError) -> String {
    let file = try mapped(path)
    try requireSize(file, limit: limit)
    return try utf8Text(file.bytes, file: path, item: "the text")
  }

  fileprivate static func requireSize(_ file: MappedFile, limit: Int) throws(FormatError) {
    guard file.byteCount <= limit else {
      throw .tooLarge(
        file: file.path, item: "the file's size in bytes", limit: limit, found: UInt64(file.byteCount))
    }
  }
}

extension JSON {
  /// Parses a file of at most `limit` bytes.
  public static func read(
    _ path: String, limit: Int = TextFile.defaultLimit, duplicateKeys: DuplicateKeys = .refused
  ) throws(FormatError) -> JSON {
    let file = try mapped(path)
    try TextFile.requireSize(file, limit: limit)
    return try parse(file.bytes, file: path, duplicateKeys: duplicateKeys)
  }
}
