public import Memory
public import Tiles

/// ``SelectiveScan`` with the sequence cut into segments that run at the same time, for few and long sequences.
///
/// Each segment's contribution to the state is found first, then the states before the segments, then the results: x, dt and b
/// are read twice. Not thread-safe: one call at a time.
public final class SegmentedScan {
  private let segments: SegmentStates
  private let decays: Tensor

  /// Cuts so that `cores` cores have `tasksPerCore` tasks each.
  ///
  /// - Throws: what the executor or the recorder refuses.
  public init(
    _ shape: SelectiveScan.Shape, batch: Int, length: Int, cores: Int, executor: any Executor
  ) throws {
    segments = try SegmentStates(
      blocks: max(1, (length + shape.chunk - 1) / shape.chunk), tasks: cores * shape.schedule.tasksPerCore,
      batch: batch, state: shape, executor: executor
    ) { try SelectiveScan.kernel(shape, part: $0) }
    decays = try executor.tensor(.float32, segments.rows)
  }

  /// The last state `[B, heads, P, S]` after a call.
  public var lastState: Tensor { segments.lastState }

  /// Writes y as x; arguments as those of ``SelectiveScan/kernel(_:part:)``.
  public func callAsFunction(x: Tensor, dt: Tensor, rates: Tensor, b: Tensor, c: Tensor, y: Tensor) throws {
    try segments.states.run([x, dt, rates, b, segments.sums, decays], integers: [segments.blocks])
    try segments.combination.run([segments.sums, decays, segments.before])
    try segments.results.run(
      [x, dt, rates, b, c, segments.before, y, segments.after], integers: [segments.blocks])
  }
}

/// ``HedgehogAttention`` with the sequence cut into segments that run at the same time, for few and long sequences.
///
/// Keys and values are read twice. Not thread-safe: one call at a time.
public final class SegmentedHedgehog {
  private let segments: SegmentStates
  /// States of this kind do not decay.
  private let decays: Tensor

  /// Cuts so that `cores` cores have `tasksPerCore` tasks each.
  ///
  /// - Throws: what the executor or the recorder refuses.
  public init(
    _ shape: HedgehogAttention.Shape, scale: Float, batch: Int, length: Int, cores: Int,
    executor: any Executor
  ) throws {
    let block = HedgehogAttention.block
    let state = SelectiveScan.Shape(
      heads: shape.heads, headSize: shape.valueSize + 1, stateSize: 2 * shape.features)
    segments = try SegmentStates(
      blocks: max(1, (length + block - 1) / block), tasks: cores * shape.schedule.tasksPerCore, batch: batch,
      state: state, executor: executor
    ) { try HedgehogAttention.kernel(shape, scale: scale, part: $0) }
    decays = try executor.place(try Tensor(zeros: .float32, segments.rows))
  }

  /// The last state `[B, H, P + 1, 2F]` after a call.
  public var lastState: Tensor { segments.lastState }

  /// Writes y as v; arguments as those of ``HedgehogAttention/kernel(_:scale:part:)``.
  public func callAsFunction(
    q: Tensor, k: Tensor, v: Tensor, queryMap: Tensor, keyMap: Tensor, linear: Tensor, window: Tensor,
    y: Tensor
  ) throws {
    try segments.states.run([k, v, keyMap, segments.sums], integers: [segments.blocks])
    try segments.combination.run([segments.sums, decays, segments.before])
    try segments.results.run(
      [q, k, v, queryMap, keyMap, linear, window, segments.before, y, segments.after],
      integers: [segments.blocks])
  }
}

/// ``GatedLinearAttention`` with the sequence cut into segments that run at the same time, for few and long sequences.
///
/// Keys, values and gates are read twice. Not thread-safe: one call at a time.
public final class SegmentedGatedAttention {
  private let segments: SegmentStates
  private let decays: Tensor

  /// Cuts so that `cores` cores have the schedule's number of tasks each.
  ///
  /// - Throws: what the executor or the recorder refuses.
  public init(
    _ shape: GatedLinearAttention.Shape, scale: Float = 1, batch: Int, length: Int, cores: Int,
    executor: any Executor
  ) throws {
    let block = GatedLinearAttention.block
    let state = SelectiveScan.Shape(
      heads: shape.heads, headSize: shape.headSize, stateSize: shape.valueSize)
    segments = try SegmentStates(
      blocks: max(1, (length + block - 1) / block), tasks: cores * shape.schedule.tasksPerCore, batch: batch,
      state: state, executor: executor
    ) { try GatedLinearAttention.kernel(shape, scale: scale, part: $0) }
    decays = try executor.tensor(.float32, segments.rows)
  }

  /// The last state `[B, H, D, P]` after a call.
  public var lastState: Tensor { segments.lastState }

  /// Writes y as v; arguments as those of ``GatedLinearAttention/kernel(_:scale:part:)``.
  public func callAsFunction(q: Tensor, k: Tensor, v: Tensor, gates: Tensor, y: Tensor) throws {
    try segments.states.run([k, v, gates, segments.sums, decays], integers: [segments.blocks])
    try segments.combination.run([segments.sums, decays, segments.before])
    try segments.results.run(
      [q, k, v, gates, segments.before, y, segments.after], integers: [segments.blocks])
  }
}

/// The kernels of a scan in segments, and the states that go from one to the next.
private struct SegmentStates {
  let states: any CompiledKernel
  let combination: any CompiledKernel
  let results: any CompiledKernel
  /// Blocks of a segment.
  let blocks: Int
  /// Sides of the tensors with a number for each row of a state.
  let rows: [Int]
  let sums: Tensor
  let before: Tensor
  let after: Tensor

  /// - Parameters:
  ///   - all: blocks of the sequence.
  ///   - tasks: that there should be.
  ///   - state: heads and sides of a state.
  init(
    blocks all: Int, tasks: Int, batch: Int, state: SelectiveScan.Shape, executor: any Executor,
    kernel: (SelectiveScan.Part) throws -> Kernel
  ) throws {
    let wanted = max(1, min(all, tasks / max(1, batch * state.heads)))
    blocks = (all + wanted - 1) / wanted
    states = try executor.compile(try kernel(.states))
    combination = try executor.compile(try SelectiveScan.combination(state))
    results = try executor.compile(try kernel(.results))
    let rows = [batch, state.heads, (all + blocks - 1) / blocks, state.headSize]
    func tensor() throws -> Tensor { try executor.tensor(.float32, rows + [state.stateSize]) }
    (self.rows, sums, before, after) = (rows, try tensor(), try tensor(), try tensor())
  }

  var lastState: Tensor { after.selecting(axis: 2, after.shape[2] - 1) }
}
