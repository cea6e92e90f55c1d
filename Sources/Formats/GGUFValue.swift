/// A metadata value of a GGUF file.
public enum GGUFValue: Sendable, Equatable {
  case integer(Int)
  /// A uint64 beyond Int.
  case unsigned(UInt64)
  case float(Double)
  case bool(Bool)
  case string(String)
  /// Elements lie in the file and are read when asked for.
  case array(element: GGUFType, count: Int, offset: Int)

  var typeName: String {
    switch self {
    case .integer, .unsigned: "an integer"
    case .float: "a float"
    case .bool: "a bool"
    case .string: "a string"
    case .array(let element, let count, _): "an array of \(count) \(element)"
    }
  }
}

/// Types of metadata values, by their number in the file.
public enum GGUFType: UInt32, Sendable, Equatable {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// Least bytes an element takes.
  var leastBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .string, .uint64, .int64, .float64: 8
    case .array: 12
    }
  }
}

extension GGUFValue {
  /// The value in one short line.
  public var summary: String {
    switch self {
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .float(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value):
      String(value.prefix(100).map { $0.isNewline ? " " : $0 }) + (value.count > 100 ? "…" : "")
    case .array(let element, let count, _): "\(count) × \(element)"
    }
  }
}
