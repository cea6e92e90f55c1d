internal import Kernels
public import Tensors

/// A language model of pre-norm blocks, x ← x + mixer(norm(x)), x ← x + MLP(norm(x)), that trains.
///
/// The mixer is any of ``SequenceSettings/Mixer``; embedding and head share their weights. Parameters are named as in the
/// published checkpoints of H3 and Hyena.
public final class SequenceNetwork {
  /// What it was built with.
  public let settings: SequenceSettings
  /// Its parameters.
  public let parameters: ParameterSet
  /// Whether gradients are found from the inputs of blocks alone, which takes less memory and a third more time.
  public var recomputesBlocks = false
  let embedding: Variable
  let positions: Variable?
  let blocks: [Block]
  let norm: NormLayer

  /// A mixer and feed-forward layers, each behind a norm.
  struct Block {
    let mixerNorm: NormLayer
    let mixer: any SequenceMixer
    let feedForwardNorm: NormLayer
    let feedForward: FeedForward
  }

  /// - Throws: ``ModelError`` where parameters are read and do not fit.
  public init(_ settings: SequenceSettings, _ parameters: ParameterSet) throws {
    self.settings = settings
    self.parameters = parameters
    let (d, backbone) = (settings.width, parameters.scope("backbone"))
    let embeddings = backbone.scope("embeddings")
    embedding = try embeddings.scope("word_embeddings")(
      "weight", [settings.embeddingRows, d], .normal(deviation: 0.02))
    positions =
      settings.learnsPositions
      ? try embeddings.scope("position_embeddings")(
        "weight", [settings.longest, d], .normal(deviation: 0.02)) : nil
    // The sum over all layers is about as large however many there are.
    let deviation = 0.02 / Float(2 * settings.layers).squareRoot()
    let context = MixerContext(
      width: d, longest: settings.longest, heads: settings.heads, isCausal: true, deviation: deviation,
      attentionDropout: settings.attentionDropout)
    let layers = backbone.scope("layers")
    blocks = try (0..<settings.layers).map { number in
      let scope = layers.scope("\(number)")
      let mixer = settings.attentionLayers.contains(number) ? .attention : settings.mixer
      return Block(
        mixerNorm: try NormLayer(scope.scope("norm1"), width: d),
        mixer: try mixer.make(scope.scope("mixer"), context),
        feedForwardNorm: try NormLayer(scope.scope("norm2"), width: d),
        feedForward: try settings.feedForwardKind.make(
          scope.scope("mlp"), width: d, inner: settings.feedForward, deviation: deviation))
    }
    norm = try NormLayer(backbone.scope("ln_f"), width: d)
  }

  /// Logits of the next token at every position.
  ///
  /// - Parameters:
  ///   - tokens: `[batch, L]`, row by row, each below the vocabulary's size.
  ///   - batch: sequences.
  /// - Returns: `[batch, L, rows of the embedding]`; rows past the vocabulary stand for no token.
  public func logits(_ tokens: [Int32], batch: Int) throws -> Variable {
    try logits(Feed(tokens), batch: batch)
  }

  /// The same of tokens that may be replaced.
  public func logits(_ tokens: Feed<Int32>, batch: Int) throws -> Variable {
    try head(hidden(tokens, batch: batch))
  }

  /// Logits of outputs of ``hidden(_:batch:)``.
  func head(_ hidden: Variable) throws -> Variable {
    try hidden.product(embedding.asRightFactor(), transposesOther: true)
  }

  /// Normalised outputs of the last block, `[batch, L, D]`.
  public func hidden(_ tokens: [Int32], batch: Int) throws -> Variable {
    try hidden(Feed(tokens), batch: batch)
  }

  /// The same of tokens that may be replaced.
  public func hidden(_ tokens: Feed<Int32>, batch: Int) throws -> Variable {
    let count = tokens.numbers.count
    let length = count / max(1, batch)
    precondition(length * batch == count && length >= 1, "\(count) tokens in \(batch) sequences")
    precondition(
      longestContext.map { length <= $0 } ?? true, "\(length) positions of \(settings.longest)")
    var x = try embedded(tokens, batch: batch, from: 0)
    for block in blocks {
      x = try recomputesBlocks ? x.recomputed { try self.apply(block, to: $0) } : apply(block, to: x)
    }
    return try norm(x)
  }

  private func embedded(_ tokens: Feed<Int32>, batch: Int, from start: Int) throws -> Variable {
    let length = tokens.numbers.count / batch
    let x = try embedding.rows(tokens).reshaped([batch, length, settings.width])
    guard let positions else { return try x.dropout(settings.embeddingDropout) }
    return try (x + positions.sliced(axis: 0, start..<start + length)).dropout(settings.embeddingDropout)
  }

  /// Positions that sequences can have; `nil` for any number, of recurrences without learned positions.
  public var longestContext: Int? {
    let isBounded = settings.learnsPositions || !settings.mixer.isRecurrent
    return isBounded ? settings.longest : nil
  }

  /// Normalised outputs of the last block at the last position, `[batch, D]`, where somebody else runs the mixers.
  ///
  /// - Parameter mix: is given the number of a block, and what its mixer takes.
  func last(
    _ tokens: [Int32], batch: Int, _ mix: (_ block: Int, _ u: Variable) throws -> Variable
  ) throws -> Variable {
    try last(of: embedded(Feed(tokens), batch: batch, from: 0), mix)
  }

  /// Outputs for one more position of each sequence, `[batch, 1, D]`.
  func continued(_ tokens: [Int32], at position: Int, _ decoders: [any MixerDecoder]) throws -> Variable {
    var x = try embedded(Feed(tokens), batch: tokens.count, from: position)
    for (block, decoder) in zip(blocks, decoders) { x = try apply(block, to: x) { try decoder.step($0) } }
    return try norm(x)
  }

  private func apply(_ block: Block, to x: Variable) throws -> Variable {
    try apply(block, to: x) { try block.mixer($0) }
  }

  /// - Parameter mix: the block's mixer, or a step of it.
  private func apply(
    _ block: Block, to x: Variable, _ mix: (Variable) throws -> Variable
  ) throws -> Variable {
    let mixed = try x.adding(mix(block.mixerNorm(x)), dropping: settings.residualDropout)
    return try mixed.adding(
      block.feedForward(block.feedForwardNorm(mixed)), dropping: settings.residualDropout)
  }
}

extension Variable {
  /// This plus another of which a share is dropped.
  func adding(_ other: Variable, dropping share: Float) throws -> Variable {
    try self + other.dropout(share)
  }
}
