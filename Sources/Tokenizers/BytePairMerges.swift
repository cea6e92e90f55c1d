/// Which pairs of tokens merge, in which order and into what.
struct BytePairMerges: Sendable {
  private var keys: [UInt64]
  /// Rank in the upper half, merged token in the lower.
  private var values: [UInt64]
  private let mask: Int

  init(count: Int) {
    var size = 16
    while size < count * 2 { size *= 2 }
    keys = [UInt64](repeating: .max, count: size)
    values = [UInt64](repeating: 0, count: size)
    mask = size - 1
  }

  private func slot(_ key: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 20) & mask
    while keys[slot] != .max && keys[slot] != key { slot = (slot + 1) & mask }
    return slot
  }

  private static func key(_ a: Int32, _ b: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: a)) << 32 | UInt64(UInt32(bitPattern: b))
  }

  /// Adds a merge; of equal pairs the first counts.
  mutating func insert(_ a: Int32, _ b: Int32, rank: Int, into merged: Int32) {
    let key = Self.key(a, b)
    let slot = slot(key)
    guard keys[slot] == .max else { return }
    keys[slot] = key
    values[slot] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: merged))
  }

  /// Rank and result of a pair; `nil` where it does not merge.
  func merge(_ a: Int32, _ b: Int32) -> (rank: Int, token: Int32)? {
    let slot = slot(Self.key(a, b))
    guard keys[slot] != .max else { return nil }
    return (Int(values[slot] >> 32), Int32(truncatingIfNeeded: values[slot]))
  }

  /// Merges neighbours, lowest rank first and leftmost among equals, until none is left to merge.
  func apply(to tokens: inout [Int32]) {
    if tokens.count <= 48 { applyByScanning(to: &tokens) } else { applyByHeap(to: &tokens) }
  }

  private func applyByScanning(to tokens: inout [Int32]) {
    while tokens.count > 1 {
      var best: (rank: Int, position: Int, token: Int32)?
      for position in 0..<(tokens.count - 1) {
        guard let (rank, token) = merge(tokens[position], tokens[position + 1]) else { continue }
        if best.map({ rank < $0.rank }) ?? true { best = (rank, position, token) }
      }
      guard let best else { return }
      tokens[best.position] = best.token
      tokens.remove(at: best.position + 1)
    }
  }

  private func applyByHeap(to tokens: inout [Int32]) {
    var next = Array(1...tokens.count)
    var previous = Array(-1..<(tokens.count - 1))
    var heap = MergeHeap()
    func candidate(_ left: Int, _ tokens: [Int32]) -> MergeHeap.Entry? {
      guard left >= 0, next[left] < tokens.count, let found = merge(tokens[left], tokens[next[left]]) else {
        return nil
      }
      return MergeHeap.Entry(
        rank: found.rank, position: left, token: found.token, left: tokens[left], right: tokens[next[left]])
    }
    for position in 0..<(tokens.count - 1) { if let entry = candidate(position, tokens) { heap.push(entry) } }
    var removed = [Bool](repeating: false, count: tokens.count)
    while let entry = heap.pop() {
      let (left, right) = (entry.position, next[entry.position])
      // The pair may have changed since it was noted.
      guard !removed[left], right < tokens.count, tokens[left] == entry.left, tokens[right] == entry.right
      else {
        continue
      }
      tokens[left] = entry.token
      removed[right] = true
      next[left] = next[right]
      if next[right] < tokens.count { previous[next[right]] = left }
      if let entry = candidate(previous[left], tokens) { heap.push(entry) }
      if let entry = candidate(left, tokens) { heap.push(entry) }
    }
    tokens = tokens.indices.filter { !removed[$0] }.map { tokens[$0] }
  }
}

/// Merges that could be done next, lowest rank and leftmost first.
private struct MergeHeap {
  struct Entry {
    var rank: Int
    var position: Int
    var token: Int32
    var left: Int32
    var right: Int32

    func precedes(_ other: Entry) -> Bool { (rank, position) < (other.rank, other.position) }
  }

  private var entries: [Entry] = []

  mutating func push(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0, entries[child].precedes(entries[(child - 1) / 2]) {
      entries.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> Entry? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    if entries.isEmpty { return first }
    entries[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
        if entries[child].precedes(entries[least]) { least = child }
      }
      if least == parent { return first }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}
