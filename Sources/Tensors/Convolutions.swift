public import Fourier
internal import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// Convolution of sequences `[B, H, L]` with filters `[H, taps]`: gateAfter · (k ∗ s + skip · s) with s = gateBefore · this.
  ///
  /// On the cores and GPUs by ``Kernels/LongConvolution``; in float64 by its definition.
  ///
  /// - Parameters:
  ///   - filter: what comes from earlier numbers, and from the number itself.
  ///   - reverse: what comes from later ones, for ``Fourier/ConvolutionMode/bidirectional(lagZero:)``.
  ///   - mode: how the filter meets the ends.
  ///   - skip: `[H]`.
  ///   - gateBefore: `[B, H, L]`.
  ///   - gateAfter: `[B, H, L]`.
  public func convolved(
    _ filter: Variable, reverse: Variable? = nil, mode: ConvolutionMode = .causal, skip: Variable? = nil,
    gateBefore: Variable? = nil, gateAfter: Variable? = nil
  ) throws -> Variable {
    precondition(mode.hasReverse == (reverse != nil), "two-sided convolutions have two filters, others one")
    guard device.convolvesByTransforms(self.shape[2]) || mode == .circular && device.scalar == .float32 else {
      return try defined(filter, reverse, mode, skip, gateBefore, gateAfter)
    }
    let (device, taps, type) = (self.device, filter.shape[1], self.device.factors)
    let shape = try ConvolutionShape(mode: mode, length: self.shape[2], filterLength: taps)
    let convolution = try device.longConvolution(shape, channels: self.shape[1], type)
    func row(_ variable: Variable) throws -> Tensor { try device.converted(variable.value, to: type) }
    let rows = ConvolutionRows(
      try row(self), inputGate: try gateBefore.map(row), outputGate: try gateAfter.map(row),
      skip: try skip.map { try device.dense($0.value) })
    let filters = ConvolutionFilters(
      try device.dense(filter.value), reverse: try reverse.map { try device.dense($0.value) })
    let spectrum = try convolution.spectrum(of: filters)
    let result = try device.sequences(self.shape, type)
    try convolution.apply(rows, .spectrum(spectrum), into: result)
    let inputs = [self, filter, reverse, skip, gateBefore, gateAfter].compactMap { $0 }
    return device.noteAdding([result], from: inputs) { gradients, inputGradients in
      guard let g = gradients[0] else { return [] }
      var placed: [ObjectIdentifier] = []
      func target(_ variable: Variable?) throws -> Tensor? {
        guard let variable, variable.needsGradient else { return nil }
        // Rows that are a part of something larger have their gradients written into that of the larger. On the cores those lie in
        // another order.
        if variable.value.type == type, !device.keepsChannelsApart,
          let input = inputs.firstIndex(where: { $0 === variable }),
          let place = try inputGradients.place(input)
        {
          placed.append(ObjectIdentifier(variable))
          return place
        }
        return try variable.shape.count == 3
          ? device.sequences(variable.shape, type) : device.empty(variable.shape)
      }
      var targets = ConvolutionGradients()
      targets.input = try target(self)
      targets.inputGate = try target(gateBefore)
      targets.outputGate = try target(gateAfter)
      targets.skip = try target(skip)
      if filter.needsGradient || reverse?.needsGradient == true {
        targets.filters = ConvolutionFilters(
          try device.empty(filter.shape), reverse: try reverse.map { try device.empty($0.shape) })
      }
      try convolution.gradients(
        of: rows, spectrum: spectrum, outputGradient: device.converted(g, to: type), into: targets)
      let found: [(Variable?, Tensor?)] = [
        (self, targets.input), (filter, targets.filters?.forward), (reverse, targets.filters?.reverse),
        (skip, targets.skip), (gateBefore, targets.inputGate), (gateAfter, targets.outputGate),
      ]
      return found.compactMap { variable, tensor in
        variable.map { variable in
          placed.contains(ObjectIdentifier(variable)) ? .placed : tensor.map { .whole($0) }
        }
      }
    }[0]
  }

  /// The same with gates and skip term as operations of their own, around a sum without transforms.
  private func defined(
    _ filter: Variable, _ reverse: Variable?, _ mode: ConvolutionMode, _ skip: Variable?,
    _ gateBefore: Variable?, _ gateAfter: Variable?
  ) throws -> Variable {
    let s = try gateBefore.map { try self * $0 } ?? self
    var (ahead, back) = (filter, reverse)
    switch mode {
    case .causal: break
    case .circular: preconditionFailure("circular convolutions have no definition here")
    case .bidirectional(let lagZero):
      if let reverse {
        let taps = reverse.shape[1]
        back = try reverse.sliced(axis: 1, 1..<taps)
        if lagZero == .both {
          ahead = try filter + reverse.sliced(axis: 1, 0..<1).padded(axis: 1, after: taps - 1)
        }
      }
    }
    let result: Variable
    if device.scalar == .float64 {
      let later = try back.map { try s.definedConvolution($0.padded(axis: 1, before: 1), isAdjoint: true) }
      let earlier = try s.definedConvolution(ahead, isAdjoint: false)
      result = try later.map { try earlier + $0 } ?? earlier
    } else {
      result = try s.toeplitzConvolution(ahead, back: back)
    }
    let factor = try skip.map { try $0.reshaped([$0.shape[0], 1]) }
    switch (factor, gateAfter) {
    case (let factor?, let gate?):
      return try Variable.pointwise([result, s, factor, gate]) { [($0[0] + $0[1] * $0[2]) * $0[3]] }[0]
    case (let factor?, nil): return try result.map(s, factor) { $0 + $1 * $2 }
    case (nil, let gate?): return try result * gate
    case (nil, nil): return result
    }
  }

  /// k ∗ this, or with `isAdjoint` Σ k[s] · this[t + s], summed as it is written: for short sequences.
  public func definedConvolution(_ filter: Variable, isAdjoint: Bool) throws -> Variable {
    let (device, u, k) = (self.device, value, filter.value)
    let kind = DirectConvolution(
      takesChannels: shape[1] > shape[0], rows: min(32, max(shape[0], shape[1]).nextPowerOfTwo),
      columns: max(8, shape[2].nextPowerOfTwo))
    func run(_ x: Tensor, isAdjoint: Bool) throws -> Tensor {
      let result = try device.empty(x.shape)
      try device.kernel(DirectKey(kind: kind, variant: isAdjoint ? 1 : 0)) {
        try kind.kernel(isAdjoint: isAdjoint)
      }.run([x, k, result])
      return result
    }
    return device.note(try run(u, isAdjoint: isAdjoint), from: [self, filter]) { g in
      let dk = try device.empty(k.shape)
      // Σ over t of g[t] · u[t − s]; for the adjoint the two change sides.
      try device.kernel(DirectKey(kind: kind, variant: 2)) { try kind.filterGradient() }
        .run(isAdjoint ? [g, u, dk] : [u, g, dk])
      return [.whole(try run(g, isAdjoint: !isAdjoint)), .whole(dk)]
    }
  }

  /// Convolution of sequences `[B, H, L]` with short filters `[H, K]`, causal and with a bias `[H]`.
  public func shortConvolved(_ filter: Variable, bias: Variable) throws -> Variable {
    let (device, shape) = (self.device, self.shape)
    if device.scalar == .float64 {
      // The last tap of a short filter multiplies the newest number, the first of a long one does.
      let taps = try (0..<filter.shape[1]).reversed().map { try filter.sliced(axis: 1, $0..<$0 + 1) }
      let result = try definedConvolution(.joined(taps, axis: 1), isAdjoint: false)
      return try result + bias.reshaped([shape[1], 1])
    }
    let type = device.factors
    let kind = try ShortConvolutionShape(width: filter.shape[1], type: type)
    let convolution = try device.once(kind) { try ShortConvolution(kind, on: device.operationExecutor) }
    let weights = ShortConvolution.Filter(weights: filter.value, bias: bias.value)
    let result = try device.sequences(shape, type)
    let x = try device.converted(value, to: type)
    try convolution.apply(x, weights, into: result)
    return device.note(result, from: [self, filter, bias]) { g in
      let key = ShortGradientKey(kind: kind, shape: shape)
      let gradients = try device.once(key) {
        try ShortConvolutionGradients(
          kind, batch: shape[0], channels: shape[1], length: shape[2], on: device.operationExecutor)
      }
      let targets = ShortConvolutionGradients.Targets(
        input: try device.sequences(shape, type), weights: try device.empty(filter.shape),
        bias: try device.empty(bias.shape))
      try gradients(of: x, weights, outputGradient: device.converted(g, to: type), into: targets)
      return [.whole(targets.input), .whole(targets.weights)] + (targets.bias.map { [.whole($0)] } ?? [])
    }
  }
}

