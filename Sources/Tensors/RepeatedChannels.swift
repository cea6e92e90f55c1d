internal import Kernels
internal import Memory

extension Variable {
  /// Positions `[B, L, D]` as channels, several times over: `[B, times · D, L]`.
  ///
  /// Once is a view where matrices are not turned fast; else it takes one pass, and one for the gradient, which adds to what is known
  /// of this variable's.
  ///
  /// - Parameters:
  ///   - times: how often, 1 at least.
  ///   - isRounded: whether what is written is of the type of factors.
  public func channels(times: Int, isRounded: Bool) throws -> Variable {
    precondition(times > 0 && shape.count == 3, "\(shape) \(times) times")
    if times == 1, !device.hasManyCores || !isRounded { return try permuted([0, 2, 1]) }
    let (device, shape, own) = (self.device, self.shape, value.type)
    let (batch, length, width) = (shape[0], shape[1], shape[2])
    func parts(_ channels: Tensor) -> [Tensor] {
      (0..<times).map { channels.sliced(axis: 1, $0 * width..<($0 + 1) * width) }
    }
    let result = try device.sequences([batch, times * width, length], isRounded ? device.factors : own)
    if device.turnsFast(value, into: result) {
      try device.turn(value, into: result, copies: times)
    } else if times == 1 {
      return try permuted([0, 2, 1])
    } else {
      let copies = PointwiseFunction(inputs: 1) { terms in (0..<times).map { _ in terms[0] } }
      _ = try device.pointwise(copies, [value.permuted([0, 2, 1])], into: parts(result))
    }
    return device.noteAdding([result], from: [self]) { gradients, inputGradients in
      guard let gradient = gradients[0] else { return [] }
      let before = inputGradients.known(0).flatMap { $0.type == own ? $0 : nil }
      let total = try device.empty(shape, own)
      if before == nil, device.turnsFast(gradient, into: total) {
        try device.turn(gradient, parts: times, into: total)
        return [.whole(total)]
      }
      let inputs = (before.map { [$0] } ?? []) + parts(gradient).map { $0.permuted([0, 2, 1]) }
      let sum = PointwiseFunction(inputs: inputs.count) { terms in [terms[1...].reduce(terms[0], +)] }
      _ = try device.pointwise(sum, inputs, into: [total])
      return [before == nil ? .whole(total) : .total(total)]
    }[0]
  }
}
