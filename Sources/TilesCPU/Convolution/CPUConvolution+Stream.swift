internal import CMicrokernels
internal import Fourier
internal import Memory
internal import Synchronization
internal import Tiles

extension CPUConvolution {
  func step(
    _ rows: ConvolutionRows, stream: ConvolutionStreamState, into output: Tensor
  ) throws(ExecutionError) {
    let shape = rows.input.shape
    guard shape.count == 3, (1...plan.size).contains(shape[2]) else {
      throw .argumentShape(
        kernel: "convolution", tensor: "input", expected: "[B, H, 1 to \(plan.size)]", found: shape)
    }
    let (batch, channels, length) = (shape[0], shape[1], shape[2])
    let operands = try check(rows, output: output, length: length)
    let count = stream.blocks.shape.first ?? 0
    for (tensor, name, wanted) in [
      (stream.blocks, "blocks", [count, channels, plan.spectrumCount]),
      (stream.history, "history", [count, batch, channels, plan.spectrumCount]),
      (stream.carry, "carry", [batch, channels, plan.size]),
    ] where tensor.type != .float32 || tensor.shape != wanted || !tensor.isDense || !tensor.storage.isOnHost {
      throw .argumentShape(
        kernel: "convolution", tensor: name, expected: "dense float32 \(wanted)", found: tensor.shape)
    }
    try executor.turn.withLock { _ throws(ExecutionError) in
      try eachChannel(channels, buffers: 2) { channel, row in
        for number in 0..<batch {
          self.step(operands, number, channel, length, stream, row)
        }
      }
    }
  }

  private func step(
    _ operands: Operands, _ batch: Int, _ channel: Int, _ length: Int, _ stream: ConvolutionStreamState,
    _ row: RowTransform
  ) {
    let (count, spectrum) = (stream.blocks.shape[0], plan.spectrumCount)
    let blocks = unsafe stream.blocks.address.assumingMemoryBound(to: Float.self)
    let history = unsafe stream.history.address.assumingMemoryBound(to: Float.self)
    func past(_ piece: Int) -> UnsafeMutablePointer<Float> {
      unsafe history + ((piece % count * operands.batch + batch) * operands.channels + channel) * spectrum
    }
    let work = unsafe row.buffer(.work)
    let newest = unsafe past(stream.piece)
    unsafe row.enter(operands.signal(batch, channel, 0..<length), into: newest)
    unsafe row.pass(GW_SPECTRUM, newest)
    let lines = tables.groups * plan.rows.length
    row.crew.each(lines) { range, _ in
      let offset = range.lowerBound * GW_LINE
      // Strips that stay in the nearest cache while all blocks are added to them.
      for start in stride(from: 0, to: range.count, by: 128) {
        let strip = min(128, range.count - start)
        let first = offset + start * GW_LINE
        for block in 0...min(count - 1, stream.piece) {
          unsafe routines.multiply(
            strip, past(stream.piece - block) + first,
            blocks + (block * operands.channels + channel) * spectrum + first,
            0, block == 0 ? 0 : 1, work + first)
        }
      }
    }
    unsafe row.pass(GW_INVERSE, work)
    var result = unsafe operands.result(batch, channel, 0..<length)
    let carry =
      unsafe stream.carry.address.assumingMemoryBound(to: Float.self)
      + (batch * operands.channels + channel) * plan.size
    unsafe result.carry = UnsafePointer(carry)
    unsafe result.tail = carry
    unsafe row.leave(result, from: work)
  }
}
