public import Memory
public import Tiles

/// The kernels of ``AttentionBackward`` in order, with the memory they share.
///
/// Not thread-safe: one call at a time.
public final class AttentionGradients {
  private let executor: any Executor
  private let preparation: any CompiledKernel
  private let main: any CompiledKernel
  private let conversion: any CompiledKernel
  private let shape: AttentionBackward.Shape
  private let batch: Int
  private let queries: Int
  /// −lse in units of log₂ and Σ dy·y of each row; rows of a head start on whole 16 bytes.
  private let offsets: Tensor
  private let deltas: Tensor
  private let sums: Tensor
  private let units: Units?
  /// Of the last call's length.
  private var keyLimits: [Tensor] = []

  /// What sums of whole numbers need: how fine each row's unit is, and what that follows from.
  private struct Units {
    let keyLimits: any CompiledKernel
    let limits: any CompiledKernel
    let values: Tensor
    /// Of a head.
    let largest: Tensor
  }

  /// - Parameters:
  ///   - scale: that of the scores.
  ///   - batch: B.
  ///   - queries: M, rows of q in a head.
  /// - Throws: what the executor or the recorder refuses.
  public init(
    _ shape: AttentionBackward.Shape, mask: Attention.Mask, scale: Float, batch: Int, queries: Int,
    executor: any Executor
  ) throws {
    self.executor = executor
    self.shape = shape
    self.batch = batch
    self.queries = queries
    preparation = try executor.compile(try AttentionBackward.preparation(shape))
    main = try executor.compile(try AttentionBackward.kernel(shape, mask: mask, scale: scale))
    conversion = try executor.compile(try AttentionBackward.conversion(shape, scale: scale))
    let padded = (queries + 3) / 4 * 4
    let heads = [batch, shape.kvHeads, shape.group]
    func rows() throws -> Tensor {
      try executor.tensor(.float32, heads + [padded]).sliced(axis: 3, 0..<queries)
    }
    (offsets, deltas) = (try rows(), try rows())
    sums = try executor.tensor(shape.sumType, heads + [queries, shape.headSize])
    units =
      shape.isDeterministic
      ? Units(
        keyLimits: try executor.compile(try AttentionBackward.keyLimits(shape)),
        limits: try executor.compile(try AttentionBackward.limits(shape)),
        values: try executor.tensor(.float32, heads + [queries]),
        largest: try executor.tensor(.float32, [batch, shape.kvHeads, 1])) : nil
  }

  /// Bytes of workspace: four for each number of q and eight for each of its rows; where results are the same in every
  /// run, four more for each row and head, and, from the first call on, eight for each key.
  public var workspaceBytes: Int {
    let rows = batch * shape.kvHeads * shape.group
    let unitBytes = units.map { ($0.values.count + $0.largest.count) * 4 } ?? 0
    let keyBytes = keyLimits.reduce(0) { $0 + $1.count * 4 }
    return sums.count * 4 + 2 * (queries + 3) / 4 * 16 * rows + unitBytes + keyBytes
  }

  /// Writes dq, dk and dv.
  ///
  /// - Parameters:
  ///   - q: queries `[B, heads, M, D]`, of any strides; y, dy and dq likewise.
  ///   - k: keys `[B, kvHeads, N, D]`; v, dk and dv likewise.
  ///   - lse: log-sum-exp of each row `[B, heads, M]`, natural, as ``Attention`` leaves it.
  public func callAsFunction(
    q: Tensor, k: Tensor, v: Tensor, y: Tensor, lse: Tensor, dy: Tensor, dq: Tensor, dk: Tensor, dv: Tensor
  ) throws {
    let rows = [batch, shape.kvHeads, shape.group, queries]
    let heads = rows + [shape.headSize]
    let given = [y.grouped(heads), dy.grouped(heads), lse.reshaped(rows)]
    var perRow: [Tensor] = []
    if let units {
      let keys = [batch, shape.kvHeads, k.shape[2]]
      if keyLimits.first?.shape != keys {
        keyLimits = try (0..<2).map { _ in try executor.tensor(.float32, keys) }
      }
      try units.keyLimits.run([k, v] + keyLimits)
      try units.limits.run(keyLimits + [units.largest])
      perRow = [units.values]
    }
    try preparation.run(given + (units.map { [$0.largest] } ?? []) + [offsets, deltas] + perRow)
    try executor.clear(sums)
    try main.run(
      [q.grouped(heads), dy.grouped(heads), k, v, offsets, deltas] + perRow + [sums, dk, dv])
    let queryRows = [batch, shape.kvHeads * shape.group, queries]
    let all = queryRows + [shape.headSize]
    try conversion.run(
      [sums.reshaped(all)] + perRow.map { $0.reshaped(queryRows) } + [dq.isDense ? dq.reshaped(all) : dq])
  }
}

extension Tensor {
  /// `[B, heads, M, D]` as `[B, kvHeads, group, M, D]`.
  fileprivate func grouped(_ shape: [Int]) -> Tensor {
    if isDense { return reshaped(shape) }
    precondition(self.shape[1] == shape[1] * shape[2], "heads of \(self.shape) in groups of \(shape)")
    return Tensor(
      unchecked: storage, byteOffset: byteOffset, type: type, shape: shape,
      strides: [strides[0], shape[2] * strides[1]] + strides[1...])
  }
}
