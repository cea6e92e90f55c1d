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
      let table = try device.empty(shape)
      try device.kernel(RowsGradientKey(columns: columns)) { try EmbeddingGradient.kernel(columns: columns) }
        .run([
          device.tensor(places, [ids.count]), device.tensor(starts, [v + 1]),
          device.dense(device.converted(g, to: device.scalar)), table,
        ])
      return [.whole(table)]
    }
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
