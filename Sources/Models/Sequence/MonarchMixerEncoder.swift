internal import Kernels
internal import Tensors

/// The encoder of M2-BERT: sequences of tokens to states of every position, each of which sees all others.
///
/// Embeddings of token, segment and position, normalised; then x ← norm(MLP(h) + h) with h = mixer(x), in every layer. The only
/// way around a mixer is the convolution inside it. Tokens that fill a sequence up are mixed like any other.
///
/// Fu et al., “Monarch Mixer: a simple sub-quadratic GEMM-based architecture”, 2023, arXiv:2310.12109.
struct MonarchMixerEncoder {
  /// The embedding of tokens, `[vocabulary, D]`.
  let embedding: Variable
  private let settings: MonarchMixerSettings
  private let positions: Variable
  private let segments: Variable
  private let norm: NormLayer
  private let blocks: [(mixer: MonarchMixer, feedForward: NormalisedGatedBlockLayer)]

  init(_ scope: ParameterScope, settings: MonarchMixerSettings) throws {
    self.settings = settings
    let (d, embeddings) = (settings.width, scope.scope("embeddings"))
    func table(_ name: String, _ rows: Int) throws -> Variable {
      try embeddings.scope(name)("weight", [rows, d], .normal(deviation: 0.02))
    }
    embedding = try table("word_embeddings", settings.vocabularySize)
    positions = try table("position_embeddings", settings.longest)
    segments = try table("token_type_embeddings", settings.segments)
    norm = try NormLayer(embeddings.scope("LayerNorm"), width: d, epsilon: 1e-12)
    let layers = scope.scope("encoder").scope("layer")
    blocks = try (0..<settings.layers).map { number in
      let layer = layers.scope("\(number)")
      return (
        try MonarchMixer(layer.scope("attention"), width: d, settings: settings.mixer),
        try NormalisedGatedBlockLayer(
          layer.scope("mlp"), width: d, inner: settings.feedForward, blocks: settings.feedForwardBlocks,
          dropout: settings.dropout)
      )
    }
  }

  /// Normalised embeddings of `[batch, L]` tokens, all of segment 0, `[batch, L, D]`.
  func embedded(_ tokens: Feed<Int32>, batch: Int) throws -> Variable {
    let count = tokens.numbers.count
    let length = count / max(1, batch)
    precondition(
      length * batch == count && length >= 1 && length <= settings.longest,
      "\(count) tokens in \(batch) sequences of at most \(settings.longest)")
    let words = try embedding.rows(tokens, exceptGradientsOf: settings.padding)
      .reshaped([batch, length, settings.width])
    return try norm(words + positions.sliced(axis: 0, 0..<length) + segments.sliced(axis: 0, 0..<1))
  }

  /// States behind each layer, `[batch, L, D]`.
  func states(_ tokens: Feed<Int32>, batch: Int) throws -> [Variable] {
    var x = try embedded(tokens, batch: batch).dropout(settings.dropout)
    return try blocks.map { block in
      x = try block.feedForward(block.mixer(x))
      return x
    }
  }

  /// States behind the last layer, `[batch, L, D]`, of those before the first.
  func layers(_ states: Variable) throws -> Variable {
    try blocks.reduce(states) { try $1.feedForward($1.mixer($0)) }
  }

  /// States behind the last layer.
  func callAsFunction(_ tokens: Feed<Int32>, batch: Int) throws -> Variable {
    let all = try states(tokens, batch: batch)
    return all[all.count - 1]
  }
}

extension Variable {
  /// Rows of this table by number; where a number is `padding`, nothing is learned from what is done with the row. No number is below 0.
  func rows(_ ids: Feed<Int32>, exceptGradientsOf padding: Int32) throws -> Variable {
    let all = try rows(ids)
    // Other numbers may take the place of these where something is learned.
    guard padding >= 0, device.recordsGradients || ids.numbers.contains(padding) else { return all }
    let fixed = try detached.rows(ids)
    let counts = try device.variable(of: ids, [ids.numbers.count, 1]) { $0.map { $0 == padding ? 0 : 1 } }
    return try all.map(fixed, counts) { $2 * $0 + (1 - $2) * $1 }
  }

  /// Means over the positions of `[B, L, D]` of which `mask`, `[B · L]`, is 1, `[B, D]`.
  func mean(where mask: [Float]) throws -> Variable { try mean(of: Feed(mask)) { $0 } }

  /// The same of a mask that follows from a feed.
  func mean<Number>(of feed: Feed<Number>, where mask: @escaping ([Number]) -> [Float]) throws -> Variable {
    let (b, length, d) = (shape[0], shape[1], shape[2])
    let shares = try device.variable(of: feed, [b, length, 1]) { numbers in
      let mask = mask(numbers)
      precondition(mask.count == b * length, "\(mask.count) numbers mask \(b) sequences of \(length)")
      return (0..<b).flatMap { row in
        let part = mask[row * length..<(row + 1) * length]
        let sum = max(1e-9, part.reduce(0, +))
        return part.map { $0 / sum }
      }
    }
    return try (self * shares).sum(axes: [1]).reshaped([b, d])
  }
}
