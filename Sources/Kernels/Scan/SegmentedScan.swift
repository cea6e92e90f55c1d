public import Memory
public import Tiles

/// ``SelectiveScan`` with the sequence cut into segments that run at the same time, for few and long sequences.
///
/// Each segment's contribution to the state is found first, then the states before the segments, then the results: x, dt and b
/// are read twice. Not thread-safe: one call at a time.
public final class SegmentedScan {
  private let states: any CompiledKernel
  private let combination: any CompiledKernel
  private let results: any CompiledKernel
  private let chunks: Int
  private let sums: Tensor
  private let decays: Tensor
  private let before: Tensor
  private let after: Tensor

  /// Cuts so that `cores` cores have `tasksPerCore` tasks each.
  ///
  /// - Throws: what the executor or the recorder refuses.
  public init(
    _ shape: SelectiveScan.Shape, batch: Int, length: Int, cores: Int, executor: any Executor
  ) throws {
    let all = max(1, (length + shape.chunk - 1) / shape.chunk)
    let wanted = max(1, min(all, cores * shape.schedule.tasksPerCore / max(1, batch * shape.heads)))
    chunks = (all + wanted - 1) / wanted
    let segments = (all + chunks - 1) / chunks
    states = try executor.compile(try SelectiveScan.kernel(shape, part: .states))
    combination = try executor.compile(try SelectiveScan.combination(shape))
    results = try executor.compile(try SelectiveScan.kernel(shape, part: .results))
    let heads = [batch, shape.heads, segments, shape.headSize]
    func tensor() throws -> Tensor { try executor.tensor(.float32, heads + [shape.stateSize]) }
    (sums, before, after) = (try tensor(), try tensor(), try tensor())
    decays = try executor.tensor(.float32, heads)
  }

  /// The last state `[B, heads, P, S]` after a call.
  public var lastState: Tensor { after.selecting(axis: 2, after.shape[2] - 1) }

  /// Writes y as x; arguments as those of ``SelectiveScan/kernel(_:part:)``.
  public func callAsFunction(x: Tensor, dt: Tensor, rates: Tensor, b: Tensor, c: Tensor, y: Tensor) throws {
    try states.run([x, dt, rates, b, sums, decays], integers: [chunks])
    try combination.run([sums, decays, before])
    try results.run([x, dt, rates, b, c, before, y, after], integers: [chunks])
  }
}
