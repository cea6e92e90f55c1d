public import Memory
public import Tiles

/// Gradients of attention: dq, dk and dv from dy and what ``Attention`` left.
///
/// Scores are formed transposed, keys as rows, so that the weights and their gradients are left factors of the sums over
/// queries as they come out of the products. A task owns a block of keys and visits the queries that see it; their own
/// gradients are added up across tasks in float32. Dao, 2023, arXiv:2307.08691; the transposed form after Spector et al.,
/// 2024, arXiv:2410.20399. Floor: 10·B·heads·(visible pairs)·D flops over the rate of the matrix units.
public enum AttentionBackward {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of K and V.
    public var kvHeads: Int
    /// Query heads that share one of them.
    public var group: Int
    /// Numbers in a head.
    public var headSize: Int
    /// bfloat16 or float16.
    public var type: ElementType
    /// Keys of a task.
    public var keys: Int
    /// Queries of a step.
    public var queries: Int
    /// Blocks of queries that may be loaded ahead.
    public var stages: Int
    /// How groups of threads share a task.
    public var schedule: Kernel.Schedule
    /// Whether results are the same bits in every run: the gradients of queries, to which many tasks add, are then summed
    /// as whole numbers of a unit for each row, since float32 sums depend on their order.
    public let isDeterministic: Bool

    /// Sizes with the tiles that are fastest for the mask.
    public init(
      kvHeads: Int, group: Int, headSize: Int, type: ElementType = .bfloat16, mask: Attention.Mask,
      isDeterministic: Bool = false
    ) {
      self.kvHeads = kvHeads
      self.group = group
      self.headSize = headSize
      self.type = type
      self.isDeterministic = isDeterministic
      // Small heads leave room for two tasks a core, which hide each other's waits. Without a mask no step is cut short,
      // and it pays more that 128 keys add half as often to the sums of queries: a sixth of the time goes there.
      let isSmall = headSize <= 64
      let isWide = !isSmall || (headSize > 48 && mask == .full && !isDeterministic)
      keys = isWide ? 128 : 64
      queries = 64
      stages = isSmall ? 3 : 2
      schedule = isWide ? Kernel.Schedule(groups: 2) : Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.trailsSteps = isSmall
    }

    /// Type of the sums for queries.
    var sumType: ElementType { isDeterministic ? .int32 : .float32 }

    /// What kernels of the shape are named by.
    var variant: String { "\(headSize)_\(type.rawValue)\(isDeterministic ? "_deterministic" : "")" }

