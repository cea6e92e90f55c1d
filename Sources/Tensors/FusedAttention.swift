internal import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// Softmax attention without scores in memory, this being the queries `[B, heads, L, D]`.
  ///
  /// For 16-bit ``Device/factors``. Gradients are the same bits in every run. Dao, 2023, arXiv:2307.08691.
  ///
  /// - Parameters:
  ///   - keys: `[B, heads, N, D]`, as are values.
  ///   - scale: of the scores.
  ///   - isCausal: whether a query sees the keys up to its own position only.
  /// - Returns: as the queries; lies in memory as `[B, L, heads, D]`.
  public func attention(keys: Variable, values: Variable, scale: Float, isCausal: Bool) throws -> Variable {
    let (device, shape, type) = (self.device, self.shape, self.device.factors)
    precondition(type != device.scalar, "fused attention takes 16-bit factors")
    let (batch, heads, length, size) = (shape[0], shape[1], shape[2], shape[3])
    let mask = isCausal ? Attention.Mask.causal : .full
    let key = AttentionKey(heads: heads, size: size, mask: mask, scale: scale, type: type)
    let given = try [self, keys, values].map { try device.converted($0.value, to: type) }
    let result = try device.empty([batch, length, heads, size], type).permuted([0, 2, 1, 3])
    let normalisers = try device.empty([batch, heads, length])
    let kernel = try device.kernel(key) {
      try Attention.kernel(
        .gpu(kvHeads: heads, group: 1, headSize: size, mask: mask, type: type), mask: mask, scale: scale)
    }
    try kernel.run(given + [result, normalisers], integers: [length])
    return device.note(result, from: [self, keys, values]) { g in
      let gradients = try device.once(AttentionGradientKey(forward: key, batch: batch, length: length)) {
        try AttentionGradients(
          AttentionBackward.Shape(
            kvHeads: heads, group: 1, headSize: size, type: type, mask: mask, isDeterministic: true),
          mask: mask, scale: scale, batch: batch, queries: length, executor: device.executor)
      }
      let targets = try given.map { try device.empty($0.shape, type) }
      try gradients(
        q: given[0], k: given[1], v: given[2], y: result, lse: normalisers,
        dy: device.converted(g, to: type), dq: targets[0], dk: targets[1], dv: targets[2])
      return targets.map { .whole($0) }
    }
  }
}

private struct AttentionKey: Hashable {
  let heads: Int
  let size: Int
  let mask: Attention.Mask
  let scale: Float
  let type: ElementType
}

private struct AttentionGradientKey: Hashable {
  let forward: AttentionKey
  let batch: Int
  let length: Int
}
