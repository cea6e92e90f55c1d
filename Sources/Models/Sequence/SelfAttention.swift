internal import Tensors

/// Causal or full attention of several heads, with a joint projection `Wqkv`.
///
/// With 16-bit factors and no dropout of weights by a fused kernel; else scores are kept for the gradient, which is for sequences
/// of some thousand positions. Without gradients scores are there for a part of the queries at a time.
struct SelfAttention: SequenceMixer {
  let projection: AffineLayer
  let output: AffineLayer
  let heads: Int
  let isCausal: Bool
  let dropout: Float
  /// Scores that are in memory at a time where no gradient needs them; one query's at least.
  var mostScores = 1 << 24

  /// - Parameter deviation: of the output projection's weights when they are drawn.
  init(_ scope: ParameterScope, width: Int, heads: Int, isCausal: Bool, dropout: Float, deviation: Float)
    throws
  {
    projection = try AffineLayer(scope.scope("Wqkv"), inputs: width, outputs: 3 * width)
    output = try AffineLayer(scope.scope("out_proj"), inputs: width, outputs: width, deviation: deviation)
    self.heads = heads
    self.isCausal = isCausal
    self.dropout = dropout
  }

  /// Queries, keys and values `[B, heads, L, D / heads]` of what the projection gave, as views.
  func parts(_ joint: Variable) throws -> [Variable] {
    let (batch, length, width) = (joint.shape[0], joint.shape[1], joint.shape[2] / 3)
    let all = try joint.reshaped([batch, length, 3, heads, width / heads])
    return try (0..<3).map {
      try all.sliced(axis: 2, $0..<$0 + 1).permuted([0, 3, 1, 4, 2]).withoutLastAxis
    }
  }

  func callAsFunction(_ u: Variable) throws -> Variable { try mix(u) }

  /// Mixed sequences.
  ///
  /// - Parameters:
  ///   - residual: what is added to them.
  ///   - visit: is shown keys and values, `[B, heads, L, D / heads]`.
  func mix(
    _ u: Variable, adding residual: Variable? = nil,
    _ visit: (_ keys: Variable, _ values: Variable) throws -> Void = { _, _ in }
  ) throws -> Variable {
    let (b, length, d) = (u.shape[0], u.shape[1], u.shape[2])
    let joint = try projection(u)
    let parts = try parts(joint)
    try visit(parts[1], parts[2])
    let scale = 1 / Float(d / heads).squareRoot()
    if u.device.factors != u.device.scalar, dropout == 0 || !u.device.isTraining {
      let mixed = try joint.jointAttention(heads: heads, scale: scale, isCausal: isCausal)
      return try output(mixed.permuted([0, 2, 1, 3]).reshaped([b, length, d]), adding: residual)
    }
    let mixed = try attended(parts, scale: scale)
    return try output(mixed.permuted([0, 2, 1, 3]).reshaped([b, length, d]), adding: residual)
  }

  /// Values weighted by scores, `[B, heads, L, D / heads]`. Where nothing is learned a part of the queries at a time, so that memory does
  /// not grow with the square of the length.
  private func attended(_ parts: [Variable], scale: Float) throws -> Variable {
    let length = parts[0].shape[2]
    let pairs = parts[0].shape[0] * heads * length
    let rows = parts[0].device.recordsGradients ? length : max(1, min(length, mostScores / max(1, pairs)))
    let blocks = try stride(from: 0, to: length, by: rows).map { start in
      let seen = isCausal ? min(start + rows, length) : length
      let queries = try parts[0].sliced(axis: 2, start..<min(start + rows, length))
      let (keys, values) = (try parts[1].sliced(axis: 2, 0..<seen), try parts[2].sliced(axis: 2, 0..<seen))
      let weights = try queries.product(keys, transposesOther: true).softmax(scale: scale, isCausal: isCausal)
      return try weights.dropout(dropout).product(values)
    }
    return blocks.count == 1 ? blocks[0] : try .joined(blocks, axis: 2)
  }
}
