internal import Memory
internal import Tiles

extension Variable {
  /// Convolution of short sequences `[B, H, L]` with filters `[H, taps]` as a product of matrices for each channel.
  ///
  /// T[t, s] = k[t − s] is a view of the filter behind zeros, or behind another filter from its end, with a stride of −1, so it is
  /// never written. O(L²) for each sequence, at the rate of the products: faster than transforms up to L = 64 or so.
  ///
  /// - Parameter back: `[H, fewer than L]`, what comes from later numbers, the next one first.
  func toeplitzConvolution(_ filter: Variable, back: Variable? = nil) throws -> Variable {
    let device = self.device
    let (u, h, length, taps) = (value.permuted([1, 0, 2]), shape[1], shape[2], filter.shape[1])
    let form = ProductForm(factors: device.factors, result: device.factors)
    let padded = try device.zeros([h, 2 * length - 1])
    try device.write(filter.value, into: padded.sliced(axis: 1, length - 1..<length - 1 + taps))
    if let back {
      let target = Tensor(
        unchecked: padded.storage,
        byteOffset: padded.byteOffset + max(0, length - 2) * padded.type.blockBytes,
        type: padded.type, shape: back.shape, strides: [2 * length - 1, -1])
      try device.write(back.value, into: target)
    }
    let matrix = Tensor(
      unchecked: padded.storage, byteOffset: padded.byteOffset + (length - 1) * padded.type.blockBytes,
      type: padded.type, shape: [h, length, length], strides: [2 * length - 1, 1, -1])
    let result = try device.product(u, matrix, form.transposing(b: true)).permuted([1, 0, 2])
    return device.note(result, from: [self, filter] + (back.map { [$0] } ?? [])) { g in
      let turned = g.permuted([1, 0, 2])
      let du = try device.product(turned, matrix, form).permuted([1, 0, 2])
      // Row t of dT begins L − 1 − t places further to the right, so that a diagonal is a column.
      let skewed = try device.zeros([h, length, 2 * length])
      let rows = Tensor(
        unchecked: skewed.storage, byteOffset: skewed.byteOffset + (length - 1) * skewed.type.blockBytes,
        type: skewed.type, shape: [h, length, length], strides: [2 * length * length, 2 * length - 1, 1])
      try device.product(turned, u, form.transposing(a: true), into: rows)
      let sums = try device.summed(skewed, axis: 1)
      let dk = Tensor(
        unchecked: sums.storage, byteOffset: sums.byteOffset + (length - 1) * sums.type.blockBytes,
        type: sums.type, shape: [h, taps], strides: [2 * length, -1])
      let db = back.map {
        Tensor(
          unchecked: sums.storage, byteOffset: sums.byteOffset + length * sums.type.blockBytes,
          type: sums.type,
          shape: $0.shape, strides: [2 * length, 1])
      }
      return [.whole(du), .whole(dk)] + (db.map { [.whole($0)] } ?? [])
    }
  }
}
