internal import Kernels
internal import Memory
internal import Tiles

/// The part of attention that all layers share: rotary append, paged attention over the work list, merge.
struct AttentionCore {
  let shape: Rotary.Shape
  /// What attention multiplies, queries among them.
  let factor: ElementType
  private let append: any CompiledKernel
  /// For steps with one row of each sequence, where that is worth a kernel of its own.
  private let appendOne: (any CompiledKernel)?
  private let attend: any CompiledKernel
  private let merge: any CompiledKernel

  init(
    _ shape: Rotary.Shape, cache: ElementType, scale: Float, window: Int?, output: ElementType,
    preparation: Preparation
  ) throws {
    self.shape = shape
    let factor = Self.factor(cache: cache, preparation.executor)
    self.factor = factor
    // Where many tasks run at a time, a loop over heads and rows that are not there takes longer than attention.
    let splitsHeads = preparation.executor.cores >= 32
    func append(rows: Int) throws -> any CompiledKernel {
      try preparation.kernel("append \(shape) \(cache) \(scale) \(rows)") {
        try Rotary.kernel(
          shape, cache: cache, query: factor, scale: scale * OnlineSoftmax.log2e, rows: rows,
          splitsHeads: splitsHeads)
      }
    }
    self.append = try append(rows: shape.pageTokens)
    appendOne = splitsHeads ? try append(rows: 1) : nil
    attend = try preparation.kernel("attend \(shape) \(cache) \(window ?? 0)") {
      try PagedAttention.kernel(
        shape, cache: cache, rowCapacity: PagedAttention.rowCapacity(factor: factor), window: window,
        factor: factor)
    }
    merge = try preparation.kernel("merge \(shape) \(output)") {
      try PagedAttention.merge(shape, output: output)
    }
  }

  /// The cache's type where that has 16 bits and the executor prefers such factors, float32 otherwise.
  static func factor(cache: ElementType, _ executor: any Executor) -> ElementType {
    executor.prefersSixteenBit && cache == .float16 ? cache : .float32
  }

  /// Appends the step's keys and values to the layer's pages and attends; y is `[M, heads · D]`.
  func callAsFunction(
    q: Tensor, k: Tensor, v: Tensor, pairsAreInterleaved: Bool, _ step: AttentionWork,
    cache: [Tensor], into y: Tensor
  ) throws {
    let (rows, kv, group, size) = (q.shape[0], shape.kvHeads, shape.group, shape.headSize)
    let queries = step.queries.reshaped([kv, rows, group, size])
    let inputs = [
      step.runs, step.cos, step.sin, pairs(q, heads: kv * group, pairsAreInterleaved),
      pairs(k, heads: kv, pairsAreInterleaved), heads(q, kv * group), heads(k, kv), heads(v, kv),
    ]
    let isOneEach = step.runs.shape[0] == rows
    try (isOneEach ? appendOne ?? append : append).run(inputs + [queries] + cache)
    let chunks = step.chunkCount
    let flat = [kv, chunks, rows * group]
    for phase in step.phases where !phase.isEmpty {
      try attend.run(
        [
          step.items, step.pages, step.rowPositions.reshaped([rows * group]),
          queries.reshaped([kv, rows * group, size]),
        ] + cache + [
          step.tops.reshaped(flat), step.totals.reshaped(flat), step.sums.reshaped(flat + [size]),
        ], integers: [phase.lowerBound, phase.count])
    }
    let split = [kv, chunks, rows, group]
    try merge.run([
      step.rowPositions, step.mergeBlocks, step.tops.reshaped(split), step.totals.reshaped(split),
      step.sums.reshaped(split + [size]), y, step.logSumExp,
    ])
  }

  /// A head's leading numbers as pairs `[M, heads, 2, rotary / 2]`.
  private func pairs(_ x: Tensor, heads: Int, _ interleaved: Bool) -> Tensor {
    let (rows, half) = (x.shape[0], shape.rotarySize / 2)
    return Tensor(
      unchecked: x.storage, byteOffset: x.byteOffset, type: x.type, shape: [rows, heads, 2, half],
      strides: [x.strides[0], shape.headSize] + (interleaved ? [1, 2] : [half, 1]))
  }

  /// Rows `[M, heads · D]`, which may be parts of longer ones, as `[M, heads, D]`.
  private func heads(_ x: Tensor, _ count: Int) -> Tensor {
    Tensor(
      unchecked: x.storage, byteOffset: x.byteOffset, type: x.type,
      shape: [x.shape[0], count, shape.headSize],
      strides: [x.strides[0], shape.headSize, 1])
  }
}
