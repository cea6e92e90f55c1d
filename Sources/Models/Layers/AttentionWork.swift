internal import Kernels
internal import Memory

/// What attention over pages is given in a step, the same for all layers: where keys go, which pages are visited by whom, and room
/// for queries and states.
struct AttentionWork {
  /// Items of each phase, and chunks that states have room for.
  let phases: [Range<Int>]
  let chunkCount: Int
  /// Where rows go in the cache, `[R, 4]`.
  let runs: Tensor
  let items: Tensor
  let pages: Tensor
  let mergeBlocks: Tensor
  /// Position of each query row, `[M, group]`.
  let rowPositions: Tensor
  /// Angles of rotary embedding, `[M, R / 2]`.
  let cos: Tensor
  let sin: Tensor
  let queries: Tensor
  let tops: Tensor
  let totals: Tensor
  let sums: Tensor
  let logSumExp: Tensor

  /// - Parameters:
  ///   - lists: runs, items, pages and blocks of the merge, as ``Kernels/PagedAttention`` takes them.
  ///   - queryType: what attention takes queries as.
  init(
    _ shape: Rotary.Shape, queryType: ElementType, phases: [Range<Int>], chunkCount: Int,
    lists: (runs: Tensor, items: Tensor, pages: Tensor, mergeBlocks: Tensor), rowPositions: Tensor,
    angles: (cos: Tensor, sin: Tensor), _ workspace: Workspace
  ) throws {
    (self.phases, self.chunkCount, self.rowPositions) = (phases, chunkCount, rowPositions)
    (runs, items, pages, mergeBlocks) = lists
    (cos, sin) = angles
    let (kv, group, rows) = (shape.kvHeads, shape.group, rowPositions.shape[0])
    queries = try workspace.tensor("queries", queryType, [kv, rows, group, shape.headSize])
    tops = try workspace.tensor("tops", .float32, [kv, chunkCount, rows, group])
    totals = try workspace.tensor("totals", .float32, [kv, chunkCount, rows, group])
    sums = try workspace.tensor("sums", .float32, [kv, chunkCount, rows, group, shape.headSize])
    logSumExp = try workspace.tensor("logSumExp", .float32, [rows, kv, group])
  }
}
