internal import Tensors

extension SelfAttention: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard isCausal else { throw ModelError.unsupported(feature: "continuing attention to later positions") }
    return (try self(u), try AttentionDecoder(self, after: u, capacity: capacity))
  }
}

/// Attention with keys and values kept, `[B, heads, capacity, D / heads]`.
private final class AttentionDecoder: MixerDecoder {
  private let mixer: SelfAttention
  private let keys: Variable
  private let values: Variable
  private var position: Int

  init(_ mixer: SelfAttention, after u: Variable, capacity: Int) throws {
    self.mixer = mixer
    let (batch, length, width) = (u.shape[0], u.shape[1], u.shape[2])
    position = length
    let shape = [batch, mixer.heads, capacity, width / mixer.heads]
    let zeros = [Float](repeating: 0, count: shape.reduce(1, *))
    (keys, values) = (try u.device.constant(zeros, shape), try u.device.constant(zeros, shape))
    let parts = try mixer.parts(mixer.projection(u))
    try keys.store(parts[1], axis: 2, at: 0)
    try values.store(parts[2], axis: 2, at: 0)
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width) = (u.shape[0], u.shape[2])
    precondition(position < keys.shape[2], "position \(position) of \(keys.shape[2])")
    let parts = try mixer.parts(mixer.projection(u))
    try keys.store(parts[1], axis: 2, at: position)
    try values.store(parts[2], axis: 2, at: position)
    position += 1
    let (k, v) = (
      try keys.sliced(axis: 2, 0..<position), try values.sliced(axis: 2, 0..<position)
    )
    let scale = 1 / Float(width / mixer.heads).squareRoot()
    let weights = try parts[0].product(k, transposesOther: true).softmax(scale: scale)
    let mixed = try weights.product(v).permuted([0, 2, 1, 3]).reshaped([batch, 1, width])
    return try mixer.output(mixed)
  }
}
