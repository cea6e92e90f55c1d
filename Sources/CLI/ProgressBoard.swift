internal import Synchronization

/// One progress line for runs beside each other.
final class ProgressBoard: Sendable {
  private let label: String
  private let state: Mutex<State>

  private struct State: Sendable {
    var totals: [Int?]
    var done: [Int]
    var line: Progress?
  }

  init(_ label: String, runs: Int) {
    self.label = label
    state = Mutex(
      State(totals: [Int?](repeating: nil, count: runs), done: [Int](repeating: 0, count: runs)))
  }

  /// Says how much one run has to do.
  fileprivate func expect(_ total: Int, of run: Int) {
    state.withLock { state in
      state.totals[run] = total
      let known = state.totals.compactMap { $0 }
      if known.count == state.totals.count { state.line = Progress(label, total: known.reduce(0, +)) }
    }
  }

  /// Says how much one run has done.
  fileprivate func update(_ done: Int, of run: Int) {
    state.withLock { state in
      state.done[run] = done
      state.line?.update(state.done.reduce(0, +))
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

  /// Says how much there is to do.
  func expect(_ total: Int) { board.expect(total, of: run) }

  /// Says how much is done.
  func update(_ done: Int) { board.update(done, of: run) }
}
