internal import Kernels
internal import Tensors

/// y = x · Wᵀ + b with parameters `weight` `[out, in]` and `bias` `[out]`.
struct AffineLayer {
  let weight: Variable
  let bias: Variable?

  /// - Parameter deviation: of the weights when they are drawn; biases begin at 0.
  init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, hasBias: Bool = true, deviation: Float = 0.02,
    group: ParameterGroup = .ordinary
  ) throws {
    weight = try scope("weight", [outputs, inputs], .normal(deviation: deviation), group)
    bias = hasBias ? try scope("bias", [outputs], .constant(0), group) : nil
  }

  /// `[…, in]` → `[…, out]`.
  ///
  /// - Parameters:
  ///   - activation: of the results.
  ///   - residual: as the results, added to them.
  func callAsFunction(
    _ x: Variable, activation: Activation? = nil, adding residual: Variable? = nil
  ) throws -> Variable {
    guard isScaling, activation == nil, residual == nil, !x.device.keepsChannelsApart else {
      return try x.product(
        weight.asRightFactor(), transposesOther: true, bias: bias, activation: activation, adding: residual)
    }
    // Matrix units would be given one number of sixteen.
    let (factor, weights) = (
      try x.converted(to: x.device.factors), try weight.reshaped([weight.shape[0]])
    )
    return try bias.map { try factor.map(weights, $0) { $0 * $1 + $2 } }
      ?? factor.map(weights) { $0 * $1 }
  }

  /// Whether there is one input.
  private var isScaling: Bool { weight.shape[1] == 1 }

  /// `[B, L, in]` → `[B, out, L]`, which lies in memory as the device's convolutions take it.
  func channels(of x: Variable) throws -> Variable {
    let (b, length, inputs) = (x.shape[0], x.shape[1], x.shape[2])
    guard x.device.keepsChannelsApart else {
      return try weight.asFactor().products(withTransposed: x, bias: bias)
    }
    var y = try weight.product(x.reshaped([b * length, inputs]), transposesOther: true)
    if let bias { y = try y + bias.reshaped([bias.shape[0], 1]) }
    return try y.reshaped([y.shape[0], b, length]).permuted([1, 0, 2])
  }

  /// `[B, in, L]` → `[B, L, out]`.
  ///
  /// - Parameter residual: as the result, added to it.
  func positions(of x: Variable, adding residual: Variable? = nil) throws -> Variable {
    let (b, inputs, length) = (x.shape[0], x.shape[1], x.shape[2])
    guard x.device.keepsChannelsApart else {
      return try x.product(
        weight.asRightFactor(), transposesSelf: true, transposesOther: true, bias: bias, activation: nil,
        adding: residual)
    }
    let flat = try x.permuted([1, 0, 2]).reshaped([inputs, b * length])
    let y = try flat.product(weight, transposesSelf: true, transposesOther: true, bias: bias)
    let result = try y.reshaped([b, length, y.shape[1]])
    return try residual.map { try result + $0 } ?? result
  }
}
