internal import Kernels
public import Tensors

/// The layers of BERT's encoder, which M2-BERT is compared with: states of every position, each of which sees all others.
///
/// h = norm(x + attention(x)), x ← norm(h + W₂ GELU(W₁ h)), with biases and the exact GELU. Devlin et al., “BERT: pre-training of
/// deep bidirectional transformers”, 2018, arXiv:1810.04805.
public final class TransformerEncoder {
  /// What it is built with.
  public struct Settings: Sendable, Hashable {
    /// Numbers of a position, D.
    public var width: Int
    /// Blocks.
    public var layers: Int
    /// Heads of attention.
    public var heads: Int
    /// Inner width of the feed-forward layers.
    public var feedForward: Int

    /// Heads of 64 numbers and four times the width inside, as published.
    public init(width: Int, layers: Int) {
      (self.width, self.layers) = (width, layers)
      (heads, feedForward) = (max(1, width / 64), 4 * width)
    }
  }

  /// Its parameters.
  public let parameters: ParameterSet
  private let blocks: [Block]

  private struct Block {
    let attention: SelfAttention
    let attentionNorm: NormLayer
    let up: AffineLayer
    let down: AffineLayer
    let norm: NormLayer
  }

  /// - Throws: ``ModelError`` where parameters are read and do not fit.
  public init(_ settings: Settings, _ parameters: ParameterSet) throws {
    self.parameters = parameters
    let (d, inner) = (settings.width, settings.feedForward)
    let layers = parameters.scope("encoder").scope("layer")
    blocks = try (0..<settings.layers).map { number in
      let scope = layers.scope("\(number)")
      return Block(
        attention: try SelfAttention(
          scope.scope("attention"), width: d, heads: settings.heads, isCausal: false, dropout: 0,
          deviation: 0.02),
        attentionNorm: try NormLayer(scope.scope("attention").scope("LayerNorm"), width: d, epsilon: 1e-12),
        up: try AffineLayer(scope.scope("intermediate"), inputs: d, outputs: inner),
        down: try AffineLayer(scope.scope("output"), inputs: inner, outputs: d),
        norm: try NormLayer(scope.scope("LayerNorm"), width: d, epsilon: 1e-12))
    }
  }

  /// States behind the last layer, `[batch, L, D]`, of those before the first.
  public func callAsFunction(_ states: Variable) throws -> Variable {
    try blocks.reduce(states) { x, block in
      let h = try block.attentionNorm(block.attention.mix(x, adding: x))
      return try block.norm(block.down(block.up(h, activation: .gelu), adding: h))
    }
  }
}
