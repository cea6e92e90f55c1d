/// Tells new sequences from those that were there, and when to stop looking for new ones.
struct DistinctSequences {
  private let task: String
  private let wanted: Int
  /// 64-bit fingerprints. Two sequences that share one by chance (a set of 10⁶ has some with odds of 3 in 10⁸) count as
  /// equal, which costs one draw.
  private var seen: Set<UInt64> = []
  private var duplicates = 0

  /// For a set of `wanted` sequences of a task.
  init(task: String, wanted: Int) {
    self.task = task
    self.wanted = wanted
  }

  /// Whether the sequence is new; then it is remembered.
  ///
  /// - Throws: ``TaskError/tooFewDistinct(task:wanted:found:duplicates:)`` when too many in a row were old. Where f are
  ///   found of more, all equally likely, a draw is new with odds of at least 1 in f + 1, and 64 · (f + 16) misses in a
  ///   row have odds below e⁻⁶⁴.
  mutating func insert(_ sequence: [Int32]) throws(TaskError) -> Bool {
    if seen.insert(Self.fingerprint(sequence)).inserted {
      duplicates = 0
      return true
    }
    duplicates += 1
    if duplicates >= 64 * (seen.count + 16) {
      throw .tooFewDistinct(task: task, wanted: wanted, found: seen.count, duplicates: duplicates)
    }
    return false
  }

  private static func fingerprint(_ sequence: [Int32]) -> UInt64 {
    var state = UInt64(sequence.count)
    for token in sequence {
      state = (state ^ UInt64(UInt32(bitPattern: token))) &* 0x9E37_79B9_7F4A_7C15
      state ^= state >> 29
    }
    return state
  }
}
