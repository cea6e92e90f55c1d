internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// A long convolution position by position: all inputs so far are kept.
///
/// On cores by ``Kernels/ConvolutionDecoder``, O(H · log² L) a position; elsewhere by the sum as it is written, O(H · L).
final class ConvolutionHistory {
  private let kind: Kind
  private let device: Device
  private var position = 0

  private enum Kind {
    case decoder(ConvolutionDecoder)
    /// The filter with its last tap first, `[1, H, capacity]`, and inputs `[B, H, capacity]`.
    case sum(reversed: Variable, inputs: Variable)
  }

  /// - Parameters:
  ///   - filter: `[H, taps]`.
  ///   - x: inputs so far, `[B, H, L]`.
  ///   - capacity: positions there will be at most.
  init(filter: Variable, after x: Variable, capacity: Int) throws {
    device = x.device
    let (batch, h, length) = (x.shape[0], x.shape[1], x.shape[2])
    position = length
    let x = try x.converted(to: device.scalar)
    if device.executor.sharesHostMemory, device.scalar == .float32 {
      let decoder = try ConvolutionDecoder(
        filters: filter.dense().value, capacity: capacity, batch: batch, on: device.executor)
      let unused = try Tensor(zeros: .float32, x.shape)
      try decoder.prefill(x.dense().value, into: unused)
      kind = .decoder(decoder)
      return
    }
    let taps = min(capacity, filter.shape[1])
    let reversed = try device.constant([Float](repeating: 0, count: h * capacity), [1, h, capacity])
    // Tap l lies at capacity − 1 − l.
    let turned = try filter.sliced(axis: 1, 0..<taps).reversed(axis: 1)
    try reversed.store(turned.reshaped([1, h, taps]), axis: 2, at: capacity - taps)
    let inputs = try device.constant(
      [Float](repeating: 0, count: batch * h * capacity), [batch, h, capacity])
    try inputs.store(x, axis: 2, at: 0)
    kind = .sum(reversed: reversed, inputs: inputs)
  }

  /// Takes up the next position `[B, H]` and gives the filter's sum there.
  func step(_ x: Variable) throws -> Variable {
    defer { position += 1 }
    switch kind {
    case .decoder(let decoder):
      let result = try Tensor(zeros: .float32, x.shape)
      try decoder.step(x.dense().value, into: result)
      return Variable(result, on: device)
    case .sum(let reversed, let inputs):
      let capacity = inputs.shape[2]
      precondition(position < capacity, "position \(position) of \(capacity)")
      try inputs.store(x.reshaped(x.shape + [1]), axis: 2, at: position)
      let (past, taps) = (
        try inputs.sliced(axis: 2, 0..<position + 1),
        try reversed.sliced(axis: 2, capacity - 1 - position..<capacity)
      )
      return try (past * taps).sum(axes: [2]).reshaped(x.shape)
    }
  }
}
