internal import CMicrokernels
internal import Fourier
internal import Memory
internal import Synchronization
internal import Tiles

/// Gradients that are wanted, checked.
@safe struct GradientTargets {
  var input: RowTensor?
  var inputGate: RowTensor?
  var outputGate: RowTensor?
  var skip: UnsafeMutablePointer<Float>?
  var forward: RowTensor?
  var reverse: RowTensor?

  var wantsSource: Bool { input != nil || inputGate != nil }
  var wantsFilter: Bool { forward != nil || reverse != nil }
}

extension CPUConvolution {
  func gradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws(ExecutionError) {
    try executor.turn.withLock { _ throws(ExecutionError) in
      let inputs = [rows.input, rows.inputGate, rows.outputGate, outputGradient]
      let outputs = [gradients.input, gradients.inputGate, gradients.outputGate]
      guard mustTurn(inputs + outputs) else {
        return try straightGradients(
          of: rows, spectrum: spectrum, outputGradient: outputGradient, into: gradients)
      }
      _ = unsafe try check(
        spectrum: spectrum, channels: rows.input.shape.count == 3 ? rows.input.shape[1] : 0)
      try eachTurnedBlock(inputs: inputs, outputs: outputs) { block, inputs, outputs throws(ExecutionError) in
        guard let input = inputs[0], let gradient = inputs[3] else { return }
        var targets = ConvolutionGradients()
        (targets.input, targets.inputGate, targets.outputGate) = (outputs[0], outputs[1], outputs[2])
        targets.skip = gradients.skip?.sliced(axis: 0, block)
        targets.filters = gradients.filters.map {
          ConvolutionFilters(
            $0.forward.sliced(axis: 0, block), reverse: $0.reverse?.sliced(axis: 0, block))
        }
        try straightGradients(
          of: ConvolutionRows(
            input, inputGate: inputs[1], outputGate: inputs[2], skip: rows.skip?.sliced(axis: 0, block)),
          spectrum: spectrum.sliced(axis: 0, block), outputGradient: gradient, into: targets)
      }
    }
  }

  private func straightGradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws(ExecutionError) {
    let operands = try check(rows, output: outputGradient)
    let targets = try check(gradients, of: rows)
    let spectrum = unsafe try check(spectrum: spectrum, channels: operands.channels)
    try eachChannel(operands.channels, buffers: plan.chunks > 1 ? 5 : 4) { channel, row in
      unsafe self.channel(
        operands, targets, channel, row, spectrum: UnsafePointer(spectrum) + channel * plan.spectrumCount)
    }
  }

  private func channel(
    _ operands: Operands, _ targets: GradientTargets, _ channel: Int, _ row: RowTransform,
    spectrum: UnsafePointer<Float>
  ) {
    let gradient = operands.output
    if let target = targets.outputGate {
      // dv = g · (k ∗ s + D s): the forward pass with another gate.
      var again = operands
      again.outputGate = gradient
      again.output = target
      unsafe convolve(again, channel, row, spectrum: spectrum)
    }
    var upstream = operands
    upstream.input = gradient
    upstream.inputGate = operands.outputGate
    upstream.outputGate = nil
    if let skip = unsafe targets.skip {
      let range = 0..<plan.shape.length
      var sum = 0.0
      for batch in 0..<operands.batch {
        var (a, b) = unsafe (upstream.signal(batch, channel, range), operands.signal(batch, channel, range))
        unsafe sum += routines.dot(&a, &b)
      }
      unsafe skip[channel] = Float(sum)
    }
    guard targets.wantsSource || targets.wantsFilter else { return }
    let sum = unsafe row.buffer(.sum)
    unsafe sum.update(repeating: 0, count: plan.spectrumCount)
    let wraps = plan.shape.mode == .circular && !plan.pairsRows
    for batch in stride(from: 0, to: operands.batch, by: rowsAtOnce) {
      if wraps {
        unsafe circularSource(operands, upstream, targets, batch, channel, row, spectrum: spectrum, sum: sum)
        continue
      }
      unsafe source(operands, upstream, targets, batch, channel, row, spectrum: spectrum, sum: sum)
    }
    guard targets.wantsFilter else { return }
    let range = 0..<plan.shape.filterLength
    unsafe row.mask(sum)
    if wraps {
      if let target = targets.forward { unsafe circularFilter(target, channel, row, sum: sum) }
      return
    }
    let work = unsafe row.buffer(.work)
    for (target, isReverse) in [(targets.forward, false), (targets.reverse, true)] {
      guard let target else { continue }
      unsafe work.update(from: sum, count: plan.spectrumCount)
      if isReverse {
        for line in stride(from: 8, to: plan.spectrumCount, by: 16) {
          for lane in line..<line + 8 { unsafe work[lane] = -work[lane] }
        }
      }
      unsafe row.pass(GW_INVERSE, work)
      unsafe row.leave(.row(target, gate: nil, 0, channel, range), isFilter: true, from: work)
      if isReverse && plan.shape.mode == .bidirectional(lagZero: .causalOnly) {
        unsafe target.address(0, channel).assumingMemoryBound(to: Float.self).pointee = 0
      }
    }
  }

