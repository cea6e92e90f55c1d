internal import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// Rows of this table `[V, D]` by number, `[ids.count, D]`.
  ///
  /// - Precondition: every number is within 0 ..< V, as data sets guarantee.
  public func rows(_ ids: [Int32]) throws -> Variable {
    let (device, shape) = (self.device, self.shape)
    let (v, d) = (shape[0], shape[1])
    precondition(ids.allSatisfy { $0 >= 0 && $0 < v }, "a row's number is not within 0 ..< \(v)")
    let result = try device.empty([ids.count, d])
    try device.kernel(RowsKey(width: d)) { try Embedding.kernel(width: d, table: .float32) }
      .run([device.tensor(ids, [ids.count]), device.dense(value), result])
    return device.note(result, from: [self]) { g in
      let (places, starts) = Self.sorted(ids, below: v)
      let columns = min(512, max(8, d.nextPowerOfTwo))
      let kernel = try device.kernel(RowsGradientKey(columns: columns)) {
        try EmbeddingGradient.kernel(columns: columns)
      }
      let given = try device.dense(device.converted(g, to: device.scalar))
      func sums(_ places: [Int32], _ starts: [Int32], of rows: Tensor) throws -> Tensor {
        let result = try device.empty([starts.count - 1, d])
        try kernel.run([
          device.tensor(places, [places.count]), device.tensor(starts, [starts.count]), rows, result,
        ])
        return result
      }
      // Frequent numbers in pieces, so that no task adds up thousands of rows.
      if zip(starts, starts.dropFirst()).contains(where: { $1 - $0 > 256 }) {
        let (pieces, owners) = Self.pieces(starts, of: 64)
        let parts = try sums(places, pieces, of: given)
        return [.whole(try sums((0..<Int32(pieces.count - 1)).map { $0 }, owners, of: parts))]
      }
      return [.whole(try sums(places, starts, of: given))]
    }
  }

  /// Cuts ranges into pieces of at most so many.
  ///
  /// - Returns: where pieces begin, and where each range's pieces do.
  private static func pieces(_ starts: [Int32], of most: Int32) -> (starts: [Int32], owners: [Int32]) {
    var (pieces, owners): ([Int32], [Int32]) = ([], [])
    for (first, end) in zip(starts, starts.dropFirst()) {
      owners.append(Int32(pieces.count))
      pieces += stride(from: first, to: end, by: Int(most))
    }
    owners.append(Int32(pieces.count))
    pieces.append(starts[starts.count - 1])
    return (pieces, owners)
  }

  /// Places sorted by the number that stands there, and where each number's begin.
  private static func sorted(_ ids: [Int32], below v: Int) -> (places: [Int32], starts: [Int32]) {
    var starts = [Int32](repeating: 0, count: v + 1)
    for id in ids { starts[Int(id) + 1] += 1 }
    for id in 0..<v { starts[id + 1] += starts[id] }
    var next = starts
    var places = [Int32](repeating: 0, count: ids.count)
    for (place, id) in ids.enumerated() {
      places[Int(next[Int(id)])] = Int32(place)
      next[Int(id)] += 1
    }
    return (places, starts)
  }
}

private struct RowsKey: Hashable { let width: Int }
private struct RowsGradientKey: Hashable { let columns: Int }