extension Device {
  /// Whether long convolutions of sequences of that length are made by transforms: below some length those cost more than they save.
  func convolvesByTransforms(_ length: Int) -> Bool {
    scalar == .float32 && (length > 64 || factors != scalar)
  }

  /// The convolution of that shape, made once.
  func longConvolution(_ shape: ConvolutionShape, channels: Int, _ type: ElementType) throws
    -> LongConvolution
  {
    try once(ConvolutionKey(shape: shape, channels: channels, type: type)) {
      try LongConvolution(shape, channels: channels, type: type, on: operationExecutor)
    }
  }

  /// Whether sequences `[B, H, L]` of channels lie as `[H, B, L]`.
  ///
  /// A channel's numbers are rows beside each other then, and all of a batch is one matrix `[H, B · L]`, which projections read
  /// and write as it is: best for cores. Kernels of GPUs take tiles that reach over channels of one sequence.
  public var keepsChannelsApart: Bool { executor.sharesHostMemory }

  /// Memory for sequences `[B, H, L]`.
  func sequences(_ shape: [Int], _ type: ElementType) throws -> Tensor {
    guard keepsChannelsApart else { return try empty(shape, type) }
    return try empty([shape[1], shape[0], shape[2]], type).permuted([1, 0, 2])
  }
}

private struct ConvolutionKey: Hashable {
  let shape: ConvolutionShape
  let channels: Int
  let type: ElementType
}

private struct DirectKey: Hashable {
  let kind: DirectConvolution
  let variant: Int
}

private struct ShortGradientKey: Hashable {
  let kind: ShortConvolutionShape
  let shape: [Int]
}
