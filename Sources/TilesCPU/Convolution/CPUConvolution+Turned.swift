internal import CMicrokernels
internal import Fourier
internal import Memory
internal import Tiles

/// Rows whose numbers do not lie beside each other, `[B, L, H]` seen as `[B, H, L]`: sixteen channels at a time are turned into
/// working memory and back.
extension CPUConvolution {
  /// Channels that share a cache line, in 32 bits or less.
  private static let blockChannels = 16

  /// Whether any tensor has to be turned.
  func mustTurn(_ tensors: [Tensor?]) -> Bool {
    tensors.contains { tensor in
      tensor.map { ($0.strides.last ?? 1) != 1 && ($0.shape.last ?? 1) > 1 } ?? false
    }
  }

  /// Calls `body` for blocks of channels, with inputs turned before and outputs turned back after it.
  ///
  /// - Throws: what `body` throws, or that there is no memory: 16 channels of each tensor.
  func eachTurnedBlock(
    inputs: [Tensor?], outputs: [Tensor?],
    _ body: (Range<Int>, _ inputs: [Tensor?], _ outputs: [Tensor?]) throws(ExecutionError) -> Void
  ) throws(ExecutionError) {
    guard let first = inputs.first, let first else { return }
    let channels = first.shape[1]
    for start in stride(from: 0, to: channels, by: Self.blockChannels) {
      let block = start..<min(channels, start + Self.blockChannels)
      var dense: [Tensor?] = []
      for tensor in inputs {
        dense.append(try tensor.map { t throws(ExecutionError) in try turned(t, block, copies: true) })
      }
      var results: [Tensor?] = []
      for tensor in outputs {
        results.append(try tensor.map { t throws(ExecutionError) in try turned(t, block, copies: false) })
      }
      try body(block, dense, results)
      for case (let target?, let result?) in zip(outputs, results) {
        turn(result, target.sliced(axis: 1, block), toRows: false)
      }
    }
  }

  private func turned(_ tensor: Tensor, _ block: Range<Int>, copies: Bool) throws(ExecutionError) -> Tensor {
    let part = tensor.sliced(axis: 1, block)
    let dense: Tensor
    do { dense = try Tensor(zeros: tensor.type, part.shape) } catch {
      throw .outOfMemory(kernel: "convolution", bytes: part.count * tensor.type.blockBytes)
    }
    if copies { turn(part, dense, toRows: true) }
    return dense
  }

  /// Copies `[B, C, L]` between rows beside each other and channels beside each other.
  private func turn(_ source: Tensor, _ target: Tensor, toRows: Bool) {
    let (batch, channels, length) = (source.shape[0], source.shape[1], source.shape[2])
    let bytes = source.type.blockBytes
    executor.pool.run { thread in
      let (first, last) = (length * thread / executor.threads, length * (thread + 1) / executor.threads)
      guard first < last else { return }
      for number in 0..<batch {
        func address(_ tensor: Tensor) -> UnsafeMutableRawPointer {
          unsafe tensor.address + bytes * (number * tensor.strides[0] + first * tensor.strides[2])
        }
        if toRows, source.strides[1] == 1 {
          unsafe routines.turn(
            last - first, channels, Int32(bytes), address(source), source.strides[2], address(target),
            target.strides[1])
        } else if !toRows, target.strides[1] == 1 {
          unsafe routines.turn(
            channels, last - first, Int32(bytes), address(source), source.strides[1], address(target),
            target.strides[2])
        } else {
          for channel in 0..<channels {
            for n in 0..<last - first {
              let from =
                unsafe address(source) + bytes * (channel * source.strides[1] + n * source.strides[2])
              let to = unsafe address(target) + bytes * (channel * target.strides[1] + n * target.strides[2])
              unsafe to.copyMemory(from: from, byteCount: bytes)
            }
          }
        }
      }
    }
  }
}
