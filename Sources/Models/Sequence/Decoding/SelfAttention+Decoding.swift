internal import Tensors

extension SelfAttention: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard isCausal else { throw ModelError.unsupported(feature: "continuing attention to later positions") }
    var decoder: AttentionDecoder?
    let mixed = try mix(u) { decoder = try AttentionDecoder(self, keys: $0, values: $1, capacity: capacity) }
    guard let decoder else { preconditionFailure("nothing was mixed") }
    return (mixed, decoder)
  }
}

/// Attention with keys and values kept, `[B, heads, capacity, D / heads]`.
private final class AttentionDecoder: MixerDecoder {
  private let mixer: SelfAttention
  private let keys: Variable
  private let values: Variable
  private var position: Int

  /// - Parameter keys: of the prompt, `[B, heads, L, D / heads]`, as are values.
  init(_ mixer: SelfAttention, keys: Variable, values: Variable, capacity: Int) throws {
    self.mixer = mixer
    position = keys.shape[2]
    var shape = keys.shape
    shape[2] = capacity
    let zeros = [Float](repeating: 0, count: shape.reduce(1, *))
    self.keys = try keys.device.constant(zeros, shape)
    self.values = try keys.device.constant(zeros, shape)
    try self.keys.store(keys, axis: 2, at: 0)
    try self.values.store(values, axis: 2, at: 0)
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
