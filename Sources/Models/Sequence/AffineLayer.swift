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
  func callAsFunction(_ x: Variable) throws -> Variable {
    try x.product(weight, transposesOther: true, bias: bias)
  }
}

/// Layer normalisation with parameters `weight` and `bias` `[D]`.
struct NormLayer {
  let weight: Variable
  let bias: Variable
  let epsilon: Float

  init(_ scope: ParameterScope, width: Int, epsilon: Float = 1e-5) throws {
    weight = try scope("weight", [width], .constant(1))
    bias = try scope("bias", [width], .constant(0))
    self.epsilon = epsilon
  }

  /// `[…, D]` → `[…, D]`.
  func callAsFunction(_ x: Variable) throws -> Variable {
    try x.normalised(.layer(epsilon: epsilon), weight: weight, bias: bias)
  }
}
