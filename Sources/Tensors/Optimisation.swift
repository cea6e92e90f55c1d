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
    // On GPUs tiles of 512 would spill: they are small enough for many blocks, and those have fewer registers.
    let most = !device.hasManyCores ? 4096 : count < 1024 ? 256 : 1024
    let columns = min(most, max(64, count.nextPowerOfTwo))
    let kernel = try device.kernel(AdamWKey(columns: columns)) { try AdamW.kernel(columns: columns) }
    let flat = try [value, mean.value, variance.value, device.dense(gradient)].map { $0.reshaped([count]) }
    try kernel.run(flat + [settings.value, factor.value])
    device.parameterWasWritten()
  }
}

extension Device {
  /// The norm of all numbers of some arrays together, `[1]`.
  public func norm(of tensors: [Tensor]) throws -> Variable {
    let tensors = tensors.filter { $0.count > 0 }
    guard !tensors.isEmpty else { return try constant([0], [1]) }
    let square = Variable(try sumOfSquares(tensors), on: self)
    return try evaluating { try square.map { $0.squareRoot } }
  }
}

private struct AdamWKey: Hashable { let columns: Int }
