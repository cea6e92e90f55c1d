internal import Memory
internal import Tiles

/// Starts a step's kernels as one where a step of the same shape has run before: nothing in them then depends on the
/// step but what lies in its inputs.
final class StepReplay {
  /// All that the kernels of a step and their arguments depend on.
  struct Shape: Hashable {
    /// Extents of the step's inputs.
    let extents: [Int]
    /// Items of each phase.
    let phases: [Range<Int>]
    /// Chunks that states have room for.
    let chunks: Int
    /// Where the cache is.
    let cache: ObjectIdentifier
  }

  private enum State {
    case seen
    case recorded(any KernelRecord)
  }

  /// Shapes kept: a record of a large network takes some hundred kilobytes.
  private static let capacity = 256

  private let executor: any Executor
  private let workspace: Workspace
  private var known: [Shape: State] = [:]
  /// Of the workspace when the shapes were seen: buffers that have moved since are in no record.
  private var generation = 0
  /// Whether the executor records at all.
  private var isUseful = true

  init(_ executor: any Executor, _ workspace: Workspace) {
    self.executor = executor
    self.workspace = workspace
  }

  /// Runs the step that `body` starts kernel by kernel.
  func run(_ shape: Shape, _ body: () throws -> Void) throws {
    guard isUseful else { return try body() }
    forgetWhatMoved()
    switch known[shape] {
    case .recorded(let record): try record.run()
    case .seen:
      guard let record = try executor.record(body) else {
        isUseful = false
        return try body()
      }
      known[shape] = .recorded(record)
      try record.run()
    case nil:
      try body()
      forgetWhatMoved()
      if known.count >= Self.capacity { known = [:] }
      known[shape] = .seen
    }
  }

  private func forgetWhatMoved() {
    guard generation != workspace.generation else { return }
    generation = workspace.generation
    known = [:]
  }
}
