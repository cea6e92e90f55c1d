public import Memory
public import Tiles

/// Matrix product C = A · B in float32, or of 16-bit factors with float32 sums.
///
/// Floor: 2·M·N·K flops over the rate of the fused multiply-adds; at the sizes of the default plan each number of A
/// and B is used at least 64 times from cache, so memory is not the limit from 64 × 64 × 64 up.
public enum Gemm {
  /// Sizes of the tiles; data, so that each machine can have its own.
  public struct Plan: Sendable, Hashable {
    /// Rows of C a task computes.
    public var rows: Int
    /// Columns of C a task computes.
    public var columns: Int
    /// Inner extent of a step.
    public var inner: Int
    /// Steps a back end may load ahead.
    public var stages: Int
    /// How groups of threads share a task.
    public var schedule: Kernel.Schedule
    /// Whether Cᵀ = Bᵀ · Aᵀ is formed instead, for products with fewer rows than the matrix units take.
    public var swapsSides = false
    /// Parts into which the inner side is cut, each a task of its own; ``Gemm/parts(transposesB:type:plan:)`` alone looks at it.
    public var splits = 1
    /// Tasks of so many rows of tiles are near in time, so that they share what is in cache.
    public var superRows: Int

    /// Sizes of the tiles.
    public init(
      rows: Int, columns: Int, inner: Int, stages: Int = 4, schedule: Kernel.Schedule = Kernel.Schedule(),
      superRows: Int = 8
    ) {
      self.rows = rows
      self.columns = columns
      self.inner = inner
      self.stages = stages
      self.schedule = schedule
      self.superRows = superRows
    }

    /// For matrix units that take 64 rows at a time from shared memory.
    public static let gpu = Plan(
      rows: 128, columns: 256, inner: 64, schedule: Kernel.Schedule(groups: 2), superRows: 16)

    /// For few rows of A: B's side goes through the 64 rows of the matrix units, and time is that of reading B.
    public static func gpu(rows m: Int, columns n: Int) -> Plan {
      guard m <= 64 else {
        var plan = gpu
        // Narrower tiles keep about 130 cores busy where there are few.
        while plan.columns > 64, (m + 127) / 128 * ((n + plan.columns - 1) / plan.columns) < 100 {
          plan.columns /= 2
        }
        plan.stages = plan.columns == 256 ? 4 : 6
        return plan
      }
      let rows = max(8, (m + 7) / 8 * 8)
      var plan = Plan(rows: rows, columns: 128, inner: 64, stages: 8, schedule: Kernel.Schedule(groups: 2))
      plan.swapsSides = true
      return plan
    }

    /// For cores with 32 KiB and 512 KiB of cache: the packed step of B fits the second level, and panel by panel the
    /// first; C is visited once a step.
    public static let cpu = Plan(rows: 512, columns: 384, inner: 256)

    /// The largest tiles that keep `threads` evenly busy with a product of that size: large tiles pack and copy less.
    ///
    /// - Parameter transposesB: whether B lies as `[N, K]`.
    public static func cpu(rows m: Int, columns n: Int, threads: Int, transposesB: Bool = false) -> Plan {
      // So few rows are multiplied with B as it lies: long stretches of few of its rows come from memory fastest.
      if transposesB, m <= 6 { return Plan(rows: 8, columns: 128, inner: 4096) }
      // Tiles wider than the second level pay only where tall ones read each packed step often.
      let tall = m >= 2048 ? [(1024, 768)] : []
      let plans = (tall + [(512, 512), (512, 384), (512, 256), (256, 256), (192, 192), (96, 128)]).map {
        Plan(rows: $0.0, columns: $0.1, inner: cpu.inner)
      }
      let shares = plans.map { $0.evenness(m, n, threads) }
      let best = shares.max() ?? 0
      return zip(plans, shares).first { $0.1 >= min(0.95, best) }?.0 ?? cpu
    }

    /// Mean over longest time of the threads when tasks are taken one after the other.
    private func evenness(_ m: Int, _ n: Int, _ threads: Int) -> Double {
      let (down, across) = ((m + rows - 1) / rows, (n + columns - 1) / columns)
      // With many tasks a thread the last ones hardly matter.
      guard threads > 1, down > 0, across > 0, across < 64 * threads, down < 64 * threads / across + 1 else {
        return 1
      }
      var loads = [Double](repeating: 0, count: threads)
      for column in 0..<across {
        for row in 0..<down {
          let size = Double(min(rows, m - row * rows)) * Double(min(columns, n - column * columns))
          let next = loads.indices.min { loads[$0] < loads[$1] } ?? 0
          loads[next] += size
        }
      }
      return loads.reduce(0, +) / Double(threads) / (loads.max() ?? 1)
    }
  }

