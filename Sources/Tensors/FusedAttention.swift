internal import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// Softmax attention without scores in memory, of queries, keys and values that lie beside each other: `[B, L, 3 · heads · D]`.
  ///
  /// For 16-bit ``Device/factors``. Gradients are the same bits in every run where ``Device/isDeterministic``, and are written where
  /// they belong. Dao, 2023, arXiv:2307.08691.
  ///
  /// - Parameters:
  ///   - scale: of the scores.
  ///   - isCausal: whether a query sees the keys up to its own position only.
  /// - Returns: `[B, heads, L, D]`; lies in memory as `[B, L, heads, D]`.
  public func jointAttention(heads: Int, scale: Float, isCausal: Bool) throws -> Variable {
    let (device, shape) = (self.device, self.shape)
    let joint = try device.dense(device.converted(value, to: device.factors))
    let fused = FusedAttention(joint.headParts(heads), scale: scale, isCausal: isCausal, on: device)
    let (result, normalisers) = try fused.forward()
    return device.note(result, from: [self]) { g in
      let gradient = try device.empty(shape, joint.type)
      try fused.backward(result, normalisers, g, into: gradient.headParts(heads))
      return [.whole(gradient)]
    }
  }
}

extension Tensor {
  /// Queries, keys and values `[B, heads, L, D]` of `[B, L, 3 · heads · D]`, as views.
  fileprivate func headParts(_ heads: Int) -> [Tensor] {
    let (batch, length, size) = (shape[0], shape[1], shape[2] / 3 / heads)
    let all = reshaped([batch, length, 3, heads, size]).permuted([2, 0, 3, 1, 4])
    return (0..<3).map {
      let part = all.sliced(axis: 0, $0..<$0 + 1)
      return Tensor(
        unchecked: part.storage, byteOffset: part.byteOffset, type: part.type,
        shape: Array(part.shape.dropFirst()), strides: Array(part.strides.dropFirst()))
    }
  }
}

/// One call of fused attention.
private struct FusedAttention {
  let given: [Tensor]
  let key: AttentionKey
  let device: Device

  /// - Parameter given: queries, keys and values.
  init(_ given: [Tensor], scale: Float, isCausal: Bool, on device: Device) {
    precondition(device.factors != device.scalar, "fused attention takes 16-bit factors")
    self.given = given
    self.device = device
    key = AttentionKey(
      heads: given[0].shape[1], size: given[0].shape[3], mask: isCausal ? .causal : .full, scale: scale,
      type: device.factors)
  }

  /// The result, and what gradients need beside it.
  func forward() throws -> (result: Tensor, normalisers: Tensor) {
    let (batch, length) = (given[0].shape[0], given[0].shape[2])
    let result = try device.empty([batch, length, key.heads, key.size], key.type).permuted([0, 2, 1, 3])
    let normalisers = try device.empty([batch, key.heads, length])
    let kernel = try device.kernel(key) {
      try Attention.kernel(
        .gpu(kvHeads: key.heads, group: 1, headSize: key.size, mask: key.mask, type: key.type),
        mask: key.mask, scale: key.scale)
    }
    try kernel.run(given + [result, normalisers], integers: [length])
    return (result, normalisers)
  }

  /// Writes the gradients of queries, keys and values.
  func backward(_ result: Tensor, _ normalisers: Tensor, _ g: Tensor, into targets: [Tensor]) throws {
    let (batch, length) = (given[0].shape[0], given[0].shape[2])
    let isDeterministic = device.isDeterministic
    let gradientKey = AttentionGradientKey(
      forward: key, batch: batch, length: length, isDeterministic: isDeterministic)
    let gradients = try device.once(gradientKey) {
      try AttentionGradients(
        AttentionBackward.Shape(
          kvHeads: key.heads, group: 1, headSize: key.size, type: key.type, mask: key.mask,
          isDeterministic: isDeterministic),
        mask: key.mask, scale: key.scale, batch: batch, queries: length, executor: device.operationExecutor)
    }
    try gradients(
      q: given[0], k: given[1], v: given[2], y: result, lse: normalisers,
      dy: device.converted(g, to: key.type), dq: targets[0], dk: targets[1], dv: targets[2])
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
  let isDeterministic: Bool
}
