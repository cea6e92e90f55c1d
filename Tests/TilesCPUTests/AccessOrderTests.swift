import Memory
import Testing
import Tiles

@Suite struct AccessOrderTests {
  private struct Work {
    var reads: [Range<UInt64>]
    var writes: [Range<UInt64>]

    /// Whether the order of both matters.
    func conflicts(with other: Work) -> Bool {
      func meet(_ a: [Range<UInt64>], _ b: [Range<UInt64>]) -> Bool {
        a.contains { a in b.contains { !a.isEmpty && !$0.isEmpty && a.overlaps($0) } }
      }
      return meet(reads, other.writes) || meet(writes, other.reads) || meet(writes, other.writes)
    }
  }

  /// Whatever conflicts is ordered, through others or directly; what is awaited directly conflicts, and is awaited by nothing else
  /// that is.
  @Test(arguments: 0..<40) func ordersWhatConflictsAndNothingElse(seed: UInt64) {
    var random = SeededNumbers(seed: seed)
    let size = UInt64([8, 40, 400][Int(seed) % 3])
    func ranges(_ most: Int) -> [Range<UInt64>] {
      (0..<Int.random(in: 0...most, using: &random)).map { _ in
        let ends = [UInt64.random(in: 0...size, using: &random), .random(in: 0...size, using: &random)]
        return min(ends[0], ends[1])..<max(ends[0], ends[1])
      }
    }
    var order = AccessOrder()
    var (work, past): ([Work], [Set<Int>]) = ([], [])
    for number in 0..<70 {
      work.append(Work(reads: ranges(3), writes: ranges(2)))
      let nearest = order.add(reads: work[number].reads, writes: work[number].writes)
      #expect(nearest == nearest.sorted(by: >))
      for earlier in nearest {
        #expect(work[earlier].conflicts(with: work[number]), "\(number) need not wait for \(earlier)")
        #expect(!nearest.contains { past[$0].contains(earlier) }, "\(earlier) is waited for twice")
      }
      past.append(nearest.reduce(into: Set(nearest)) { $0.formUnion(past[$1]) })
      for earlier in 0..<number where work[earlier].conflicts(with: work[number]) {
        #expect(past[number].contains(earlier), "\(number) does not wait for \(earlier)")
      }
    }
    #expect(order.ends == (0..<70).filter { number in !past.contains { $0.contains(number) } })
  }

  @Test func readersRunBesideEachOther() {
    var order = AccessOrder()
    #expect(order.add(reads: [], writes: [0..<100]) == [])
    #expect(order.add(reads: [0..<50], writes: [200..<300]) == [0])
    #expect(order.add(reads: [0..<100], writes: [300..<400]) == [0])
    #expect(order.add(reads: [200..<201, 399..<400], writes: []) == [2, 1])
    // All that read it are over before it is written again.
    #expect(order.add(reads: [], writes: [10..<20]) == [2, 1])
    #expect(order.ends == [3, 4])
    #expect(order.add(reads: [20..<30], writes: [20..<30]) == [2, 1])
    #expect(AccessOrder().ends == [])
  }

  /// All elements of a view lie in its bytes, and some at both ends, whichever way its axes run.
  @Test(arguments: [
    ([1, 5], [5, -1]), ([3, 4], [-4, 1]), ([2, 3, 4], [12, -4, -1]), ([1, 2], [2, -1]), ([7], [-3]),
    ([2, 0], [1, 1]),
    ([4, 6], [0, 1]), ([5], [2]),
  ])
  func viewsMayRunBackwards(shape: [Int], strides: [Int]) throws {
    let storage = try HeapStorage(byteCount: 400)
    let tensor = Tensor(unchecked: storage, byteOffset: 200, type: .float32, shape: shape, strides: strides)
    let base = UInt64(UInt(bitPattern: storage.baseAddress))
    var places: [Int] = shape.contains(0) ? [] : [200]
    for (extent, stride) in zip(shape, strides) {
      places = places.flatMap { place in (0..<extent).map { place + 4 * $0 * stride } }
    }
    let bytes = AccessOrder.bytes(of: tensor)
    guard let low = places.min(), let high = places.max() else {
      #expect(bytes.isEmpty)
      return
    }
    #expect(bytes == base + UInt64(low)..<base + UInt64(high + 4))
  }
}
