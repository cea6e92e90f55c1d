internal import Memory
public import Tiles

/// The running state of a softmax-weighted sum: largest score, sum of weights and weighted sum of values, a row each.
///
/// Scores times `scale` are in units of log₂, so that weights are powers of two. Milakov and Gimelshein, 2018, arXiv:1805.02867.
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

  /// What scores are multiplied with, above 0, to be in units of log₂; `top` is kept unscaled.
  public let scale: Float

  /// A state kept in these tiles.
  public init(top: Tile, total: Tile, sum: Tile, scale: Float = 1) {
    self.top = top
    self.total = total
    self.sum = sum
    self.scale = scale
  }

  /// Takes in a block of keys: scores `[R, N]` (minus infinity where masked) and their values `[N, D]`, which
  /// `valueScales` `[1, N]` multiply where they are stored as integers. Values of 16 bits take weights of their type.
  public func absorb(scores: Tile, values: Tile, valueScales: Tile? = nil, _ k: Recorder) {
    let (shrink, raised) = raise(k.rowMax(scores), k)
    let exponents =
      scale == 1
      ? k.map(.subtract, scores, raised) : k.map(.fma, scores, scale, k.map(.negate, raised))
    let weights = k.map(.exp2, exponents)
    k.assign(total, k.map(.multiply, total, shrink))
    k.rowSum(weights, addingTo: total)
    let scaled = valueScales.map { k.map(.multiply, weights, $0) } ?? weights
    let factors = values.type.blockBytes == 2 ? k.cast(scaled, to: values.type) : scaled
    k.assign(sum, k.map(.multiply, sum, shrink))
    k.matmul(into: sum, factors, values)
  }

  /// Takes in the state of other keys.
  public func absorb(top other: Tile, total otherTotal: Tile, sum otherSum: Tile, _ k: Recorder) {
    let (shrink, raised) = raise(other, k)
    let factor = k.map(.exp2, k.map(.subtract, other, raised))
    k.assign(total, k.map(.fma, total, shrink, k.map(.multiply, otherTotal, factor)))
    k.assign(sum, k.map(.fma, sum, shrink, k.map(.multiply, otherSum, factor)))
  }

  /// Takes in other keys' normalised sum `[R, D]` and log-sum-exp `[R, 1]`, the latter unscaled as `top` is.
  public func absorb(top other: Tile, normalized: Tile, _ k: Recorder) {
    let (shrink, raised) = raise(other, k)
    let distance =
      scale == 1
      ? k.map(.subtract, other, raised) : k.map(.fma, other, scale, k.map(.negate, raised))
    let factor = k.map(.exp2, distance)
    k.assign(total, k.map(.fma, total, shrink, factor))
    k.assign(sum, k.map(.fma, sum, shrink, k.map(.multiply, normalized, factor)))
  }

  /// Raises `top` to cover `candidate`; the factor for what was summed, and the reference for new exponents, scaled.
  private func raise(_ candidate: Tile, _ k: Recorder) -> (shrink: Tile, raised: Tile) {
    let highest = k.map(.max, top, candidate)
    // While a row has seen no key its top is minus infinity, and differences with it would be NaN.
    let raised = k.map(.selectGreaterEqual, highest, -Float.greatestFiniteMagnitude, highest, 0.0)
    let reference = scale == 1 ? raised : k.map(.multiply, raised, scale)
    let distance =
      scale == 1 ? k.map(.subtract, top, raised) : k.map(.fma, top, scale, k.map(.negate, reference))
    let shrink = k.map(.exp2, distance)
    k.assign(top, highest)
    return (shrink, reference)
  }

  /// Values divided by the sum of weights, 0 for rows without a key, and the log-sum-exp in units of log₂.
  public func normalizedInLog2(_ k: Recorder) -> (values: Tile, logSumExp: Tile) {
    let result = normalized(k)
    return (result.values, k.map(.multiply, result.logSumExp, 1 / Self.ln2))
  }

  /// Values divided by the sum of weights, 0 for rows without a key, and the log-sum-exp in natural logarithm.
  public func normalized(_ k: Recorder) -> (values: Tile, logSumExp: Tile) {
    let smallest = Float.leastNormalMagnitude
    let factor = k.map(.selectGreaterEqual, total, smallest, k.map(.reciprocal, total), 0.0)
    let logarithm = k.map(.multiply, k.map(.log, total), 1 / Self.ln2)
    let highest = scale == 1 ? top : k.map(.multiply, top, scale)
    let logSumExp = k.map(.multiply, k.map(.add, highest, logarithm), Self.ln2)
    return (k.map(.multiply, sum, factor), logSumExp)
  }
}
