internal import Kernels
internal import Memory

/// One step's inputs as tensors, and the attention workspace all layers share.
struct StepTensors {
  let batch: ForwardBatch
  /// Items of each phase, and chunks that states have room for: the batch's, or more.
  let phases: [Range<Int>]
  let chunkCount: Int
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

  /// - Parameters:
  ///   - queryType: what attention takes queries as.
  ///   - isPadded: whether lists are filled up to lengths that many steps share, with work items of no rows.
  init(
    _ batch: ForwardBatch, shape: Rotary.Shape, queryType: ElementType, rotary: RotaryTable?,
    workspace: Workspace, isPadded: Bool
  ) throws {
    self.batch = batch
    let rows = batch.tokens.count
    let half = shape.rotarySize / 2
    let fields = PagedAttention.Field.allCases.count
    var (items, pages, phases) = (batch.items, batch.pages, batch.phases)
    if isPadded {
      (items, phases) = Self.padded(items, phases)
      pages += [Int32](repeating: 0, count: Self.rounded(max(16, pages.count)) - pages.count)
    }
    self.phases = phases
    chunkCount = isPadded ? Self.rounded(batch.chunkCount) : batch.chunkCount
    let repeated = batch.positions.flatMap { [Int32](repeating: $0, count: shape.group) }
    let integers: [(values: [Int32], shape: [Int])] = [
      (batch.tokens, [rows]), (batch.positions, [rows]), (batch.runs, [batch.runs.count / 4, 4]),
      (items, [items.count / fields, fields]), (pages, [pages.count]),
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
    (tokens, positions, runs, self.items) = (inputs[0], inputs[1], inputs[2], inputs[3])
    (self.pages, mergeBlocks, logitRows, rowPositions) = (inputs[4], inputs[5], inputs[6], inputs[7])
    (cos, sin) = (inputs[8], inputs[9])
    let (kv, group, chunks) = (shape.kvHeads, shape.group, chunkCount)
    queries = try workspace.tensor("queries", queryType, [kv, rows, group, shape.headSize])
    tops = try workspace.tensor("tops", .float32, [kv, chunks, rows, group])
    totals = try workspace.tensor("totals", .float32, [kv, chunks, rows, group])
    sums = try workspace.tensor("sums", .float32, [kv, chunks, rows, group, shape.headSize])
    logSumExp = try workspace.tensor("logSumExp", .float32, [rows, kv, group])
  }

  /// What the step's kernels depend on besides the numbers in these tensors.
  var shape: StepReplay.Shape {
    let inputs = [tokens, runs, items, pages, mergeBlocks, logitRows]
    return StepReplay.Shape(extents: inputs.map { $0.shape[0] }, phases: phases, chunks: chunkCount)
  }

  /// The next power of two.
  private static func rounded(_ count: Int) -> Int {
    var result = 1
    while result < count { result *= 2 }
    return result
  }

  /// The items of each phase with as many of no rows behind them as make their number a power of two.
  private static func padded(
    _ items: [Int32], _ phases: [Range<Int>]
  ) -> (items: [Int32], phases: [Range<Int>]) {
    let fields = PagedAttention.Field.allCases.count
    var (all, ranges): ([Int32], [Range<Int>]) = ([], [])
    for phase in phases {
      let first = all.count / fields
      all += items[phase.lowerBound * fields..<phase.upperBound * fields]
      let count = phase.isEmpty ? 0 : rounded(phase.count)
      all += [Int32](repeating: 0, count: (count - phase.count) * fields)
      ranges.append(first..<first + count)
    }
    return (all, ranges)
  }
}
