import Engine
import Kernels
import Models
import TestSupport
import Testing

/// Sequences over a random tree of shared pages, in the order the planner wants.
func randomSequences(seed: UInt64) -> [SequenceRows] {
  var generator = SeededGenerator(seed: seed)
  func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
  var nextPage: Int32 = 0
  func fresh(_ count: Int) -> [Int32] {
    defer { nextPage += Int32(count) }
    return (0..<count).map { nextPage + Int32($0) }
  }
  // Nodes as whole paths, each below a random earlier one, at most four deep.
  var nodes: [(pages: [Int32], depth: Int)] = [([], 0)]
  for _ in 0..<random(0...6) {
    let parent = nodes[random(0...nodes.count - 1)]
    guard parent.depth < 4 else { continue }
    nodes.append((parent.pages + fresh(random(1...11)), parent.depth + 1))
  }
  let sequences = (0..<random(1...64)).map { _ in
    let shared = nodes[random(0...nodes.count - 1)].pages
    let own = [0, 1, 63, 64, 65, random(0...700)][random(0...5)]
    let rows = random(0...9) < 7 ? 1 : [2, 63, 64, 65, random(1...600)][random(0...4)]
    let first = shared.count * 64 + own
    return SequenceRows(
      tokens: [Int32](repeating: 7, count: rows), firstPosition: first,
      pages: shared + fresh((own + rows + 63) / 64), logits: .last)
  }
  return sequences.sorted { $0.pages.lexicographicallyPrecedes($1.pages) }
}

/// The pages each row visits, by chunk, in the order of the plan.
func visits(_ batch: ForwardBatch, group: Int) throws -> [[Int: [(page: Int32, firstPosition: Int)]]] {
  var states = [[Int: [(page: Int32, firstPosition: Int)]]](repeating: [:], count: batch.tokens.count)
  var next = 0
  let width = PagedAttention.Field.allCases.count
  for phase in batch.phases {
    #expect(phase.lowerBound == next)
    next = phase.upperBound
    var touched: Set<[Int]> = []
    var work = Int.max
    for item in phase {
      let fields = batch.items[item * width..<(item + 1) * width].map { Int($0) }
      let (firstRow, rows, list, count) = (fields[0], fields[1], fields[2], fields[3])
      let (position, chunk, continues, whole) = (fields[4], fields[5], fields[6], fields[7])
      let oldest = batch.positions[firstRow..<(firstRow + rows)].min().map(Int.init) ?? 0
      #expect(whole >= 0 && whole <= count && (whole == 0 || position + whole * 64 <= oldest + 1))
      #expect(rows > 0 && (rows == 1 || rows * group <= PagedAttention.rowCapacity(factor: .float32)))
      #expect(count == 0 || (position / 512 == chunk && (position + count * 64 - 1) / 512 == chunk))
      #expect(rows * count <= work, "longest first")
      work = rows * count
      for row in firstRow..<(firstRow + rows) {
        try #require(touched.insert([row, chunk]).inserted, "two items of a phase share a state")
        try #require((states[row][chunk] != nil) == (continues == 1))
        states[row][chunk, default: []] += (0..<count).map {
          (batch.pages[list + $0], position + $0 * 64)
        }
      }
    }
  }
  #expect(next * width == batch.items.count)
  return states
}

@Suite struct AttentionPlanTests {
  @Test(arguments: Array(0..<150 as Range<UInt64>))
  func everyRowVisitsItsPagesInOrder(seed: UInt64) throws {
    let sequences = randomSequences(seed: seed)
    for window in [nil, 1, 64, 300, 5000] as [Int?] {
      for mode in SharingMode.allCases {
        let group = [1, 3, 4, 9][Int(seed % 4)]
        let planner = AttentionPlanner(group: group, window: window, mode: mode)
        let (batch, summary) = planner.plan(sequences)
        let states = try visits(batch, group: group)
        #expect(summary.pageVisits <= summary.pageVisitsUnshared)
        #expect(
          mode != .never || (summary.sharedRuns == 0 && summary.pageVisits == summary.pageVisitsUnshared))
        var row = 0
        for sequence in sequences {
          for offset in sequence.tokens.indices {
            let position = sequence.firstPosition + offset
            #expect(batch.positions[row] == Int32(position))
            let oldest = window.map { max(0, position - $0 + 1) } ?? 0
            for chunk in 0...(position / 512) {
              let state = try #require(states[row][chunk], "row \(row) has no state of chunk \(chunk)")
              let seen = state.filter { $0.firstPosition <= position && $0.firstPosition + 63 >= oldest }
              let wanted = (chunk * 8..<chunk * 8 + 8).filter {
                $0 * 64 <= position && $0 * 64 + 63 >= oldest
              }
              #expect(seen.map(\.page) == wanted.map { sequence.pages[$0] })
              #expect(seen.map(\.firstPosition) == wanted.map { $0 * 64 })
            }
            row += 1
          }
        }
        #expect(row == batch.tokens.count)
      }
    }
  }

  @Test(arguments: Array(0..<40 as Range<UInt64>)) func everyRowIsStoredOnce(seed: UInt64) {
    let sequences = randomSequences(seed: seed)
    let (batch, _) = AttentionPlanner(group: 3).plan(sequences)
    let places = sequences.flatMap { sequence in
      sequence.tokens.indices.map { offset in
        let position = sequence.firstPosition + offset
        return [Int(sequence.pages[position / 64]), position % 64]
      }
    }
    var stored: [[Int]] = []
    for run in stride(from: 0, to: batch.runs.count, by: 4) {
      let fields = batch.runs[run..<(run + 4)].map { Int($0) }
      #expect(fields[0] == stored.count && fields[3] + fields[1] <= 64)
      stored += (0..<fields[1]).map { [fields[2], fields[3] + $0] }
    }
    #expect(stored == places)
    #expect(Set(stored).count == stored.count)
  }

  @Test func aShortCommonBeginningDoesNotHideALongOne() {
    // One page common to three, a hundred more to two of them: the first alone is not worth a phase.
    func rows(_ pages: [Int32]) -> SequenceRows {
      SequenceRows(tokens: [1], firstPosition: pages.count * 64 - 1, pages: pages, logits: .last)
    }
    let long = (0..<101).map { Int32($0) }
    let (_, summary) = AttentionPlanner(group: 3).plan(
      [rows([0, 500, 501]), rows(long + [300]), rows(long + [301])].sorted {
        $0.pages.lexicographicallyPrecedes($1.pages)
      })
    #expect(summary.sharedRuns == 1)
    #expect(summary.pageVisits == 3 + 101 + 2)
  }
}
