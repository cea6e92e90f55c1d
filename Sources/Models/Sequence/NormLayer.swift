internal import Kernels
internal import Tensors

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

/// Rows normalised by what all of a batch have in common; see ``Tensors/Variable/batchNormalised(_:weight:bias:epsilon:)``.
struct BatchNormLayer {
  private let weight: Variable
  private let bias: Variable
  private let statistics: BatchStatistics

  init(_ scope: ParameterScope, width: Int) throws {
    weight = try scope("weight", [width], .constant(1))
    bias = try scope("bias", [width], .constant(0))
    statistics = BatchStatistics(
      mean: try scope("running_mean", [width], .constant(0), .statistics),
      variance: try scope("running_var", [width], .constant(1), .statistics))
  }

  /// `[…, D]` → `[…, D]`.
  func callAsFunction(_ x: Variable) throws -> Variable {
    try x.batchNormalised(statistics, weight: weight, bias: bias)
  }
}
