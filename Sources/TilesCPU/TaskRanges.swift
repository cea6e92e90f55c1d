internal import Synchronization

/// Which task each worker takes next.
///
/// Every worker starts on a run of its own, because tasks beside each other read memory beside each other, and helps
/// with the other runs when its own is done.
final class TaskRanges: Sendable {
  /// Next task of each run.
  private let next: [Counter]

  /// A number of its own cache line.
  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
    private let padding: (Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int) =
      (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  }

  init(workers: Int) { next = (0..<workers).map { _ in Counter() } }

  /// Starts over.
  func reset() { for counter in next { counter.value.store(0, ordering: .relaxed) } }

  /// Calls `body` with tasks of `0..<count`, each task once over all workers, at most `grain` at a time.
  ///
  /// - Parameter isSingle: whether the tasks are one run that all share, because their order matters.
  func forEach(worker: Int, of count: Int, grain: Int, isSingle: Bool, _ body: (Range<Int>) -> Void) {
    let runs = isSingle ? 1 : next.count
    let length = (count + runs - 1) / runs
    for step in 0..<runs {
      let run = (worker + step) % runs
      let end = min(count, (run + 1) * length)
      while true {
        let first = run * length + next[run].value.add(grain, ordering: .relaxed).oldValue
        if first >= end { break }
        body(first..<min(first + grain, end))
      }
    }
  }
}
