/// Which pairs of tokens merge, in which order and into what.
struct BytePairMerges: Sendable {
  private var keys: [UInt64]
  /// Rank in the upper half, merged token in the lower.
  private var values: [UInt64]
  private let mask: Int

  /// What ``value(_:_:)`` gives for a pair that does not merge; its rank is behind every other.
  static let none = UInt64.max

  /// Room for `count` merges.
  init(count: Int) {
    var size = 16
    while size < count * 2 { size *= 2 }
    keys = [UInt64](repeating: .max, count: size)
    values = [UInt64](repeating: Self.none, count: size)
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
    values[slot] = UInt64(UInt32(truncatingIfNeeded: rank)) << 32 | UInt64(UInt32(bitPattern: merged))
  }

  /// Rank of a pair in the upper half, its result in the lower; ``none`` where it does not merge.
  func value(_ a: Int32, _ b: Int32) -> UInt64 { values[slot(Self.key(a, b))] }

  /// Whether the pair is held.
  func contains(_ a: Int32, _ b: Int32) -> Bool { value(a, b) != Self.none }
}

/// Merges the tokens of one word after another, keeping its memory from word to word.
struct Merger {
  private let merges: BytePairMerges
  /// What each token and its right neighbour merge into, as ``BytePairMerges/value(_:_:)``.
  private var values: [UInt64] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var heap = KeyHeap()

  /// Up to this many tokens the lowest rank is found by looking at all, without heap.
  private static let scanLimit = 48

  /// A merger by these merges.
  init(_ merges: BytePairMerges) { self.merges = merges }

  /// Merges neighbours, lowest rank first and leftmost among equals, until none is left to merge.
  ///
  /// - Precondition: fewer than 2³¹ tokens.
  /// - Complexity: O(n log n).
  mutating func apply(to tokens: inout [Int32]) {
    guard tokens.count > 1 else { return }
    precondition(
      tokens.count < Int(Int32.max), "a word of \(tokens.count) tokens; at most 2³¹ − 1 are merged")
    values.removeAll(keepingCapacity: true)
    for index in 0..<(tokens.count - 1) { values.append(merges.value(tokens[index], tokens[index + 1])) }
    if tokens.count <= Self.scanLimit { scan(&tokens) } else { sift(&tokens) }
  }

  private mutating func scan(_ tokens: inout [Int32]) {
    while true {
      var best = BytePairMerges.none
      var position = 0
      for index in values.indices where values[index] >> 32 < best >> 32 {
        best = values[index]
        position = index
      }
      guard best != BytePairMerges.none else { return }
      tokens[position] = Int32(truncatingIfNeeded: best)
      tokens.remove(at: position + 1)
      values.remove(at: position)
      if position < values.count { values[position] = merges.value(tokens[position], tokens[position + 1]) }
      if position > 0 { values[position - 1] = merges.value(tokens[position - 1], tokens[position]) }
    }
  }

  private mutating func sift(_ tokens: inout [Int32]) {
    let count = Int32(tokens.count)
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    heap.removeAll()
    values.append(BytePairMerges.none)
    for index in 0..<count {
      next.append(index + 1)
      previous.append(index - 1)
      if values[Int(index)] != BytePairMerges.none { heap.append(key(values[Int(index)], index)) }
    }
    heap.order()
    while let least = heap.pop() {
      let left = Int32(truncatingIfNeeded: least)
      // The pair may have changed since it was noted.
      let value = values[Int(left)]
      guard value != BytePairMerges.none, value >> 32 == least >> 32 else { continue }
      let right = next[Int(left)]
      let after = next[Int(right)]
      tokens[Int(left)] = Int32(truncatingIfNeeded: value)
      values[Int(right)] = BytePairMerges.none
      next[Int(left)] = after
      // A removed token points before the word.
      next[Int(right)] = -1
      if after < count { previous[Int(after)] = left }
      renew(previous[Int(left)], tokens)
      renew(left, tokens)
    }
    var kept = 0
    for index in tokens.indices where next[index] >= 0 {
      tokens[kept] = tokens[index]
      kept += 1
    }
    tokens.removeSubrange(kept...)
  }

  private func key(_ value: UInt64, _ position: Int32) -> UInt64 {
    value & 0xFFFF_FFFF_0000_0000 | UInt64(UInt32(bitPattern: position))
  }

  private mutating func renew(_ left: Int32, _ tokens: [Int32]) {
    guard left >= 0 else { return }
    let right = Int(next[Int(left)])
    let value = right < tokens.count ? merges.value(tokens[Int(left)], tokens[right]) : BytePairMerges.none
    values[Int(left)] = value
    if value != BytePairMerges.none { heap.push(key(value, left)) }
  }
}

/// Numbers, least first; four children a node, so that half as many levels miss the cache.
struct KeyHeap {
  private var entries: [UInt64] = []

  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Adds a number without order; ``order()`` must follow.
  mutating func append(_ key: UInt64) { entries.append(key) }

  /// Puts all in order, in O(n).
  mutating func order() {
    guard entries.count > 1 else { return }
    for parent in stride(from: (entries.count - 2) / 4, through: 0, by: -1) {
      sink(entries[parent], from: parent)
    }
  }

  mutating func push(_ key: UInt64) {
    entries.append(key)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 4
      guard key < entries[parent] else { break }
      entries[child] = entries[parent]
      child = parent
    }
    entries[child] = key
  }

  mutating func pop() -> UInt64? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    if !entries.isEmpty { sink(last, from: 0) }
    return first
  }

  private mutating func sink(_ key: UInt64, from start: Int) {
    let count = entries.count
    var parent = start
    while true {
      let first = 4 * parent + 1
      guard first < count else { break }
      var least = first
      for child in first..<min(first + 4, count) where entries[child] < entries[least] { least = child }
      guard entries[least] < key else { break }
      entries[parent] = entries[least]
      parent = least
    }
    entries[parent] = key
  }
}
