public import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// This plus an array, and the rows `[…, D]` of that normalised: what stands between two layers.
  ///
  /// One pass where nothing is recorded, factors are of 16 bits and this is not; the two operations elsewhere.
  ///
  /// - Parameters:
  ///   - other: of this shape.
  ///   - norm: as for ``normalised(_:weight:bias:)``, with its weight and bias `[D]`.
  public func adding(
    _ other: Variable, normalisedBy norm: Normalisation, weight: Variable, bias: Variable? = nil
  ) throws -> (sum: Variable, normalised: Variable) {
    let (device, width) = (self.device, shape[shape.count - 1])
    guard device.fusesProducts(with: other), value.type == device.scalar, shape == other.shape else {
      let sum = try self + other
      return (sum, try sum.normalised(norm, weight: weight, bias: bias))
    }
    let rows = value.count / max(1, width)
    let (x, residual) = try (device.dense(other.value), device.dense(value))
    let sum = try device.empty([rows, width], residual.type)
    let result = try device.empty([rows, width], x.type)
    let kind = DropoutResidualNorm(
      norm, width: width, type: device.kernelType(x), sum: device.kernelType(residual), probability: 0)
    try device.kernel(kind) { try kind.kernel() }.run(
      [x, residual].map { $0.reshaped([rows, width]) } + [weight.value] + (bias.map { [$0.value] } ?? [])
        + [sum, result])
    return (Variable(sum.reshaped(shape), on: device), Variable(result.reshaped(shape), on: device))
  }
}
