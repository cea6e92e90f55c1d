public import Memory

/// A GGUF file of version 2 or 3: metadata and tensors, both read in place from the mapping.
///
/// Opening walks the header once (arrays are skipped, strings of the vocabulary are read only when asked for) and
/// checks every count, size and offset against the file's real size before anything is allocated.
public struct GGUF: Sendable {
  /// The mapped file, or bytes in memory.
  public let storage: TensorStorage
  /// Path or name, for messages.
  public let name: String
  /// Format version.
  public let version: Int
  /// Metadata in the file's order.
  public let metadata: [(key: String, value: GGUFValue)]
  /// Descriptions of the tensors in the file's order.
  public let tensors: [TensorInfo]
  private let valueIndex: [String: Int]
  private let tensorIndex: [String: Int]

  /// A tensor as the file describes it.
  public struct TensorInfo: Sendable, Equatable {
    public let name: String
    /// Row-major extents: the file's dimensions reversed.
    public let shape: [Int]
    /// Number of the element type in the file, and what it is where Godwit knows it.
    public let typeNumber: UInt32
    public let type: ElementType?
    /// Absolute byte offset, and bytes (0 for unknown types).
    public let offset: Int
    public let byteCount: Int
  }

  /// Most dimensions a tensor may have.
  public static let maximumDimensions = 4
  /// Longest key and tensor name.
  public static let maximumNameBytes = 65_535
  static let magic: UInt32 = 0x4655_4747

  /// Opens and checks a file.
  ///
  /// - Throws: ``FormatError``, saying what is wrong and where.
  public init(path: String) throws(FormatError) {
    let file: MappedFile
    do { file = try MappedFile(path: path) } catch {
      throw .unreadable(file: path, reason: error.description)
    }
    try self.init(file, name: path)
  }

  /// Checks bytes that are there already.
  ///
  /// - Throws: ``FormatError``, saying what is wrong and where.
  public init(_ storage: TensorStorage, name: String) throws(FormatError) {
    self.storage = storage
    self.name = name
    var parser = GGUFParser(storage, file: name)
    try parser.parse()
    version = parser.version
    metadata = parser.metadata
    tensors = parser.tensors
    valueIndex = parser.keys
    tensorIndex = parser.names
  }

  /// The value of a key, `nil` where it is absent.
  public subscript(key: String) -> GGUFValue? { valueIndex[key].map { metadata[$0].value } }

  /// The named tensor's numbers, in place.
  ///
  /// - Throws: ``FormatError/missing(file:key:)``; ``FormatError/unsupported(file:what:)`` for element types
  ///   that are not read.
  public func tensor(_ name: String) throws(FormatError) -> Tensor {
    guard let number = tensorIndex[name] else { throw .missing(file: self.name, key: "tensor \(name)") }
    let info = tensors[number]
    guard let type = info.type else {
      throw .unsupported(file: self.name, what: "type number \(info.typeNumber) of tensor \(name)")
    }
    do {
      return try Tensor(storage, byteOffset: info.offset, type: type, shape: info.shape)
    } catch {
      throw .malformed(file: self.name, reason: "tensor \(name): \(error.description)")
    }
  }

  /// Whether the file has that tensor.
  public func hasTensor(_ name: String) -> Bool { tensorIndex[name] != nil }
}
