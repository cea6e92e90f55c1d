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

/// Attention with keys and values kept, `[B, heads, room, D / heads]`: room doubles when it is full, up to the capacity.
private final class AttentionDecoder: MixerDecoder {
  private let mixer: SelfAttention
  private var keys: Variable
  private var values: Variable
  private var position: Int
  private let capacity: Int

  /// - Parameter keys: of the prompt, `[B, heads, L, D / heads]`, as are values.
  init(_ mixer: SelfAttention, keys: Variable, values: Variable, capacity: Int) throws {
    self.mixer = mixer
    self.capacity = capacity
    position = keys.shape[2]
    let room = min(capacity, position + 64)
    (self.keys, self.values) = (try Self.moved(keys, to: room), try Self.moved(values, to: room))
  }

  /// The same numbers where there is room for more.
  private static func moved(_ numbers: Variable, to room: Int) throws -> Variable {
    var shape = numbers.shape
    shape[2] = room
    let result = try numbers.device.constant([Float](repeating: 0, count: shape.reduce(1, *)), shape)
    try result.store(numbers, axis: 2, at: 0)
    return result
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width) = (u.shape[0], u.shape[2])
    precondition(position < capacity, "position \(position) of \(capacity)")
    if position == keys.shape[2] {
      let room = min(capacity, 2 * position)
      (keys, values) = (try Self.moved(keys, to: room), try Self.moved(values, to: room))
    }
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
