internal import Kernels
internal import Tensors

extension SequenceNetwork {
  /// Normalised outputs of the last block at the last position, `[batch, D]`, where nobody asks for gradients.
  ///
  /// - Parameters:
  ///   - x: what goes into the first block, `[batch, L, D]`.
  ///   - mix: is given the number of a block, and what its mixer takes.
  func last(of x: Variable, _ mix: (_ block: Int, _ u: Variable) throws -> Variable) throws -> Variable {
    let (batch, length) = (x.shape[0], x.shape[1])
    func end(_ x: Variable) throws -> Variable { try x.sliced(axis: 1, length - 1..<length) }
    var x = x
    var u = try blocks.first.map { try $0.mixerNorm(x) } ?? x
    for (number, block) in blocks.enumerated() {
      var mixed = try mix(number, u)
      let isLast = number + 1 == blocks.count
      // Nothing but states comes of other positions from here on.
      if isLast { (x, mixed) = (try end(x), try end(mixed)) }
      (x, u) = try block.feedForwardNorm(adding: mixed, to: x)
      let change = try block.feedForward(u)
      guard !isLast else {
        x = try x + change
        break
      }
      (x, u) = try blocks[number + 1].mixerNorm(adding: change, to: x)
    }
    return try norm(x).reshaped([batch, settings.width])
  }
}

extension NormLayer {
  /// A sum and its normalised rows, `[…, D]`.
  func callAsFunction(adding change: Variable, to x: Variable) throws -> (sum: Variable, normalised: Variable)
  {
    try x.adding(change, normalisedBy: .layer(epsilon: epsilon), weight: weight, bias: bias)
  }
}
