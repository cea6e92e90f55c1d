public import Memory

/// A model in GGUF files, version 2 or 3, little-endian: metadata and named tensors, without copying any.
///
/// Every number in the headers is checked against the files' real size when the model is opened; afterwards only
/// values can be missing or of the wrong type.
public struct GGUF: Sendable {
  /// Most tensors in one file: above it a header is taken for damaged.
  public static let maximumTensors = 1 << 20
  /// Most metadata keys in one file.
  public static let maximumKeys = 1 << 16
  /// Longest key, in bytes, as the format's description has it.
  public static let maximumKeyBytes = 65_535
  /// Longest tensor name, in bytes; usual tools write at most 63, some builds of them 127.
  public static let maximumTensorNameBytes = 1024
  /// Most axes of a tensor.
  public static let maximumAxes = 4
  /// Largest alignment of tensor data, in bytes.
  public static let maximumAlignment = 1 << 20
  /// Most files of a split model.
  public static let maximumParts = 1000

  /// Keys and values; of a split model those of its first file.
  public let metadata: GGUFMetadata
  /// All tensors, file by file, in the files' order.
  public let tensors: [GGUFTensorInfo]
  /// The format's version.
  public let version: UInt32
  /// What error messages call the model: the first file's path.
  public let file: String

  private let storages: [TensorStorage]
  private let files: [String]
  private let positions: [String: Int]

  /// Maps and checks a file, and its sisters `-00002-of-0000N` if it is the first of a split model.
  public init(path: String) throws(FormatError) {
    var parts = [try GGUFPart(try mapped(path), file: path, part: 0)]
    if let count = try Self.splitCount(parts[0]), count > 1 {
      for part in 1..<count {
        let sister = try Self.sister(of: path, part: part, count: count)
        parts.append(try GGUFPart(try mapped(sister), file: sister, part: part))
      }
      try Self.requireAgreement(parts)
    }
    try self.init(parts)
  }

  /// Checks a single file that already lies in memory; `name` is what error messages call it.
  public init(_ storage: TensorStorage, name: String) throws(FormatError) {
    let part = try GGUFPart(storage, file: name, part: 0)
    if let count = try Self.splitCount(part), count > 1 {
      throw .malformed(
        file: name, item: "split.count", reason: "it is \(count); open a split model by its path")
    }
    try self.init([part])
  }

  private init(_ parts: [GGUFPart]) throws(FormatError) {
    let tensors = parts.flatMap(\.tensors)
    var positions: [String: Int] = [:]
    for (position, tensor) in tensors.enumerated() {
      guard positions.updateValue(position, forKey: tensor.name) == nil else {
        throw .duplicate(file: parts[tensor.part].file, item: "tensor", name: tensor.name)
      }
    }
    metadata = parts[0].metadata
    version = parts[0].version
    file = parts[0].file
    storages = parts.map(\.storage)
    files = parts.map(\.file)
    self.tensors = tensors
    self.positions = positions
  }

  /// What the file says of a tensor; `nil` when there is none of this name.
  public func info(_ name: String) -> GGUFTensorInfo? { positions[name].map { tensors[$0] } }

  /// Whether there is a tensor of this name.
  public func contains(_ name: String) -> Bool { positions[name] != nil }

  /// The tensor, its numbers still in the file: shape row-major, the file's first dimension last.
  ///
  /// - Throws: ``FormatError/missingTensor(file:name:)``, ``FormatError/unsupportedType(file:tensor:type:)``,
  ///   ``FormatError/misaligned(file:tensor:offset:alignment:)``.
  public func tensor(_ name: String) throws(FormatError) -> Tensor {
    guard let info = info(name) else { throw .missingTensor(file: file, name: name) }
    guard let type = info.type.elementType else {
      throw .unsupportedType(file: files[info.part], tensor: name, type: info.type.name)
    }
    return try view(
      storages[info.part], file: files[info.part], name: name, byteOffset: info.byteOffset, type: type,
      shape: info.shape)
  }
}

extension GGUF {
  /// Number of files of the model that `part` says it belongs to; refuses to start anywhere but at the first.
  private static func splitCount(_ part: GGUFPart) throws(FormatError) -> Int? {
    guard let count = try part.metadata.integerIfPresent("split.count") else { return nil }
    guard (0...maximumParts).contains(count) else {
      throw .wrongValue(
        file: part.file, key: "split.count", expected: "0 to \(maximumParts)", found: "\(count)")
    }
    let number = try part.metadata.integerIfPresent("split.no") ?? 0
    guard number == 0 else {
      throw .wrongValue(
        file: part.file, key: "split.no", expected: "0: open the first file of a split model",
        found: "\(number)")
    }
    return count
  }

  /// Path of another file of the model whose first is `path`.
  private static func sister(of path: String, part: Int, count: Int) throws(FormatError) -> String {
    let ending = "-\(fiveDigits(1))-of-\(fiveDigits(count)).gguf"
    guard path.utf8.count > ending.utf8.count, path.hasSuffix(ending) else {
      throw .malformed(
        file: path, item: "split.count",
        reason: "the first of \(count) files must be named \"…\(ending)\"; rename it and its sisters")
    }
    let sister = path.dropLast(ending.count) + "-\(fiveDigits(part + 1))-of-\(fiveDigits(count)).gguf"
    guard FileKind(path: String(sister)) == .file else {
      throw .missingFile(
        directory: path, name: String(sister),
        remedy: "All \(count) files of a split model must lie together.")
    }
    return String(sister)
  }

  private static func fiveDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func requireAgreement(_ parts: [GGUFPart]) throws(FormatError) {
    for (position, part) in parts.enumerated() {
      for (key, value) in [("split.no", position), ("split.count", parts.count)] {
        let found = try part.metadata.integer(key)
        guard found == value else {
          throw .wrongValue(file: part.file, key: key, expected: "\(value)", found: "\(found)")
        }
      }
    }
    let total = parts.reduce(0) { $0 + $1.tensors.count }
    guard let promised = try parts[0].metadata.integerIfPresent("split.tensors.count") else { return }
    guard promised == total else {
      throw .wrongValue(
        file: parts[0].file, key: "split.tensors.count", expected: "\(total), as the files hold",
        found: "\(promised)")
    }
  }
}
