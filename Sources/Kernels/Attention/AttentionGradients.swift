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
    sums = try executor.tensor(.float32, heads + [queries, shape.headSize])
  }

  /// Bytes of workspace: a float32 for each number of q and two for each of its rows.
  public var workspaceBytes: Int {
    sums.count * 4 + 2 * (queries + 3) / 4 * 16 * batch * shape.kvHeads * shape.group
  }

  /// Writes dq, dk and dv.
  ///
  /// - Parameters:
  ///   - q: queries `[B, heads, M, D]`; y, dy and dq likewise.
  ///   - k: keys `[B, kvHeads, N, D]`; v, dk and dv likewise.
  ///   - lse: log-sum-exp of each row `[B, heads, M]`, natural, as ``Attention`` leaves it.
  public func callAsFunction(
    q: Tensor, k: Tensor, v: Tensor, y: Tensor, lse: Tensor, dy: Tensor, dq: Tensor, dk: Tensor, dv: Tensor
  ) throws {
    let rows = [batch, shape.kvHeads, shape.group, queries]
    let heads = rows + [shape.headSize]
    try preparation.run([y.reshaped(heads), dy.reshaped(heads), lse.reshaped(rows), offsets, deltas])
    try executor.clear(sums)
    try main.run([q.reshaped(heads), dy.reshaped(heads), k, v, offsets, deltas, sums, dk, dv])
    let flat = [rows.reduce(1, *), shape.headSize]
    try conversion.run([sums.reshaped(flat), dq.reshaped(flat)])
  }
}
