internal import Kernels
internal import Memory

/// One step's inputs as tensors, and the attention workspace all layers share.
struct StepTensors {
  let batch: ForwardBatch
  let tokens: Tensor
  let positions: Tensor
  let runs: Tensor
  let items: Tensor
  let pages: Tensor
  let mergeBlocks: Tensor
  let logitRows: Tensor
  /// Position of each query row: every token's, once a head of the group.
  let rowPositions: Tensor
  let cos: Tensor
  let sin: Tensor
  let queries: Tensor
  let tops: Tensor
  let totals: Tensor
  let sums: Tensor
  let logSumExp: Tensor

  /// - Parameter queryType: what attention takes queries as.
  init(
    _ batch: ForwardBatch, shape: Rotary.Shape, queryType: ElementType, rotary: RotaryTable?,
    workspace: Workspace
  ) throws {
    self.batch = batch
    let rows = batch.tokens.count
    let half = shape.rotarySize / 2
    let fields = PagedAttention.Field.allCases.count
    let repeated = batch.positions.flatMap { [Int32](repeating: $0, count: shape.group) }
    let integers: [(values: [Int32], shape: [Int])] = [
      (batch.tokens, [rows]), (batch.positions, [rows]), (batch.runs, [batch.runs.count / 4, 4]),
      (batch.items, [batch.items.count / fields, fields]), (batch.pages, [batch.pages.count]),
      (batch.mergeBlocks, [batch.mergeBlocks.count]), (batch.logitRows, [batch.logitRows.count]),
      (repeated, [rows, shape.group]),
    ]
    let angles: [(type: ElementType, shape: [Int])] = [(.float32, [rows, half]), (.float32, [rows, half])]
    let inputs = try workspace.inputs(integers.map { (.int32, $0.shape) } + angles) { tensors in
      for (tensor, part) in zip(tensors, integers) {
        tensor.withMutableElements(as: Int32.self) { span in
          for index in part.values.indices { span[index] = part.values[index] }
        }
      }
      rotary?.fill(
        cos: tensors[integers.count], sin: tensors[integers.count + 1], positions: batch.positions)
    }
    (tokens, positions, runs, items) = (inputs[0], inputs[1], inputs[2], inputs[3])
    (pages, mergeBlocks, logitRows, rowPositions) = (inputs[4], inputs[5], inputs[6], inputs[7])
    (cos, sin) = (inputs[8], inputs[9])
    let (kv, group, chunks) = (shape.kvHeads, shape.group, batch.chunkCount)
    queries = try workspace.tensor("queries", queryType, [kv, rows, group, shape.headSize])
    tops = try workspace.tensor("tops", .float32, [kv, chunks, rows, group])
    totals = try workspace.tensor("totals", .float32, [kv, chunks, rows, group])
    sums = try workspace.tensor("sums", .float32, [kv, chunks, rows, group, shape.headSize])
    logSumExp = try workspace.tensor("logSumExp", .float32, [rows, kv, group])
  }
}