  /// Gradients of one row, or of a pair, and its share of the filter's.
  ///
  /// In pieces, the last first: with r_c the inverse of G_c conj(K), ds_c = Re r_c − Im r_(c+1), because the part of the convolution
  /// past a piece is Re of −i times it; the filter's share is G_c conj(U_c − i U_(c−1)).
  private func source(
    _ operands: Operands, _ upstream: Operands, _ targets: GradientTargets, _ batch: Int, _ channel: Int,
    _ row: RowTransform, spectrum: UnsafePointer<Float>, sum: UnsafeMutablePointer<Float>
  ) {
    let work = unsafe row.buffer(.work)
    var current = unsafe row.buffer(.input)
    let both = rowsAtOnce == 2 && batch + 1 < operands.batch
    func range(_ chunk: Int) -> Range<Int> {
      chunk * plan.size..<min(plan.shape.length, (chunk + 1) * plan.size)
    }
    func spectrumOfInput(_ chunk: Int, into buffer: UnsafeMutablePointer<Float>) {
      unsafe row.enter(
        operands.signal(batch, channel, range(chunk)),
        both ? operands.signal(batch + 1, channel, range(chunk)) : nil, into: buffer)
      unsafe row.pass(GW_SPECTRUM, buffer)
    }
    unsafe spectrumOfInput(plan.chunks - 1, into: current)
    var before = unsafe plan.chunks > 1 ? row.buffer(.before) : current
    for chunk in (0..<plan.chunks).reversed() {
      if chunk > 0 {
        unsafe spectrumOfInput(chunk - 1, into: before)
        unsafe Self.subtractTurned(before, from: current, count: plan.spectrumCount)
      }
      unsafe row.enter(
        upstream.signal(batch, channel, range(chunk)),
        both ? upstream.signal(batch + 1, channel, range(chunk)) : nil, into: work)
      unsafe row.pass(GW_GRADIENT, work, k: spectrum, u: current, dk: sum)
      if targets.wantsSource {
        var result = unsafe sourceResult(operands, upstream, targets, batch, channel, range(chunk))
        let tails =
          unsafe plan.chunks > 1
          ? (row.linear + chunk % 2 * plan.size, row.linear + (1 - chunk % 2) * plan.size)
          : (row.linear, row.linear)
        if chunk + 1 < plan.chunks {
          unsafe result.carry = UnsafePointer(tails.1)
          unsafe result.carry_scale = -1
        }
        if chunk > 0 { unsafe result.tail = tails.0 }
        unsafe row.leave(
          result, both ? sourceResult(operands, upstream, targets, batch + 1, channel, range(chunk)) : nil,
          from: work)
      }
      unsafe (current, before) = unsafe (before, current)
    }
  }

  /// ds = corr(dc, k) + D dc; du = w ds, dw = u ds.
  func sourceResult(
    _ operands: Operands, _ upstream: Operands, _ targets: GradientTargets, _ batch: Int, _ channel: Int,
    _ range: Range<Int>
  ) -> gw_result {
    var result: gw_result
    if let input = targets.input {
      unsafe result = .row(input, gate: operands.inputGate, batch, channel, range)
      if let gate = targets.inputGate {
        unsafe result.y2 = gate.address(batch, channel, range.lowerBound)
        unsafe result.gate2 = UnsafeRawPointer(operands.input.address(batch, channel, range.lowerBound))
      }
    } else {
      // Only the gate's: `wantsSource` holds.
      let gate = targets.inputGate ?? operands.output
      unsafe result = .row(gate, gate: operands.input, batch, channel, range)
    }
    if let skip = operands.skip {
      unsafe result.skip = skip.value(channel)
      unsafe result.source = upstream.signal(batch, channel, range)
    }
    return unsafe result
  }

  /// x ← x − i b.
  private static func subtractTurned(
    _ b: UnsafePointer<Float>, from x: UnsafeMutablePointer<Float>, count: Int
  ) {
    for line in stride(from: 0, to: count, by: 16) {
      for lane in line..<line + 8 {
        unsafe x[lane] += b[lane + 8]
        unsafe x[lane + 8] -= b[lane]
      }
    }
  }

  private func check(_ gradients: ConvolutionGradients, of rows: ConvolutionRows) throws(ExecutionError)
    -> GradientTargets
  {
    let (shape, type) = (rows.input.shape, rows.input.type)
    var targets = GradientTargets()
    targets.input = try optional(gradients.input, "gradient of the input", shape: shape, type: type)
    for (target, operand, name) in [
      (gradients.inputGate, rows.inputGate, "gate of the input"),
      (gradients.outputGate, rows.outputGate, "gate of the output"),
      (gradients.skip, rows.skip, "skip factors"),
    ] where target != nil && operand == nil {
      throw .invalid(kernel: "convolution", reason: "the gradient of the \(name) is wanted, there is none.")
    }
    targets.inputGate = try optional(
      gradients.inputGate, "gradient of the input's gate", shape: shape, type: type)
    targets.outputGate = try optional(
      gradients.outputGate, "gradient of the output's gate", shape: shape, type: type)
    let filterShape = [shape[1], plan.shape.filterLength]
    targets.forward = try optional(
      gradients.filters?.forward, "gradient of the filter", shape: filterShape, type: .float32)
    targets.reverse = try optional(
      gradients.filters?.reverse, "gradient of the reverse filter", shape: filterShape, type: .float32)
    if let skip = gradients.skip {
      guard skip.type == .float32, skip.shape == [shape[1]], skip.isDense, skip.storage.isOnHost else {
        throw .argumentShape(
          kernel: "convolution", tensor: "gradient of the skip factors",
          expected: "dense float32 [\(shape[1])]",
          found: skip.shape)
      }
      unsafe targets.skip = skip.address.assumingMemoryBound(to: Float.self)
    }
    return targets
  }
}
