/// An integer that is known when the kernel runs: a coordinate, a loop step, an extent, or arithmetic on them.
///
/// Recorded as a tree; equal trees are equal values, so a back end computes each once.
public indirect enum Index: Sendable, Hashable {
  /// Known while recording.
  case constant(Int)
  /// The kernel's integer parameter of that number (an extent or an argument).
  case parameter(Int)
  /// Coordinate of the running task along that axis of the grid.
  case task(Int)
  /// Step of an enclosing loop.
  case step(Int)
  /// A number read from an int32 tensor.
  case element(tensor: Int, at: [Index])
  /// Arithmetic.
  case binary(Arithmetic, Index, Index)

  /// What ``binary(_:_:_:)`` does. Divisions round toward minus infinity (`divide`) or plus infinity (`ceilDivide`).
  public enum Arithmetic: Sendable, Hashable {
    case add, subtract, multiply, divide, ceilDivide, remainder, min, max

    /// Applied to numbers; wrapping, as in the executors. Division by zero gives zero.
    @inlinable public func callAsFunction(_ a: Int, _ b: Int) -> Int {
      switch self {
      case .add: a &+ b
      case .subtract: a &- b
      case .multiply: a &* b
      case .divide: b == 0 ? 0 : (a - (a % b + b) % b) / b
      case .ceilDivide: b == 0 ? 0 : -((-a - (-a % b + b) % b) / b)
      case .remainder: b == 0 ? 0 : (a % b + b) % b
      case .min: Swift.min(a, b)
      case .max: Swift.max(a, b)
      }
    }
  }
}

extension Index: ExpressibleByIntegerLiteral {
  /// A constant.
  public init(integerLiteral value: Int) { self = .constant(value) }

  /// A constant.
  public init(_ value: Int) { self = .constant(value) }

  /// The number, where it is known while recording.
  public var constantValue: Int? { if case .constant(let value) = self { value } else { nil } }

  private static func combine(_ operation: Arithmetic, _ a: Index, _ b: Index) -> Index {
    if case .constant(let x) = a, case .constant(let y) = b { return .constant(operation(x, y)) }
    switch (operation, a, b) {
    case (.add, _, 0), (.subtract, _, 0), (.multiply, _, 1), (.divide, _, 1), (.ceilDivide, _, 1): return a
    case (.add, 0, _), (.multiply, 1, _): return b
    case (.multiply, _, 0), (.multiply, 0, _), (.remainder, _, 1): return 0
    case (.min, _, _) where a == b, (.max, _, _) where a == b: return a
    case (.min, .binary(.min, let inner, .constant(let c)), .constant(let d)):
      return c <= d ? a : .binary(.min, inner, .constant(d))
    default: return .binary(operation, a, b)
    }
  }

  /// Sum.
  public static func + (a: Index, b: Index) -> Index { combine(.add, a, b) }
  /// Difference.
  public static func - (a: Index, b: Index) -> Index { combine(.subtract, a, b) }
  /// Product.
  public static func * (a: Index, b: Index) -> Index { combine(.multiply, a, b) }
  /// Quotient rounded down.
  public static func / (a: Index, b: Index) -> Index { combine(.divide, a, b) }
  /// Remainder with the divisor's sign.
  public static func % (a: Index, b: Index) -> Index { combine(.remainder, a, b) }
  /// Quotient rounded up: how many blocks of `block` cover `self`.
  public func ceilDiv(_ block: Index) -> Index { Self.combine(.ceilDivide, self, block) }
  /// The smaller.
  public func min(_ other: Index) -> Index { Self.combine(.min, self, other) }
  /// The larger.
  public func max(_ other: Index) -> Index { Self.combine(.max, self, other) }
}

extension Index: CustomStringConvertible {
  public var description: String {
    switch self {
    case .constant(let value): "\(value)"
    case .parameter(let number): "p\(number)"
    case .task(let axis): "task\(axis)"
    case .step(let number): "step\(number)"
    case .element(let tensor, let at): "t\(tensor)[\(at.map(\.description).joined(separator: ", "))]"
    case .binary(let operation, let a, let b): "\(operation)(\(a), \(b))"
    }
  }
}
