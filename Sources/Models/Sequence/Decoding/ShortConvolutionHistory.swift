internal import Fourier
internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// A short convolution of ``ReplayedSteps``: the last positions of each sequence.
final class ShortConvolutionHistory {
  private let shared: StepMemory
  private let kernel: any CompiledKernel
  private let filter: [Tensor]
  /// The oldest position first, `[B, K − 1, D]`.
  private let state: Tensor

  /// - Parameters:
  ///   - filter: `[D, K]`, the oldest position's tap first, ``Kernels/ShortConvolutionShape/widths`` of them.
  ///   - bias: `[D]`.
  init(filter: Variable, bias: Variable, _ shared: StepMemory) throws {
    self.shared = shared
    let (channels, taps) = (filter.shape[0], filter.shape[1])
    let shape = try ShortConvolutionShape(width: taps)
    kernel = try shared.preparation.kernel("short step \(taps)") { try shape.step() }
    self.filter = try [filter, bias.reshaped([channels])].map { try $0.dense().value }
    state = try shared.device.executor.tensor(.float32, [shared.batch, taps - 1, channels])
  }

  /// Takes up the last of positions `[count, D, L]`; zeros stand for those before the beginning.
  func begin(_ x: Variable, first: Int) throws {
    let (length, places) = (x.shape[2], state.shape[1])
    let rows = state.sliced(axis: 0, first..<first + x.shape[0])
    try shared.device.executor.clear(rows)
    let known = min(length, places)
    let last = try x.sliced(axis: 2, length - known..<length).converted(to: .float32).permuted([0, 2, 1])
    try Variable(rows, on: shared.device).store(last, axis: 1, at: places - known)
  }

  /// The next position, float32 `[B, D]`, in place.
  func step(_ x: Tensor) throws { try kernel.run([x] + filter + [state, x]) }
}
