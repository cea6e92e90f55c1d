internal import Kernels
internal import Tensors

extension LinearAttention: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard isCausal else { throw ModelError.unsupported(feature: "continuing what sees later positions") }
    return (try self(u), try LinearAttentionDecoder(self, after: u))
  }
}

/// Linear attention as a recurrence: one sum of features times values, at constant cost a position.
private final class LinearAttentionDecoder: MixerDecoder {
  private let mixer: LinearAttention
  /// `[B · heads, 1, features, D / heads + 1]`; the last column belongs to ones.
  private var sums: Variable

  init(_ mixer: LinearAttention, after u: Variable) throws {
    self.mixer = mixer
    sums = try u.device.precisely {
      let parts = try mixer.parts(u, chunk: u.shape[1])
      return try mixer.expanded(parts.k).product(parts.v, transposesSelf: true)
    }
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width, last) = (u.shape[0], u.shape[2], u.shape[2] / mixer.heads)
    let mixed = try u.device.precisely {
      let parts = try mixer.parts(u, chunk: u.shape[1])
      sums = try sums + mixer.expanded(parts.k).product(parts.v, transposesSelf: true)
      let found = try mixer.expanded(parts.q).product(sums)
      return try found.sliced(axis: 3, 0..<last).map(found.sliced(axis: 3, last..<last + 1)) { $0 / $1 }
    }
    return try mixer.output(mixed.reshaped([batch, 1, width]))
  }
}
