internal import CMicrokernels
internal import Fourier
internal import Tiles

extension CPUConvolution {
  /// Gradients of one row of a circular convolution whose length has no transform of its own.
  ///
  /// With R the order i → −i mod L, the correlation of a and b is R (R a ∗ b), a convolution like any other; the filter's share is
  /// R of what R dc and s give, so that `sum` collects their product.
  func circularSource(
    _ operands: Operands, _ upstream: Operands, _ targets: GradientTargets, _ batch: Int, _ channel: Int,
    _ row: RowTransform, spectrum: UnsafePointer<Float>, sum: UnsafeMutablePointer<Float>
  ) {
    let length = plan.shape.length
    let (work, input) = unsafe (row.buffer(.work), row.buffer(.input))
    let (turned, linear) = unsafe (row.buffer(.filter), row.linear)
    unsafe row.enter(operands.signal(batch, channel, 0..<length), into: input)
    unsafe row.pass(GW_SPECTRUM, input)
    unsafe linear.update(repeating: 0, count: length)
    var whole = unsafe gw_result.plain(turned, length)
    unsafe whole.source = upstream.signal(batch, channel, 0..<length)
    unsafe whole.skip = 1
    unsafe routines.finish(&whole, linear, nil)
    unsafe Self.turn(turned, length)
    let signal = unsafe gw_signal(length: length, type: Int32(GW_F32.rawValue), x: turned, gate: nil)
    unsafe row.enter(signal, into: work)
    unsafe row.pass(GW_SPECTRUM, work)
    unsafe routines.multiply(tables.groups * plan.rows.length, work, input, 0, 1, sum)
    guard targets.wantsSource else { return }
    unsafe row.pass(GW_FILTER, work, k: spectrum, u: work)
    unsafe finish(.plain(turned, length), row, from: work)
    unsafe Self.turn(turned, length)
    var result = unsafe sourceResult(operands, upstream, targets, batch, channel, 0..<length)
    unsafe routines.finish(&result, turned, nil)
  }

  /// The filter's gradient from the products of all rows.
  func circularFilter(
    _ target: RowTensor, _ channel: Int, _ row: RowTransform, sum: UnsafeMutablePointer<Float>
  ) {
    let (length, taps) = (plan.shape.length, plan.shape.filterLength)
    let (work, turned) = unsafe (row.buffer(.work), row.buffer(.filter))
    unsafe work.update(from: sum, count: plan.spectrumCount)
    unsafe row.pass(GW_INVERSE, work)
    unsafe finish(.plain(turned, length), row, from: work)
    unsafe Self.turn(turned, length)
    let gradient = unsafe target.address(0, channel).assumingMemoryBound(to: Float.self)
    for tap in 0..<taps { unsafe gradient[tap] = turned[tap] / Float(plan.size) }
  }

  /// Puts x[−i mod length] at i.
  private static func turn(_ x: UnsafeMutablePointer<Float>, _ length: Int) {
    var (low, high) = (1, length - 1)
    while low < high {
      unsafe swap(&x[low], &x[high])
      low += 1
      high -= 1
    }
  }
}