  /// C `[M, N]` = A `[M, K]` · B `[K, N]`, or · Bᵀ with B `[N, K]` when `transposesB`; any sizes.
  ///
  /// Arguments: A, B, C.
  ///
  /// - Parameter type: of A, B and C: float32, bfloat16 or float16; sums are float32.
  public static func kernel(
    transposesB: Bool = false, type: ElementType = .float32, plan: Plan = .cpu
  ) throws(TileError) -> Kernel {
    try Kernel("gemm\(transposesB ? "_nt" : "")\(type == .float32 ? "" : "_\(type.rawValue)")") { k in
      let (m, n, inner) = (k.extent("M"), k.extent("N"), k.extent("K"))
      let a = k.input("A", type, [m, inner])
      let b = k.input("B", type, transposesB ? [n, inner] : [inner, n])
      let c = k.output("C", type, [m, n])
      let (rows, columns) = (Index(plan.rows), Index(plan.columns))
      k.grid(
        [m.ceilDiv(rows), n.ceilDiv(columns)], order: .superRows(plan.superRows), schedule: plan.schedule
      ) { task in
        let (row, column) = (task[0] * rows, task[1] * columns)
        let sum = product(k, a, b, row: row, column: column, transposesB: transposesB, plan)
        if plan.swapsSides {
          k.store(sum, to: c, at: [row, column], rowAxis: 1, columnAxis: 0)
        } else {
          k.store(sum, to: c, at: [row, column])
        }
      }
    }
  }

  /// The task's part of A · B.
  ///
  /// - Parameter split: which of the plan's parts of the inner side is summed over; all of them by default.
  static func product(
    _ k: Recorder, _ a: TensorParameter, _ b: TensorParameter, row: Index, column: Index, transposesB: Bool,
    _ plan: Plan, split: Index? = nil
  ) -> Tile {
    let (m, inner) = (a.extents[0], a.extents[1])
    let n = b.extents[transposesB ? 0 : 1]
    let (validRows, validColumns) = ((m - row).min(Index(plan.rows)), (n - column).min(Index(plan.columns)))
    let sum =
      plan.swapsSides
      ? k.filled(
        0, rows: plan.columns, columns: plan.rows, validRows: validColumns, validColumns: validRows)
      : k.filled(
        0, rows: plan.rows, columns: plan.columns, validRows: validRows, validColumns: validColumns)
    let range = SplitRange(inner: inner, step: plan.inner, splits: plan.splits, split: split)
    k.pipeline(
      steps: range.count, stages: plan.stages,
      load: { number in
        let at = range.start(number)
        return [
          k.load(a, at: [row, at], rows: plan.rows, columns: plan.inner),
          transposesB
            ? k.load(b, at: [column, at], rows: plan.columns, columns: plan.inner)
            : k.load(b, at: [at, column], rows: plan.inner, columns: plan.columns),
        ]
      },
      compute: { _, tiles in
        if plan.swapsSides {
          k.matmul(into: sum, tiles[1], tiles[0], transposesLeft: !transposesB, transposesRight: true)
        } else {
          k.matmul(into: sum, tiles[0], tiles[1], transposesRight: transposesB)
        }
      })
    return sum
  }

  /// Sums over parts of the inner side, `[splits, M, N]` in float32, for ``SplitSum`` to join.
  ///
  /// For products with few tiles and a long inner side, whose tasks would leave most cores idle. Arguments: A, B, parts.
  public static func parts(
    transposesB: Bool = false, type: ElementType = .bfloat16, plan: Plan
  ) throws(TileError) -> Kernel {
    try Kernel("gemm_\(type.rawValue)_parts\(plan.splits)\(transposesB ? "_nt" : "")") { k in
      let (m, n, inner) = (k.extent("M"), k.extent("N"), k.extent("K"))
      let a = k.input("A", type, [m, inner])
      let b = k.input("B", type, transposesB ? [n, inner] : [inner, n])
      let parts = k.output("parts", .float32, [Index(plan.splits), m, n])
      let (rows, columns) = (Index(plan.rows), Index(plan.columns))
      k.grid([Index(plan.splits), m.ceilDiv(rows), n.ceilDiv(columns)], schedule: plan.schedule) { task in
        let (row, column) = (task[1] * rows, task[2] * columns)
        let sum = product(k, a, b, row: row, column: column, transposesB: transposesB, plan, split: task[0])
        k.store(
          sum, to: parts, at: [task[0], row, column], rowAxis: plan.swapsSides ? 2 : 1,
          columnAxis: plan.swapsSides ? 1 : 2)
      }
    }
  }
}
