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
    /// What layers end.
    var ends = SpanEnd.nothing
  }

  /// A step's shape, and the cache it works on.
  private struct Key: Hashable {
    let shape: Shape
    /// Number of the cache's storage in ``caches``.
    let cache: Int
  }

  private enum State {
    case seen
    case recorded(any KernelRecord)
  }

  /// Shapes kept: a record of a large network takes some hundred kilobytes.
  private static let capacity = 256

  private let executor: any Executor
  private let workspace: Workspace
  private var known: [Key: State] = [:]
  /// Caches that records work on. They are not kept alive; an identity alone will not do, since the next cache may be made
  /// where the last one was.
  private var caches: [(number: Int, storage: WeakStorage)] = []
  private var cacheCount = 0
  /// Of the workspace when the shapes were seen: buffers that have moved since are in no record.
  private var generation = 0
  /// Whether the executor records at all.
  private var isUseful = true

  init(_ executor: any Executor, _ workspace: Workspace) {
    self.executor = executor
    self.workspace = workspace
  }

  /// Runs the step that `body` starts kernel by kernel.
  ///
  /// - Parameter cache: memory that the step's keys lie in.
  func run(_ shape: Shape, cache: TensorStorage, _ body: () throws -> Void) throws {
    guard isUseful else { return try body() }
    forgetWhatMoved()
    let key = Key(shape: shape, cache: number(of: cache))
    switch known[key] {
    case .recorded(let record): try record.run()
    case .seen:
      guard let record = try executor.record(concurrently: false, body) else {
        isUseful = false
        return try body()
      }
      known[key] = .recorded(record)
      try record.run()
    case nil:
      try body()
      forgetWhatMoved()
      if known.count >= Self.capacity { known = [:] }
      known[key] = .seen
    }
  }

  /// The number of a cache, a new one where it was not seen while it lived. Records of caches that are gone go too.
  private func number(of cache: TensorStorage) -> Int {
    let gone = Set(caches.filter { $0.storage.value == nil }.map(\.number))
    if !gone.isEmpty {
      caches.removeAll { gone.contains($0.number) }
      known = known.filter { !gone.contains($0.key.cache) }
    }
    if let known = caches.first(where: { $0.storage.value === cache }) { return known.number }
    cacheCount += 1
    caches.append((cacheCount, WeakStorage(value: cache)))
    return cacheCount
  }

  private func forgetWhatMoved() {
    guard generation != workspace.generation else { return }
    generation = workspace.generation
    known = [:]
  }
}

/// A storage that may go.
private struct WeakStorage {
  weak var value: TensorStorage?
}
