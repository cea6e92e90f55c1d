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
    let up: AffineLayer
    let down: AffineLayer
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
    let layers = backbone.scope("layers")
    blocks = try (0..<settings.layers).map { number in
      let scope = layers.scope("\(number)")
      let mlp = scope.scope("mlp")
      return Block(
        mixerNorm: try NormLayer(scope.scope("norm1"), width: d),
        mixer: try settings.makeMixer(scope.scope("mixer"), layer: number, deviation: deviation),
        feedForwardNorm: try NormLayer(scope.scope("norm2"), width: d),
        up: try AffineLayer(mlp.scope("fc1"), inputs: d, outputs: settings.feedForward),
        down: try AffineLayer(
          mlp.scope("fc2"), inputs: settings.feedForward, outputs: d, deviation: deviation))
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
    let inner = try block.up(block.feedForwardNorm(mixed)).activated(.geluTanh)
    return try mixed.adding(block.down(inner), dropping: settings.residualDropout)
  }
}

extension SequenceSettings {
  fileprivate func makeMixer(
    _ scope: ParameterScope, layer: Int, deviation: Float
  ) throws -> any SequenceMixer {
    let mixer = attentionLayers.contains(layer) ? .attention : mixer
    switch mixer {
    case .h3(let states, let headWidth):
      return try H3(scope, width: width, settings: H3.Settings(states: states, headWidth: headWidth))
    case .s4d(let states): return try S4D(scope, width: width, states: states, dropout: 0)
    case .attention:
      return try SelfAttention(
        scope, width: width, heads: heads, isCausal: true, dropout: attentionDropout, deviation: deviation)
    case .hyena(
      let order, let filterWidth, let features, let frequency, let hasWindow, let innerLayers, let shortTaps,
      let windowShift):
      let filter = ImplicitFilter.Settings(
        features: features, width: filterWidth, innerLayers: innerLayers, frequency: frequency,
        hasWindow: hasWindow, windowShift: windowShift, longest: longest)
      return try Hyena(
        scope, width: width, settings: Hyena.Settings(order: order, shortTaps: shortTaps, filter: filter),
        deviation: deviation)
    }
  }
}

extension Variable {
  /// This plus another of which a share is dropped.
  func adding(_ other: Variable, dropping share: Float) throws -> Variable {
    try self + other.dropout(share)
  }
}
