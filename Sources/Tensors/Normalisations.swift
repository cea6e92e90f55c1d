public import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// Each row `[…, D]` normalised, times a weight `[D]`, plus a bias `[D]` for ``Kernels/Normalisation/layer(epsilon:)``.
  public func normalised(_ norm: Normalisation, weight: Variable, bias: Variable? = nil) throws -> Variable {
    let (device, width) = (self.device, shape[shape.count - 1])
    let rows = value.count / max(1, width)
    let x = try device.dense(value).reshaped([rows, width])
    let result = try device.empty([rows, width], device.factors)
    // Where there are enough for all cores, several at a time on each.
    let rounds = device.hasManyCores && rows >= 256 * device.executor.cores ? 4 : 1
    let key = NormKey(
      norm: norm, width: width, input: device.kernelType(x), output: device.kernelType(result), rounds: rounds
    )
    try device.kernel(key) {
      try norm.kernel(width: width, input: key.input, output: key.output, rounds: rounds)
    }
    .run([x, weight.value] + (bias.map { [$0.value] } ?? []) + [result])
    let shape = self.shape
    let inputs = [self, weight] + (bias.map { [$0] } ?? [])
    return device.noteAdding([result.reshaped(shape)], from: inputs) { gradients, inputGradients in
      guard let gradient = gradients[0] else { return [] }
      let g = try device.dense(gradient).reshaped([rows, width])
      // What goes past the norm has been gone through before.
      let before = inputGradients.known(0).flatMap {
        $0.isDense && $0.type == x.type ? $0.reshaped([rows, width]) : nil
      }
      // So many rows a task that every core has some.
      var kind = NormalisationGradient(norm, width: width, length: device.hasManyCores ? 64 : 256)
      (kind.input, kind.gradient, kind.adds) = (key.input, device.kernelType(g), before != nil)
      let parts = (rows + kind.length - 1) / kind.length
      let dx = try device.empty([rows, width], x.type)
      let sums = try (bias == nil ? 0..<1 : 0..<2).map { _ in try device.empty([parts, kind.rows, width]) }
      try device.kernel(kind) { try kind.kernel() }
        .run([x, weight.value, g] + (before.map { [$0] } ?? []) + [dx] + sums)
      let joined = try sums.map {
        try device.summed($0.reshaped([parts * kind.rows, width]), axis: 0).reshaped([width])
      }
      let change = dx.reshaped(shape)
      return [before == nil ? .whole(change) : .total(change)] + joined.map { .whole($0) }
    }[0]
  }

  /// Softmax along the last axis of `[…, R, C]`, of the numbers times `scale`; with `isCausal` row r sees C − R + r + 1 columns.
  public func softmax(scale: Float = 1, isCausal: Bool = false) throws -> Variable {
    let (device, shape) = (self.device, self.shape)
    if value.type != device.scalar {
      return try converted(to: device.scalar).softmax(scale: scale, isCausal: isCausal)
    }
    let (r, c) = (shape[shape.count - 2], shape[shape.count - 1])
    let flat = [shape.dropLast(2).reduce(1, *), r, c]
    let kind = Softmax(isCausal: isCausal, scale: scale, columns: max(8, c.nextPowerOfTwo))
    let result = try device.empty(flat)
    try device.kernel(kind) { try kind.kernel() }.run([device.dense(value).reshaped(flat), result])
    return device.note(result.reshaped(shape), from: [self]) { g in
      let g = try device.converted(g, to: device.scalar)
      let dx = try device.empty(flat)
      try device.kernel(SoftmaxGradientKey(kind: kind)) { try kind.gradient() }
        .run([result, device.dense(g).reshaped(flat), dx])
      return [.whole(dx.reshaped(shape))]
    }
  }
}

private struct NormKey: Hashable {
  let norm: Normalisation
  let width: Int
  let input: ElementType
  let output: ElementType
  let rounds: Int
}

private struct SoftmaxGradientKey: Hashable { let kind: Softmax }
