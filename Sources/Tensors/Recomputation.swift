internal import Memory

extension Variable {
  /// `body` of this variable, of which nothing is kept but the result: ``backward()`` computes it again.
  ///
  /// Dropout drops the same numbers both times. Costs one more forward pass; memory is that of one body at a time.
  /// Chen et al., “Training deep nets with sublinear memory cost”, 2016, arXiv:1604.06174.
  ///
  /// - Parameter body: a function of its argument and of leaves alone.
  public func recomputed(_ body: @escaping (Variable) throws -> Variable) throws -> Variable {
    guard device.recordsGradients, needsGradient else { return try body(self) }
    let (device, input, before) = (self.device, value, self.device.drawn)
    let result = try device.notRecording { try body(detached).value }
    return device.note(result, from: [self]) { g in
      let after = device.drawn
      device.drawn = before
      defer { device.drawn = after }
      let leaf = Variable(input, on: device, needsGradient: true)
      let again = try body(leaf)
      try again.backward(from: device.converted(g, to: again.value.type))
      return [leaf.gradient.map { .whole($0) }]
    }
  }
}
