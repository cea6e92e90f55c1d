/// What one number in memory is: a plain scalar, or a member of a block-quantised group.
///
/// Block types follow the GGUF layouts: a row is a run of blocks, each holding ``blockElements`` numbers in
/// ``blockBytes`` bytes, so only whole blocks can be addressed.
public enum ElementType: String, Sendable, Hashable, CaseIterable, Codable {
  case float64, float32, float16, bfloat16
  case int64, int32, int16, int8, uint8, boolean
  case q4_0, q4_1, q5_0, q5_1, q8_0
  case q2_K, q3_K, q4_K, q5_K, q6_K
  /// Activations of one row as 16-bit integers q in groups of 32, laid out row by row in planes: all integers of the
  /// row, the middle two of each four exchanged; a float32 scale for each group; for each group the float32 product
  /// scale · Σ q. Rows are cut every 32 at the least.
  case q16_rows

  /// Numbers in one block; 1 for plain scalars.
  public var blockElements: Int {
    switch self {
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q16_rows: 32
    case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: 256
    default: 1
    }
  }

  /// Bytes of one block; the scalar's size for plain scalars.
  public var blockBytes: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .int16: 2
    case .int8, .uint8, .boolean: 1
    case .q4_0: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q2_K: 84
    case .q3_K: 110
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    case .q16_rows: 72
    }
  }

  /// Whether numbers are stored in groups with shared scales.
  public var isBlocked: Bool { blockElements > 1 }

  /// Bytes that `count` numbers take, or `nil` when `count` is not a whole number of blocks or overflows.
  public func byteCount(of count: Int) -> Int? {
    guard count >= 0, count % blockElements == 0 else { return nil }
    let (bytes, overflow) = (count / blockElements).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }
}
