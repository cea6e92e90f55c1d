public import Memory

/// What a metadata value of a GGUF file is; raw values are the file's codes.
public enum GGUFValueType: UInt32, Sendable, CaseIterable {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// Bytes of one value; `nil` for strings and arrays, whose size varies.
  public var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }
}

/// What a tensor's numbers in a GGUF file are.
///
/// Types without ``elementType`` can be listed but not computed with.
public struct GGUFTensorType: Sendable, Hashable {
  /// The file's code.
  public let code: UInt32

  /// Codes above this are damage, not a type yet to be invented.
  public static let maximumCode: UInt32 = 255

  /// The type's name, as other tools print it.
  public var name: String { Self.known[code]?.name ?? "type \(code)" }

  /// Numbers and bytes of a block; `nil` for a code unknown to this reader.
  public var block: (elements: Int, bytes: Int)? {
    Self.known[code].map { ($0.elements, $0.bytes) }
  }

  /// The type as tensors have it; `nil` when it is not supported.
  public var elementType: ElementType? { Self.known[code]?.type }

  private struct Known {
    var name: String
    var elements: Int
    var bytes: Int
    var type: ElementType?

    init(_ name: String, _ elements: Int, _ bytes: Int, _ type: ElementType? = nil) {
      self.name = name
      self.elements = elements
      self.bytes = bytes
      self.type = type
    }
  }

  /// Codes 4, 5, 31 to 33 and 36 to 38 were withdrawn.
  private static let known: [UInt32: Known] = [
    0: Known("F32", 1, 4, .float32), 1: Known("F16", 1, 2, .float16),
    2: Known("Q4_0", 32, 18, .q4_0), 3: Known("Q4_1", 32, 20, .q4_1),
    6: Known("Q5_0", 32, 22, .q5_0), 7: Known("Q5_1", 32, 24, .q5_1),
    8: Known("Q8_0", 32, 34, .q8_0), 9: Known("Q8_1", 32, 36),
    10: Known("Q2_K", 256, 84, .q2_K), 11: Known("Q3_K", 256, 110, .q3_K),
    12: Known("Q4_K", 256, 144, .q4_K), 13: Known("Q5_K", 256, 176, .q5_K),
    14: Known("Q6_K", 256, 210, .q6_K), 15: Known("Q8_K", 256, 292),
    16: Known("IQ2_XXS", 256, 66), 17: Known("IQ2_XS", 256, 74), 18: Known("IQ3_XXS", 256, 98),
    19: Known("IQ1_S", 256, 50), 20: Known("IQ4_NL", 32, 18), 21: Known("IQ3_S", 256, 110),
    22: Known("IQ2_S", 256, 82), 23: Known("IQ4_XS", 256, 136),
    24: Known("I8", 1, 1, .int8), 25: Known("I16", 1, 2, .int16), 26: Known("I32", 1, 4, .int32),
    27: Known("I64", 1, 8, .int64), 28: Known("F64", 1, 8, .float64), 29: Known("IQ1_M", 256, 56),
    30: Known("BF16", 1, 2, .bfloat16), 34: Known("TQ1_0", 256, 54), 35: Known("TQ2_0", 256, 66),
    39: Known("MXFP4", 32, 17), 40: Known("NVFP4", 64, 36), 41: Known("Q1_0", 128, 18),
  ]
}

/// One tensor of a GGUF file: what it is and where, without touching its numbers.
public struct GGUFTensorInfo: Sendable {
  /// Unique within the model.
  public let name: String
  /// Row-major extents: the file's dimensions in reverse, so that the last axis is contiguous.
  public let shape: [Int]
  /// What the numbers are.
  public let type: GGUFTensorType
  /// Bytes from the start of its file.
  public let byteOffset: Int
  /// Size in the file; `nil` when the type's code is unknown.
  public let byteCount: Int?
  /// Which file of a split model holds it.
  public let part: Int
}
