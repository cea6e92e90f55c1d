public import Memory
internal import Tiles

/// Work of a device that is done again and again with other numbers, and that a GPU starts as one: a training step, for instance.
///
/// The first time it is done operation by operation, in memory of its own; the second time it is noted what that starts; the third
/// time it is recorded. Where the record is what was noted, it stands for the work from then on: its kernels and their arguments are
/// the same, and what differs lies in ``Feed``s. Where it is not, or where a device has no records, work goes on operation by operation.
public final class Replay {
  private let device: Device
  private var state = State.new
  private var attempts = 0
  /// Whether what follows from feeds is on its way already.
  private var isPrepared = false
  /// Why the work is not started as one; `nil` while it may be.
  public private(set) var obstacle: String?

  private enum State {
    case new
    case seen(ReplayMemory)
    case noted(any WorkLog, RecordingInProgress, ReplayMemory)
    case recorded(Recorded)
    /// What differs from time to time is not in feeds alone, or there are no records.
    case useless
  }

  private struct Recorded {
    let record: any KernelRecord
    let inputs: RecordingInProgress
    let memory: ReplayMemory
    let results: [Tensor]
  }

  /// Times that work is recorded before it is given up.
  private static let mostAttempts = 3

  private static let timed = "kernels are timed one by one"

  public init(on device: Device) { self.device = device }

  /// Whether the work is started as one.
  public var isRecorded: Bool { if case .recorded = state { true } else { false } }

  /// Sends what follows from feeds as they are now on its way, behind the work that was started last: for the next time, for which
  /// feeds must not change any more. Does nothing where work is not started as one.
  public func prepare() throws {
    guard case .recorded(let recorded) = state else { return }
    try recorded.inputs.refresh(on: device)
    isPrepared = true
  }

  /// Whether the next time is the one that is recorded: where that fails, nothing of it has run.
  public var isAboutToRecord: Bool { if case .noted = state { true } else { false } }

  /// Does the work.
  ///
  /// - Parameter body: does it operation by operation. The same operations every time; what differs is in feeds. It fetches nothing.
  /// - Returns: what `body` returned, arrays of the device; to be let go of before the next time.
  /// - Throws: what `body` throws. Work goes on operation by operation then.
  public func run(_ body: () throws -> [Tensor]) throws -> [Tensor] {
    let before = state
    state = .useless
    switch before {
    case .useless: return try body()
    case .new where device.executor.sharesHostMemory:
      obstacle = "the machine starts kernels one by one"
      return try body()
    case .new:
      let memory = ReplayMemory(device.executor)
      let inputs = RecordingInProgress(memory.inputs, isCapturing: false)
      let results = try device.computing(in: memory.arrays, inputs, body)
      state = .seen(memory)
      return results
    case .seen(let memory): return try note(memory, body)
    case .noted(let log, let inputs, let memory): return try record(log, inputs, memory, body)
    case .recorded(let recorded):
      if !isPrepared { try recorded.inputs.refresh(on: device) }
      isPrepared = false
      try recorded.record.run()
      device.parameterWasWritten()
      state = before
      return recorded.results
    }
  }

  private func note(_ memory: ReplayMemory, _ body: () throws -> [Tensor]) throws -> [Tensor] {
    memory.arrays.settle()
    let inputs = RecordingInProgress(memory.inputs, isCapturing: false)
    var results: [Tensor] = []
    let log = try device.computing(in: memory.arrays, inputs) {
      try device.executor.observe { results = try body() }
    }
    guard let log else {
      obstacle = Self.timed
      return try body()
    }
    inputs.finish()
    state = .noted(log, inputs, memory)
    return results
  }

  private func record(
    _ log: any WorkLog, _ before: RecordingInProgress, _ memory: ReplayMemory, _ body: () throws -> [Tensor]
  ) throws -> [Tensor] {
    memory.arrays.settle()
    let inputs = RecordingInProgress(memory.inputs, isCapturing: true)
    var results: [Tensor] = []
    let record = try device.computing(in: memory.arrays, inputs) {
      try device.executor.record(concurrently: true) { results = try body() }
    }
    guard let record else {
      obstacle = Self.timed
      return try body()
    }
    try inputs.copyConstants(on: device)
    try inputs.refresh(on: device)
    try record.run()
    attempts += 1
    if record.isSame(as: log), inputs.hasConstants(of: before) {
      state = .recorded(Recorded(record: record, inputs: inputs, memory: memory, results: results))
    } else if attempts < Self.mostAttempts {
      // Something was made for the first time, perhaps.
      state = .seen(memory)
    } else {
      obstacle = "kernels or their arguments differ from time to time"
    }
    return results
  }
}

/// Memory that only one ``Replay`` uses, so that nothing else comes to lie where a record writes.
private struct ReplayMemory {
  let arrays: MemoryPool
  /// What the host gives has places of its own: it is there before the first kernel of a record runs.
  let inputs: MemoryPool

  /// Bytes that lie idle before kernels of a record use them again, so that kernels can run beside each other.
  private static let patience = 256 << 20

  init(_ executor: any Executor) {
    (arrays, inputs) = (MemoryPool(executor, patience: Self.patience), MemoryPool(executor))
  }
}
