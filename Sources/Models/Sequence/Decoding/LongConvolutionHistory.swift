internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// A long convolution of ``ReplayedSteps``: all inputs of each sequence so far, and what sums them.
final class LongConvolutionHistory {
  private let shared: StepMemory
  private let input: LongConvolutionStep.Input
  private let parts: any CompiledKernel
  private let result: any CompiledKernel
  /// The last tap first, float32 `[D, C]`.
  private let filter: Tensor
  /// The first tap and what multiplies the number itself, float32 `[D]`.
  private let newest: Tensor
  /// `[B, D, C]`.
  private let kept: Tensor

  /// - Parameters:
  ///   - filter: `[D, taps]`, as many as a sequence may have positions, or all there are.
  ///   - skip: `[D]`.
  ///   - shape: what is made of the sum, of which inputs.
  init(filter: Variable, skip: Variable, _ shape: LongConvolutionStep.Result, _ shared: StepMemory) throws {
    (self.shared, input) = (shared, shape.input)
    let (device, channels) = (shared.device, filter.shape[0])
    let taps = min(shared.capacity, filter.shape[1])
    let reversed = try device.executor.tensor(.float32, [channels, shared.capacity])
    try device.executor.clear(reversed)
    newest = try device.precisely {
      try Variable(reversed, on: device).store(
        filter.sliced(axis: 1, 0..<taps).reversed(axis: 1), axis: 1, at: shared.capacity - taps)
      return try (filter.sliced(axis: 1, 0..<1).reshaped([channels]) + skip.reshaped([channels])).dense()
        .value
    }
    self.filter = reversed
    kept = try device.executor.tensor(input.kept, [shared.batch, channels, shared.capacity])
    let input = input
    parts = try shared.preparation.kernel("past \(input)") { try LongConvolutionStep.parts(input) }
    result = try shared.preparation.kernel("long \(shape)") { try LongConvolutionStep.result(shape) }
  }

  /// What sequences of a network on such a machine keep.
  static func kept(_ shared: StepMemory) -> ElementType {
    shared.isSixteenBit ? shared.device.factors : .float32
  }

  /// Takes up inputs `[count, D, L]` of prompts.
  func begin(_ x: Variable, first: Int) throws {
    let rows = kept.sliced(axis: 0, first..<first + x.shape[0])
    try Variable(rows, on: shared.device).store(x.converted(to: input.kept), axis: 2, at: 0)
  }

  /// Takes up the next position and writes what is made of the sum there.
  ///
  /// - Parameters:
  ///   - u: `[B, D]`, and its gate likewise, where inputs have one.
  ///   - others: the gate of the result and the term, where it has them.
  func step(_ u: [Tensor], _ others: [Tensor], at positions: Tensor, into y: Tensor) throws {
    let sizes = [shared.batch, LongConvolutionStep.parts(of: shared.capacity), newest.shape[0]]
    let sums = try shared.workspace.tensor("past \(sizes[2])", .float32, sizes)
    try parts.run([positions] + u + [kept, kept, filter, sums])
    try result.run([positions] + u + [newest, sums] + others + [y])
  }
}
