internal import Kernels
internal import Tensors

/// Monarch Mixer's mixing of channels: block-diagonal, gated, block-diagonal.
///
/// y = W₂ (GELU(g) · h) + b with [g, h] = W₁ x, both W in blocks and without a permutation between: the first half of the blocks
/// makes gates of the first half of the channels, the second half makes what they multiply. Across blocks only the sequence
/// mixer's projections reach.
///
/// Fu et al., “Monarch Mixer: a simple sub-quadratic GEMM-based architecture”, 2023, arXiv:2310.12109.
struct GatedBlockLayer {
  /// What gates go through.
  static let activation = Activation.gelu

  let up: BlockDiagonalLayer
  let down: BlockDiagonalLayer

  init(_ scope: ParameterScope, width: Int, inner: Int, blocks: Int) throws {
    up = try BlockDiagonalLayer(
      scope.scope("gated_layers"), inputs: width, outputs: 2 * inner, blocks: blocks, hasBias: false)
    down = try BlockDiagonalLayer(scope.scope("wo"), inputs: inner, outputs: width, blocks: blocks)
  }

  /// `[…, D]` → `[…, D]`.
  ///
  /// - Parameters:
  ///   - dropout: share of the gated numbers that is dropped.
  ///   - residual: as the result, added to it.
  func callAsFunction(_ x: Variable, dropout: Float = 0, adding residual: Variable? = nil) throws -> Variable
  {
    try down(up.gated(x, Self.activation).dropout(dropout), adding: residual)
  }
}

/// ``GatedBlockLayer`` with a skip and a normalisation behind it, as M2-BERT has it.
struct NormalisedGatedBlockLayer {
  private let layer: GatedBlockLayer
  private let norm: NormLayer
  private let dropout: Float

  init(
    _ scope: ParameterScope, width: Int, inner: Int, blocks: Int, dropout: Float, epsilon: Float = 1e-12
  ) throws {
    layer = try GatedBlockLayer(scope, width: width, inner: inner, blocks: blocks)
    norm = try NormLayer(scope.scope("layernorm"), width: width, epsilon: epsilon)
    self.dropout = dropout
  }

  /// `[…, D]` → `[…, D]`.
  func callAsFunction(_ x: Variable) throws -> Variable { try norm(layer(x, dropout: dropout, adding: x)) }
}
