public import Memory

/// A fused chain of elementwise steps over the valid elements of one iteration space, with row reductions at its ends.
///
/// Values are numbered in order of their definition (static single assignment).
public struct MapProgram: Sendable, Hashable {
  /// A tile with the capacity and valid part of the iteration space.
  public var space: Tile
  /// What is done for each element, in order.
  public var steps: [MapStep]
  /// The 16-bit type of its tiles to which machines that compute with pairs of such numbers may round every step's value; `nil` where steps
  /// are float32.
  public var narrowType: ElementType?
}

/// One step of a ``MapProgram``.
public enum MapStep: Sendable, Hashable {
  /// Defines a value: the tile's element, broadcast along sides on which the tile has extent 1.
  case load(Tile)
  /// Defines a value: an integer known at run time.
  case index(Index)
  /// Defines a value: a number.
  case constant(Float)
  /// Defines a value: the element's column within the tile.
  case column
  /// Defines a value: the element's row within the tile.
  case row
  /// Defines a value: a random number within 0 ..< 1, of which each element has its own.
  case random(RandomSource)
  /// Defines a value computed from earlier ones.
  case compute(MapFunction, [Int])
  /// Writes a value to a tile; defines nothing.
  case store(value: Int, to: Tile)
  /// Combines a value along each row into a perRow tile, starting from the tile's content when `continuing`.
  case reduce(Reduction, value: Int, into: Tile, continuing: Bool)

  /// How a row is combined.
  public enum Reduction: Sendable, Hashable { case sum, max }

  /// Whether the step defines a value.
  public var definesValue: Bool {
    switch self {
    case .store, .reduce: false
    default: true
    }
  }
}

/// Elementwise functions of one to four values.
public enum MapFunction: Sendable, Hashable, CaseIterable {
  case add, subtract, multiply, divide, min, max
  /// a · b + c in one rounding.
  case fma
  /// a ≥ b ? c : d.
  case selectGreaterEqual
  case negate, abs, sqrt, rsqrt, reciprocal, exp, exp2, log, tanh, erf, sigmoid
  /// Of angles in radians, within one rounding error of 1 for up to a million of them; beyond six million cores give NaN.
  case sin, cos
  /// The angle of a point given as y and x, −π…π; 0 for the origin, NaN where both are infinite.
  case atan2

  /// How many values it takes.
  public var arity: Int {
    switch self {
    case .add, .subtract, .multiply, .divide, .min, .max, .atan2: 2
    case .fma: 3
    case .selectGreaterEqual: 4
    default: 1
    }
  }
}
