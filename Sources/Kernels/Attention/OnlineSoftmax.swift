public import Tiles

/// The running state of a softmax-weighted sum: largest score, sum of weights and weighted sum of values, a row each.
///
/// Scores are in units of log₂, so that weights are powers of two. Milakov and Gimelshein, 2018, arXiv:1805.02867.
public struct OnlineSoftmax {
  /// Largest score so far `[R, 1]`; minus infinity before the first.
  public let top: Tile
  /// Sum of weights relative to `top`, `[R, 1]`.
  public let total: Tile
  /// Weighted sum of values relative to `top`, `[R, D]`.
  public let sum: Tile

  /// log₂ e: scores times this are in units of log₂.
  public static let log2e: Float = 1.4426950408889634
  static let ln2: Float = 0.6931471805599453

  /// A state kept in these tiles.
  public init(top: Tile, total: Tile, sum: Tile) {
    self.top = top
    self.total = total
    self.sum = sum
  }

  /// Takes in a block of keys: scores `[R, N]` (minus infinity where masked) and their values `[N, D]`, which
  /// `valueScales` `[1, N]` multiply where they are stored as integers.
  public func absorb(scores: Tile, values: Tile, valueScales: Tile? = nil, _ k: Recorder) {
    let (shrink, raised) = raise(k.rowMax(scores), k)
    let weights = k.map(.exp2, k.map(.subtract, scores, raised))
    k.assign(total, k.map(.multiply, total, shrink))
    k.rowSum(weights, addingTo: total)
    k.assign(sum, k.map(.multiply, sum, shrink))
    k.matmul(into: sum, valueScales.map { k.map(.multiply, weights, $0) } ?? weights, values)
  }

  /// Takes in the state of other keys.
  public func absorb(top other: Tile, total otherTotal: Tile, sum otherSum: Tile, _ k: Recorder) {
    let (shrink, raised) = raise(other, k)
    let factor = k.map(.exp2, k.map(.subtract, other, raised))
    k.assign(total, k.map(.fma, total, shrink, k.map(.multiply, otherTotal, factor)))
    k.assign(sum, k.map(.fma, sum, shrink, k.map(.multiply, otherSum, factor)))
  }

  /// Raises `top` to cover `candidate`; the factor for what was summed, and the reference for new exponents.
  private func raise(_ candidate: Tile, _ k: Recorder) -> (shrink: Tile, raised: Tile) {
    let highest = k.map(.max, top, candidate)
    // While a row has seen no key its top is minus infinity, and differences with it would be NaN.
    let raised = k.map(.selectGreaterEqual, highest, -Float.greatestFiniteMagnitude, highest, 0.0)
    let shrink = k.map(.exp2, k.map(.subtract, top, raised))
    k.assign(top, highest)
    return (shrink, raised)
  }

  /// Values divided by the sum of weights, 0 for rows without a key, and the log-sum-exp in natural logarithm.
  public func normalized(_ k: Recorder) -> (values: Tile, logSumExp: Tile) {
    let smallest = Float.leastNormalMagnitude
    let factor = k.map(.selectGreaterEqual, total, smallest, k.map(.reciprocal, total), 0.0)
    let logarithm = k.map(.multiply, k.map(.log, total), 1 / Self.ln2)
    let logSumExp = k.map(.multiply, k.map(.add, top, logarithm), Self.ln2)
    return (k.map(.multiply, sum, factor), logSumExp)
  }
}
