internal import Kernels
internal import Memory

/// One step's inputs as tensors, and the attention workspace all layers share.
struct StepTensors {
  let batch: ForwardBatch
  let tokens: Tensor
  let positions: Tensor
  let logitRows: Tensor
  let attention: AttentionWork

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
    let chunkCount = isPadded ? Self.rounded(batch.chunkCount) : batch.chunkCount
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
    (tokens, positions, logitRows) = (inputs[0], inputs[1], inputs[6])
    attention = try AttentionWork(
      shape, queryType: queryType, phases: phases, chunkCount: chunkCount,
      lists: (inputs[2], inputs[3], inputs[4], inputs[5]), rowPositions: inputs[7],
      angles: (inputs[8], inputs[9]), workspace)
  }

  /// What the step's kernels depend on besides the numbers in these tensors.
  var shape: StepReplay.Shape {
    let work = attention
    let inputs = [tokens, work.runs, work.items, work.pages, work.mergeBlocks, logitRows]
    return StepReplay.Shape(extents: inputs.map { $0.shape[0] }, phases: work.phases, chunks: work.chunkCount)
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
