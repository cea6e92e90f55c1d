internal import Synchronization

/// One progress line for runs beside each other.
final class ProgressBoard: Sendable {
  private let label: String
  private let state: Mutex<State>

  private struct State: Sendable {
    var totals: [Int?]
    var done: [Int]
    var line: Progress?

    /// Counts towards what is known to be left, once that is known of all runs.
    mutating func begin(_ label: String) {
      let known = totals.compactMap { $0 }
      guard known.count == totals.count else { return }
      line?.total = max(1, known.reduce(0, +))
      if line == nil { line = Progress(label, total: known.reduce(0, +)) }
    }
  }

  init(_ label: String, runs: Int) {
    self.label = label
    state = Mutex(
      State(totals: [Int?](repeating: nil, count: runs), done: [Int](repeating: 0, count: runs)))
  }

  /// Says how much one run has to do.
  fileprivate func expect(_ total: Int, of run: Int) {
    state.withLock { state in
      state.totals[run] = max(0, total)
      state.begin(label)
    }
  }

  /// Says how much one run has done.
  fileprivate func update(_ done: Int, of run: Int) {
    state.withLock { state in
      state.done[run] = done
      state.line?.update(state.done.reduce(0, +))
    }
  }

  /// Says that one run does no more.
  fileprivate func end(_ run: Int) {
    state.withLock { state in
      state.totals[run] = state.done[run]
      state.begin(label)
    }
  }

  /// Says what is under way before the line is there.
  fileprivate func hint(_ text: String) { state.withLock { _ in Output.hint("\(label): \(text)") } }

  /// Writes lines to standard output, where the progress line is not.
  fileprivate func write(_ text: String) {
    state.withLock { state in
      Output.hint("")
      Output.write(text)
    }
  }

  /// Clears the line.
  func finish() { state.withLock { $0.line?.finish() } }
}

/// One run's part of a ``ProgressBoard``.
struct RunProgress: Sendable {
  private let board: ProgressBoard
  private let run: Int

  init(_ board: ProgressBoard, run: Int) { (self.board, self.run) = (board, run) }

  /// Says what is under way before it is known how much there is to do.
  func hint(_ text: String) { board.hint(text) }

  /// Says how much there is to do.
  func expect(_ total: Int) { board.expect(total, of: run) }

  /// Says how much is done.
  func update(_ done: Int) { board.update(done, of: run) }

  /// Says that there is no more to do.
  func end() { board.end(run) }

  /// Writes lines to standard output, where the progress line is not.
  func write(_ text: String) { board.write(text) }
}
