public import Memory
public import Tiles

/// Plans that are chosen by measuring.
extension Gemm.Plan {
  /// What a plan for products of that size is kept under.
  public static func key(_ type: ElementType, rows m: Int, columns n: Int, inner: Int) -> String {
    TunedPlans.key("gemm \(type.rawValue)", [("M", m), ("N", n), ("K", inner)])
  }

  /// The kept plan where there is one that suits, else the choice by shape.
  public static func gpu(
    _ type: ElementType, rows m: Int, columns n: Int, inner: Int, plans: TunedPlans?
  ) -> Self {
    let kept = plans?.settings(key(type, rows: m, columns: n, inner: inner)).flatMap { Self(settings: $0) }
    // A plan of another size in the bucket may have fewer rows than this product wants at a time.
    return kept.flatMap { !$0.swapsSides || $0.rows >= m ? $0 : nil } ?? .gpu(rows: m, columns: n)
  }

  /// The plan as named integers.
  public var settings: [String: Int] {
    [
      "rows": rows, "columns": columns, "inner": inner, "stages": stages, "groups": schedule.groups,
      "tasks": schedule.tasksPerCore, "swaps": swapsSides ? 1 : 0, "splits": splits, "super": superRows,
    ]
  }

  /// The plan of such integers; `nil` where one is missing or no plan could have it.
  public init?(settings: [String: Int]) {
    func setting(_ name: String, _ range: ClosedRange<Int>) -> Int? {
      settings[name].flatMap { range.contains($0) ? $0 : nil }
    }
    guard let rows = setting("rows", 1...1024), let columns = setting("columns", 8...1024),
      let inner = setting("inner", 16...512), let stages = setting("stages", 1...16),
      let groups = setting("groups", 1...3), let tasks = setting("tasks", 1...8),
      let swaps = setting("swaps", 0...1), let splits = setting("splits", 1...64),
      let near = setting("super", 1...64)
    else { return nil }
    self.init(
      rows: rows, columns: columns, inner: inner, stages: stages,
      schedule: Kernel.Schedule(groups: groups, tasksPerCore: tasks), superRows: near)
    (swapsSides, self.splits) = (swaps == 1, splits)
    guard fits else { return nil }
  }

  /// Whether stages and buffers for stores have room in 227 KiB.
  var fits: Bool {
    let stage = 2 * inner * (rows + columns)
    return (stages * stage + 8192 * schedule.groups + 1024) * schedule.tasksPerCore <= 227 << 10
  }

  /// Plans worth timing for a product of that size on so many cores, the choice by shape first.
  public static func candidates(rows m: Int, columns n: Int, inner: Int, cores: Int) -> [Self] {
    var plans = [Self.gpu(rows: m, columns: n)]
    func add(_ plan: Self) {
      for splits in splits(plan, m, n, inner, cores) {
        var plan = plan
        plan.splits = splits
        if plan.fits, !plans.contains(plan) { plans.append(plan) }
      }
    }
    func tile(_ rows: Int, _ columns: Int, groups: Int, stages: Int, tasks: Int = 1, near: Int = 16) -> Self {
      Self(
        rows: rows, columns: columns, inner: 64, stages: stages,
        schedule: Kernel.Schedule(groups: groups, tasksPerCore: tasks), superRows: near)
    }
    if m <= 64 {
      let rows = max(8, (m + 7) / 8 * 8)
      for (columns, stages, tasks) in [
        (128, 8, 1), (64, 8, 1), (64, 8, 2), (64, 5, 3), (128, 6, 2), (128, 5, 1),
      ] {
        var plan = tile(rows, columns, groups: columns / 64, stages: stages, tasks: tasks, near: 8)
        plan.swapsSides = true
        add(plan)
      }
    } else {
      for (rows, columns, stages) in [(128, 256, 4), (128, 128, 6), (128, 64, 8), (64, 256, 4), (64, 128, 6)]
      {
        for near in [16, 8] { add(tile(rows, columns, groups: 2, stages: stages, near: near)) }
      }
    }
    // The plain form, which starts sooner, for products of a few thousand numbers.
    if m * n <= 1 << 14 { add(tile(16, 64, groups: 1, stages: 1)) }
    return plans
  }

  /// Numbers of parts that leave no core more than four tasks and each part four steps.
  private static func splits(_ plan: Self, _ m: Int, _ n: Int, _ inner: Int, _ cores: Int) -> [Int] {
    let tasks = ((m + plan.rows - 1) / plan.rows) * ((n + plan.columns - 1) / plan.columns)
    return [1, 2, 3, 4, 6, 8].filter {
      $0 == 1 || $0 * tasks <= 4 * cores && inner / plan.inner >= 4 * $0 && m * n * $0 <= 1 << 24
    }
  }
}
