internal import CMicrokernels
internal import Fourier
internal import Tiles

extension CPUConvolution {
  /// Convolves all rows of a channel.
  func convolve(_ operands: Operands, _ channel: Int, _ row: RowTransform, spectrum: UnsafePointer<Float>) {
    if plan.pairsRows {
      for batch in stride(from: 0, to: operands.batch, by: rowsAtOnce) {
        unsafe pair(operands, batch, channel, row, spectrum: spectrum)
      }
    } else if plan.chunks > 1 {
      for batch in 0..<operands.batch { unsafe pieces(operands, batch, channel, row, spectrum: spectrum) }
    } else {
      for batch in 0..<operands.batch { unsafe whole(operands, batch, channel, row, spectrum: spectrum) }
    }
  }

  /// Rows in one transform. What a mask leaves of a spectrum is not that of a real filter, and would mix two rows.
  var rowsAtOnce: Int { plan.pairsRows && mask == nil ? 2 : 1 }

  /// Two rows as the real and the imaginary part of one.
  private func pair(
    _ operands: Operands, _ batch: Int, _ channel: Int, _ row: RowTransform, spectrum: UnsafePointer<Float>
  ) {
    let range = 0..<plan.size
    let work = unsafe row.buffer(.work)
    let both = rowsAtOnce == 2 && batch + 1 < operands.batch
    unsafe row.enter(
      operands.signal(batch, channel, range), both ? operands.signal(batch + 1, channel, range) : nil,
      into: work)
    unsafe row.pass(GW_CONVOLVE, work, k: spectrum)
    unsafe row.leave(
      operands.result(batch, channel, range), both ? operands.result(batch + 1, channel, range) : nil,
      from: work)
  }

  /// One row in one transform.
  private func whole(
    _ operands: Operands, _ batch: Int, _ channel: Int, _ row: RowTransform, spectrum: UnsafePointer<Float>
  ) {
    let length = plan.shape.length
    let work = unsafe row.buffer(.work)
    unsafe row.enter(operands.signal(batch, channel, 0..<length), into: work)
    unsafe row.pass(GW_CONVOLVE, work, k: spectrum)
    let result = unsafe operands.result(batch, channel, 0..<length)
    unsafe finish(result, row, from: work)
  }

  /// Writes a row from its transform. A circular convolution in a transform longer than itself is wrapped round.
  func finish(_ result: gw_result, _ row: RowTransform, from work: UnsafePointer<Float>) {
    guard plan.shape.mode == .circular else { return unsafe row.leave(result, from: work) }
    let linear = unsafe row.linear
    var halves = unsafe gw_result.plain(linear, plan.size)
    unsafe halves.tail = linear + plan.size
    unsafe row.leave(halves, from: work)
    // Lags up to twice the length less one: what lies past the row comes round to its start.
    let length = plan.shape.length
    unsafe withUnsafePointer(to: result) { unsafe routines.finish($0, linear, linear + length) }
  }

  /// A row in pieces as long as the transform; what each leaves over is added to the next.
  private func pieces(
    _ operands: Operands, _ batch: Int, _ channel: Int, _ row: RowTransform, spectrum: UnsafePointer<Float>
  ) {
    let work = unsafe row.buffer(.work)
    for chunk in 0..<plan.chunks {
      let range = chunk * plan.size..<min(plan.shape.length, (chunk + 1) * plan.size)
      unsafe row.enter(operands.signal(batch, channel, range), into: work)
      unsafe row.pass(GW_CONVOLVE, work, k: spectrum)
      var result = unsafe operands.result(batch, channel, range)
      let tails = unsafe (row.linear + chunk % 2 * plan.size, row.linear + (1 - chunk % 2) * plan.size)
      if chunk > 0 { unsafe result.carry = UnsafePointer(tails.1) }
      if chunk + 1 < plan.chunks { unsafe result.tail = tails.0 }
      unsafe row.leave(result, from: work)
    }
  }
}
