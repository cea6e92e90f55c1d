public import Memory

/// What a tensor's numbers in a safetensors file are.
///
/// Types without ``elementType`` can be listed but not computed with.
public struct SafetensorsType: Sendable, Hashable {
  /// The file's word for it, such as `BF16`.
  public let name: String
  /// Bits of one number.
  public let bits: Int
  /// The type as tensors have it; `nil` when it is not supported.
  public let elementType: ElementType?

  /// `nil` for a word that the format does not define.
  public init?(name: String) {
    guard let known = Self.known[name] else { return nil }
    self.name = name
    bits = known.bits
    elementType = known.type
  }

  /// `nil` for block types, which the format cannot express.
  public init?(_ type: ElementType) {
    guard let entry = Self.known.first(where: { $0.value.type == type }) else { return nil }
    name = entry.key
    bits = entry.value.bits
    elementType = type
  }

  private static let known: [String: (bits: Int, type: ElementType?)] = [
    "BOOL": (8, .boolean), "U8": (8, .uint8), "I8": (8, .int8), "I16": (16, .int16), "I32": (32, .int32),
    "I64": (64, .int64), "F16": (16, .float16), "BF16": (16, .bfloat16), "F32": (32, .float32),
    "F64": (64, .float64),
    "U16": (16, nil), "U32": (32, nil), "U64": (64, nil), "C64": (64, nil), "F8_E4M3": (8, nil),
    "F8_E5M2": (8, nil), "F8_E8M0": (8, nil), "F6_E2M3": (6, nil), "F6_E3M2": (6, nil), "F4": (4, nil),
  ]
}

/// One tensor of a safetensors file: what it is and where, without touching its numbers.
public struct SafetensorsInfo: Sendable {
  /// Unique within the model.
  public let name: String
  /// Row-major extents; empty for a scalar, and an extent may be 0.
  public let shape: [Int]
  /// What the numbers are.
  public let type: SafetensorsType
  /// Bytes from the start of its file.
  public let byteOffset: Int
  /// Size in the file.
  public let byteCount: Int
  /// Which file of a sharded model holds it.
  public let shard: Int
}
