internal import Kernels
internal import Memory
internal import Tiles

extension Variable {
  /// Rows of this table `[V, D]` by number, `[ids.count, D]`.
  ///
  /// - Precondition: every number is within 0 ..< V, as data sets guarantee.
  public func rows(_ ids: [Int32]) throws -> Variable { try rows(Feed(ids)) }

  /// The same of numbers that may be replaced.
  public func rows(_ feed: Feed<Int32>) throws -> Variable {
    let (device, shape) = (self.device, self.shape)
    let (v, d, count) = (shape[0], shape[1], feed.numbers.count)
    let ids = try device.integers(of: feed, [[count]]) { ids in
      precondition(ids.allSatisfy { $0 >= 0 && $0 < v }, "a row's number is not within 0 ..< \(v)")
      return [ids]
    }[0]
    let result = try device.empty([count, d])
    try device.kernel(RowsKey(width: d)) { try Embedding.kernel(width: d, table: .float32) }
      .run([ids, device.dense(value), result])
    return device.note(result, from: [self]) { g in
      let given = try device.dense(device.converted(g, to: device.scalar))
      return [.whole(try device.sums(of: given, at: feed, below: v))]
    }
  }
}

extension Device {
  /// For each number below `v` the sum of the rows `[ids.count, D]` where it stands, `[v, D]`.
  fileprivate func sums(of rows: Tensor, at feed: Feed<Int32>, below v: Int) throws -> Tensor {
    let (count, d) = (rows.shape[0], rows.shape[1])
    let columns = min(512, max(8, d.nextPowerOfTwo))
    let kernel = try kernel(RowsGradientKey(columns: columns)) {
      try EmbeddingGradient.kernel(columns: columns)
    }
    let result = try empty([v, d])
    let capacity = SortedPlaces.Capacity(count)
    guard capacity.owners > 0 else {
      let lists = try integers(of: feed, [[count], [v + 1]]) { ids in
        let sorted = SortedPlaces(ids, below: v)
        return [sorted.places, sorted.starts]
      }
      try kernel.run([lists[0], lists[1], rows, result])
      return result
    }
    let lists = try integers(
      of: feed, [[count], [v + 1], [count], [capacity.pieces + 1], [capacity.owners + 1], [capacity.owners]]
    ) { ids in SortedPlaces(ids, below: v).inPieces(capacity) }
    try kernel.run([lists[0], lists[1], rows, result])
    let parts = try empty([capacity.pieces, d])
    try kernel.run([lists[2], lists[3], rows, parts])
    try self.kernel(FrequentRowsKey(columns: columns)) { try EmbeddingGradient.frequent(columns: columns) }
      .run([lists[4], lists[5], parts, result])
    return result
  }
}

/// Places sorted by the number that stands there.
private struct SortedPlaces {
  var places: [Int32]
  /// Where each number's places begin, and the end.
  var starts: [Int32]

  /// Places of a number from which on they are added up in pieces, so that no task adds up thousands of rows.
  private static let frequent = 256
  /// Places of a piece.
  private static let piece = 64

  /// What so many numbers can need at most, whatever they are.
  struct Capacity {
    /// Numbers that are frequent.
    let owners: Int
    let pieces: Int

    init(_ count: Int) {
      owners = count / (SortedPlaces.frequent + 1)
      pieces = owners == 0 ? 0 : count / SortedPlaces.piece + owners
    }
  }

  init(_ ids: [Int32], below v: Int) {
    starts = [Int32](repeating: 0, count: v + 1)
    for id in ids { starts[Int(id) + 1] += 1 }
    for id in 0..<v { starts[id + 1] += starts[id] }
    var next = starts
    places = [Int32](repeating: 0, count: ids.count)
    for (place, id) in ids.enumerated() {
      places[Int(next[Int(id)])] = Int32(place)
      next[Int(id)] += 1
    }
  }

  /// The lists, with frequent numbers apart: places and starts of the others; places, starts of pieces, starts of each frequent
  /// number's pieces, and these numbers. What is left of the capacity is empty, and its number −1.
  func inPieces(_ capacity: Capacity) -> [[Int32]] {
    guard zip(starts, starts.dropFirst()).contains(where: { Int($1 - $0) > Self.frequent }) else {
      return [
        places, starts, [Int32](repeating: 0, count: places.count),
        [Int32](repeating: 0, count: capacity.pieces + 1), [Int32](repeating: 0, count: capacity.owners + 1),
        [Int32](repeating: -1, count: capacity.owners),
      ]
    }
    var (rare, rareStarts): ([Int32], [Int32]) = ([], [0])
    var (many, pieces, owners, numbers): ([Int32], [Int32], [Int32], [Int32]) = ([], [], [], [])
    for number in 0..<starts.count - 1 {
      let own = places[Int(starts[number])..<Int(starts[number + 1])]
      if own.count <= Self.frequent {
        rare += own
      } else {
        owners.append(Int32(pieces.count))
        numbers.append(Int32(number))
        let first = many.count
        pieces += stride(from: first, to: first + own.count, by: Self.piece).map { Int32($0) }
        many += own
      }
      rareStarts.append(Int32(rare.count))
    }
    func filled(_ list: [Int32], _ count: Int, _ value: Int32) -> [Int32] {
      list + [Int32](repeating: value, count: count - list.count)
    }
    let (end, last) = (Int32(many.count), Int32(pieces.count))
    return [
      filled(rare, places.count, 0), rareStarts, filled(many, places.count, 0),
      filled(pieces, capacity.pieces + 1, end), filled(owners, capacity.owners + 1, last),
      filled(numbers, capacity.owners, -1),
    ]
  }
}

private struct RowsKey: Hashable { let width: Int }
private struct RowsGradientKey: Hashable { let columns: Int }
private struct FrequentRowsKey: Hashable { let columns: Int }
