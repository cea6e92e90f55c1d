internal import Kernels
public import Memory
internal import Tiles

extension Variable {
  /// One step of ``Kernels/AdamW``, in place.
  ///
  /// - Parameters:
  ///   - gradient: as large as the variable, which is dense.
  ///   - mean: of gradients so far; updated.
  ///   - variance: mean of their squares; updated.
  ///   - settings: `[6]`, in the order of ``Kernels/AdamW/kernel(columns:)``.
  ///   - factor: `[1]`, what the gradient is multiplied by.
  public func moveByAdamW(
    gradient: Tensor, mean: Variable, variance: Variable, settings: Variable, factor: Variable
  ) throws {
    let count = value.count
    guard count > 0 else { return }
    let columns = min(device.hasManyCores ? 1024 : 4096, max(64, count.nextPowerOfTwo))
    let kernel = try device.kernel(AdamWKey(columns: columns)) { try AdamW.kernel(columns: columns) }
    let flat = try [value, mean.value, variance.value, device.dense(gradient)].map { $0.reshaped([count]) }
    try kernel.run(flat + [settings.value, factor.value])
    device.parameterWasWritten()
  }
}

extension Device {
  /// The norm of all numbers of some arrays together, `[1]`.
  public func norm(of tensors: [Tensor]) throws -> Variable {
    let square = PointwiseFunction(inputs: 1) { [$0[0].squared] }
    let sums = try tensors.map { tensor in
      let squares = try pointwise(square, [dense(tensor).reshaped([tensor.count])])[0]
      return Variable(try summed(squares, axis: 0), on: self)
    }
    guard let first = sums.first else { return try constant([0], [1]) }
    let total = try sums.count == 1 ? first : evaluating { try Variable.joined(sums, axis: 0).sum() }
    return try evaluating { try total.map { $0.squareRoot } }
  }
}

private struct AdamWKey: Hashable { let columns: Int }