    /// Columns of a tile of heads.
    var columns: Int { (headSize + 15) / 16 * 16 }
  }

  /// What the main kernel needs of each row: −lse in units of log₂, and Σ dy·y.
  ///
  /// Arguments: y and dy `[B, kvHeads, group, M, D]`, lse `[B, kvHeads, group, M]`, where sums are of whole numbers the
  /// `limits` of ``limits(_:)``, then results `offsets`, `deltas` and there also `units` of lse's shape, float32.
  public static func preparation(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("attention_backward_preparation_\(shape.variant)") { k in
      let (b, m) = (k.extent("B"), k.extent("M"))
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let y = k.input("y", shape.type, [b, kv, group, m, d])
      let dy = k.input("dy", shape.type, [b, kv, group, m, d])
      let lse = k.input("lse", .float32, [b, kv, group, m])
      let limits = shape.isDeterministic ? k.input("limits", .float32, [b, kv, 1]) : nil
      let offsets = k.output("offsets", .float32, [b, kv, group, m])
      let deltas = k.output("deltas", .float32, [b, kv, group, m])
      let units = shape.isDeterministic ? k.output("units", .float32, [b, kv, group, m]) : nil
      let block = 16
      k.grid([b, kv * group, m.ceilDiv(Index(block))]) { task in
        let at = [task[0], task[1] / group, task[1] % group, task[2] * Index(block)]
        func load(_ tensor: TensorParameter) -> Tile {
          k.load(tensor, at: at + [0], rows: block, columns: shape.headSize, as: .float32)
        }
        let gradient = load(dy)
        let sums = k.rowSum(k.map(.multiply, load(y), gradient))
        k.store(sums, to: deltas, at: at, rowAxis: 3)
        if let limits, let units {
          // |dy·v − Σ dy·y| ≤ 2·|dy|·max |v|, weights of a row add up to 1, so 2³⁰ units are never reached.
          let norm = k.map(.sqrt, k.rowSum(k.map(.multiply, gradient, gradient)))
          let limit = k.load(limits, at: [at[0], at[1], 0], rows: 1, columns: 1)
          let largest = k.map(.max, k.map(.multiply, norm, limit), 0x1p-96)
          k.store(k.map(.divide, 0x1p28, largest), to: units, at: at, rowAxis: 3)
        }
        let row = k.load(lse, at: at, rows: block, columns: 1, rowAxis: 3)
        k.store(k.map(.multiply, row, -OnlineSoftmax.log2e), to: offsets, at: at, rowAxis: 3)
      }
    }
  }

  /// Arguments: q and dy `[B, kvHeads, group, M, D]`, k and v `[B, kvHeads, N, D]`, offsets and deltas (and, where sums
  /// are of whole numbers, units) `[B, kvHeads, group, M]`, then dqSums `[B, kvHeads, group, M, D]` float32 or int32, to
  /// which the gradient of q over `scale` (times its unit) is added, and the results dk and dv as k and v.
  ///
  /// - Parameter scale: that of the scores.
  public static func kernel(
    _ shape: Shape, mask: Attention.Mask, scale: Float
  ) throws(TileError) -> Kernel {
    try Kernel("attention_backward_\(mask)_\(shape.variant)") { k in
      let (b, m, n) = (k.extent("B"), k.extent("M"), k.extent("N"))
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let q = k.input("q", shape.type, [b, kv, group, m, d])
      let dy = k.input("dy", shape.type, [b, kv, group, m, d])
      let keys = k.input("k", shape.type, [b, kv, n, d])
      let values = k.input("v", shape.type, [b, kv, n, d])
      let offsets = k.input("offsets", .float32, [b, kv, group, m])
      let deltas = k.input("deltas", .float32, [b, kv, group, m])
      let units = shape.isDeterministic ? k.input("units", .float32, [b, kv, group, m]) : nil
      let dqSums = k.update("dqSums", shape.sumType, [b, kv, group, m, d])
      let dk = k.output("dk", shape.type, [b, kv, n, d])
      let dv = k.output("dv", shape.type, [b, kv, n, d])
      let (block, step) = (Index(shape.keys), Index(shape.queries))
      let visible = Visible(shape, mask, key: .task(0) * block, m: m, n: n)
      let order = Kernel.TaskOrder.longestFirst(
        cost: group * visible.count, section: .task(2) * kv + .task(1))
      k.grid([n.ceilDiv(block), kv, b], order: order, schedule: shape.schedule) { task in
        let (key, head, batch) = (task[0] * block, task[1], task[2])
        let valid = (n - key).min(block)
        let k0 = k.load(keys, at: [batch, head, key, 0], rows: shape.keys, columns: shape.columns)
        let v0 = k.load(values, at: [batch, head, key, 0], rows: shape.keys, columns: shape.columns)
        func sum() -> Tile {
          k.filled(0, rows: shape.keys, columns: shape.columns, validRows: valid, validColumns: d)
        }
        let (dkSum, dvSum) = (sum(), sum())
        func place(_ number: Index) -> (member: Index, row: Index) {
          // Divisions take as long as a part of a product.
          guard shape.group > 1 else { return (0, (visible.first + number) * step) }
          return (number / visible.count, (visible.first + number % visible.count) * step)
        }
        k.pipeline(
          steps: group * visible.count, stages: shape.stages,
          load: { number in
            let (member, row) = place(number)
            let at = [batch, head, member, row]
            return [
              k.load(q, at: at + [0], rows: shape.queries, columns: shape.columns),
              k.load(dy, at: at + [0], rows: shape.queries, columns: shape.columns),
              k.load(offsets, at: at, columns: shape.queries), k.load(deltas, at: at, columns: shape.queries),
            ]
          },
          compute: { number, tiles in
            let (member, row) = place(number)
            let scores = k.matmul(k0, tiles[0], transposesRight: true)
            let dWeights = k.matmul(v0, tiles[1], transposesRight: true)
            let weights = k.map(.exp2, k.map(.fma, scores, scale * OnlineSoftmax.log2e, tiles[2]))
            if mask != .full {
              hide(
                k, weights, mask, row: row, key: key, m: m, n: n, wholeFrom: visible.wholeFrom,
                wholeTo: visible.wholeTo, step: step)
            }
            let factors = k.cast(weights, to: shape.type)
            // Where steps overlap, the sums end a step and run beside the next one's scores.
            if !shape.schedule.overlapsSteps { k.matmul(into: dvSum, factors, tiles[1]) }
            let dScores = k.map(.multiply, weights, k.map(.subtract, dWeights, tiles[3]))
            let dFactors = k.cast(dScores, to: shape.type)
            if shape.schedule.overlapsSteps { k.matmul(into: dvSum, factors, tiles[1]) }
            k.matmul(into: dkSum, dFactors, tiles[0])
            let dq = k.matmul(dFactors, k0, transposesLeft: true)
            // Read while the product runs.
            let unit = units.map {
              k.load($0, at: [batch, head, member, row], rows: shape.queries, columns: 1, rowAxis: 3)
            }
            k.add(
              unit.map { k.map(.multiply, dq, $0) } ?? dq, to: dqSums, at: [batch, head, member, row, 0])
          })
        k.store(k.map(.multiply, dkSum, scale), to: dk, at: [batch, head, key, 0])
        k.store(dvSum, to: dv, at: [batch, head, key, 0])
      }
    }
  }

  /// Zeroes weights of keys that a query does not see, in the blocks where there are any.
  private static func hide(
    _ k: Recorder, _ weights: Tile, _ mask: Attention.Mask, row: Index, key: Index, m: Index, n: Index,
    wholeFrom: Index, wholeTo: Index, step: Index
  ) {
    func apply() {
      // Position of the query of each column, seen from the first key.
      let position = MapValue.column(offset: row + n - m - key)
      let age = MapValue.row(offset: 0)
      k.assign(weights, k.map(.selectGreaterEqual, position, age, weights, 0.0))
      if case .window(let width) = mask {
        let last = MapValue.row(offset: Index(width - 1))
        k.assign(weights, k.map(.selectGreaterEqual, last, position, weights, 0.0))
      }
    }
    // Negative outside the blocks that see all keys.
    let inside = (row - wholeFrom * step).min(wholeTo * step - 1 - row)
    k.when(inside, lessThan: 0) { apply() }
  }

  /// Blocks of queries that see some key of a block, and those that see all.
  private struct Visible {
    let first: Index
    let count: Index
    /// Blocks from `wholeFrom` up to `wholeTo` see every key.
    let wholeFrom: Index
    let wholeTo: Index

    init(_ shape: Shape, _ mask: Attention.Mask, key: Index, m: Index, n: Index) {
      let step = Index(shape.queries)
      let all = m.ceilDiv(step)
      guard mask != .full else {
        (first, count, wholeFrom, wholeTo) = (0, all, 0, all)
        return
      }
      // Query i stands at i + n − m and sees keys up to there.
      let oldest = (key - n + m).max(0)
      let from = (oldest / step).min(all)
      first = from
      wholeFrom = (key + Index(shape.keys - 1) - n + m).max(0).ceilDiv(step)
      guard case .window(let width) = mask else {
        (count, wholeTo) = (all - from, all)
        return
      }
      let newest = ((key + Index(shape.keys - 1)).min(n - 1) + Index(width) - n + m).max(0).min(m)
      count = (newest.ceilDiv(step) - from).max(0)
      wholeTo = ((key + Index(width) - n + m).max(0) / step)
    }
  }

  /// dq = `scale` · sums (over their unit), rounded. Arguments: dqSums `[B, heads, M, D]`, where they are whole numbers units
  /// `[B, heads, M]`, and dq as dqSums, of any strides.
  public static func conversion(_ shape: Shape, scale: Float) throws(TileError) -> Kernel {
    try Kernel("attention_backward_conversion_\(shape.variant)") { k in
      let (batch, heads, rows) = (k.extent("B"), k.extent("heads"), k.extent("M"))
      let all = [batch, heads, rows, Index(shape.headSize)]
      let sums = k.input("dqSums", shape.sumType, all)
      let units = shape.isDeterministic ? k.input("units", .float32, [batch, heads, rows]) : nil
      let dq = k.output("dq", shape.type, all)
      k.grid([batch, heads, rows.ceilDiv(16)]) { task in
        let place = [task[0], task[1], task[2] * 16]
        let tile = k.load(sums, at: place + [0], rows: 16, columns: shape.headSize, as: .float32)
        let factor = units.map {
          k.map(.divide, scale, k.load($0, at: place, rows: 16, columns: 1, rowAxis: 2))
        }
        k.store(
          factor.map { k.map(.multiply, tile, $0) } ?? k.map(.multiply, tile, scale), to: dq, at: place + [0])
      }
    }
  }
}
