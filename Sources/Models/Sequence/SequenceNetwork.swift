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
  private let embedding: Variable
  private let positions: Variable?
  private let blocks: [Block]
  private let norm: NormLayer

  private struct Block {
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
    try hidden(tokens, batch: batch).product(embedding, transposesOther: true)
  }

  /// Normalised outputs of the last block, `[batch, L, D]`.
  public func hidden(_ tokens: [Int32], batch: Int) throws -> Variable {
    let length = tokens.count / max(1, batch)
    precondition(
      length * batch == tokens.count && length >= 1, "\(tokens.count) tokens in \(batch) sequences")
    precondition(length <= settings.longest, "\(length) positions of \(settings.longest)")
    var x = try embedding.rows(tokens).reshaped([batch, length, settings.width])
    if let positions { x = try x + positions.sliced(axis: 0, 0..<length) }
    x = try x.dropout(settings.embeddingDropout)
    for block in blocks {
      x = try recomputesBlocks ? x.recomputed { try self.apply(block, to: $0) } : apply(block, to: x)
    }
    return try norm(x)
  }

  private func apply(_ block: Block, to x: Variable) throws -> Variable {
    let mixed = try x.adding(block.mixer(block.mixerNorm(x)), dropping: settings.residualDropout)
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
