internal import Kernels
internal import Memory
public import Models
public import Tiles

extension AttentionCosts {
  /// Costs of a model's attention on this machine, by timing its kernel on short work lists; some milliseconds.
  ///
  /// The kernel has the model's heads, group and cache type and runs on the executor the model runs on. A page's cost is
  /// that of all heads with all threads at work, as a step pays it.
  ///
  /// - Returns: ``standard`` where the clock is too coarse or too disturbed to tell the costs apart.
  public static func measured(for model: any LanguageModel, executor: any Executor) throws -> AttentionCosts {
    let probe = try CostProbe(model, executor: executor)
    // A launch of one row on one page is nearly all overhead.
    let phase = try probe.seconds(items: 1, tokens: 1, pages: 1)
    let few = (try probe.seconds(items: CostProbe.items, tokens: 1, pages: CostProbe.pages) - phase)
    let many =
      (try probe.seconds(items: CostProbe.items, tokens: probe.tokens, pages: CostProbe.pages) - phase)
    return AttentionCosts(
      phase: phase, few: few, many: many, visits: CostProbe.items * CostProbe.pages,
      fewRows: model.queryGroup, manyRows: probe.tokens * model.queryGroup) ?? .standard
  }

  /// Costs that explain two times, `few` and `many`, of so many visits of pages with so many rows each; `nil` where no
  /// positive ones do.
  package init?(phase: Double, few: Double, many: Double, visits: Int, fewRows: Int, manyRows: Int) {
    let (fewBlocks, manyBlocks) = (Double((fewRows + 5) / 6), Double((manyRows + 5) / 6))
    guard manyBlocks > fewBlocks else { return nil }
    let rowBlock = (many - few) / Double(visits) / (manyBlocks - fewBlocks)
    let page = few / Double(visits) - fewBlocks * rowBlock
    guard rowBlock > 0, page > 0, phase > 0, (rowBlock + page + phase).isFinite else { return nil }
    self.init(page: page, rowBlock: rowBlock, phase: phase)
  }
}

/// A model's attention kernel with memory to run it on.
private struct CostProbe {
  /// Work items of the longer lists, and pages of each.
  static let items = 4
  static let pages = AttentionPlanner.chunkPages
  /// Runs of each list; the shortest counts.
  static let repeats = 2

  /// Tokens of a longer item: half of what one may have, to be done sooner.
  let tokens: Int
  private let executor: any Executor
  private let kernel: any CompiledKernel
  private let arguments: [Tensor]

  init(_ model: any LanguageModel, executor: any Executor) throws {
    self.executor = executor
    let (geometry, group) = (model.cacheGeometry, model.queryGroup)
    let shape = Rotary.Shape(
      kvHeads: geometry.kvHeads, group: group, headSize: geometry.headSize, rotarySize: 0)
    let rowCapacity = PagedAttention.rowCapacity(factor: model.attentionFactor)
    kernel = try executor.compile(
      try PagedAttention.kernel(
        shape, cache: geometry.type, rowCapacity: rowCapacity, factor: model.attentionFactor))
    tokens = max(1, rowCapacity / 2 / group)
    let rows = Self.items * tokens * group
    let list = try Tensor(zeros: .int32, [Self.pages])
    list.withMutableElements(as: Int32.self) { span in
      for index in span.indices { span[index] = Int32(index) }
    }
    let positions = try Tensor(zeros: .int32, [rows])
    positions.withMutableElements(as: Int32.self) { span in
      for index in span.indices { span[index] = Int32(PagedAttention.chunkTokens) }
    }
    let page = PagedCache.Geometry.pageTokens
    let (heads, size) = (geometry.kvHeads, geometry.headSize)
    let scales = geometry.type == .int8 ? 2 : 0
    let inputs = [
      try executor.place(list), try executor.place(positions),
      try executor.tensor(model.attentionFactor, [heads, rows, size]),
      try executor.tensor(geometry.type, [Self.pages, heads, size, page]),
      try executor.tensor(geometry.type, [Self.pages, heads, page, size]),
    ]
    let factors = try (0..<scales).map { _ in try executor.tensor(.float32, [Self.pages, heads, page]) }
    arguments =
      inputs + factors + [
        try executor.tensor(.float32, [heads, 1, rows]), try executor.tensor(.float32, [heads, 1, rows]),
        try executor.tensor(.float32, [heads, 1, rows, size]),
      ]
  }

  /// Shortest time of a list of equal items.
  func seconds(items count: Int, tokens: Int, pages: Int) throws -> Double {
    let fields = PagedAttention.Field.allCases.count
    let items = try Tensor(zeros: .int32, [count, fields])
    items.withMutableElements(as: Int32.self) { span in
      for item in 0..<count {
        span[item * fields + PagedAttention.Field.firstRow.rawValue] = Int32(item * tokens)
        span[item * fields + PagedAttention.Field.rowCount.rawValue] = Int32(tokens)
        span[item * fields + PagedAttention.Field.pageCount.rawValue] = Int32(pages)
        span[item * fields + PagedAttention.Field.wholeCount.rawValue] = Int32(pages)
      }
    }
    let placed = try executor.place(items)
    var shortest = Double.infinity
    // The first run touches the memory.
    for _ in 0...Self.repeats {
      let start = ContinuousClock.now
      try kernel.run([placed] + arguments, integers: [0, count])
      try executor.synchronize()
      let (whole, rest) = (ContinuousClock.now - start).components
      shortest = min(shortest, Double(whole) + Double(rest) * 1e-18)
    }
    return shortest
  }
}
