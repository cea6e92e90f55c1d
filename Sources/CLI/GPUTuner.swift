internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// Finds plans by timing candidates, and keeps them for this run and later ones.
struct GPUTuner: KernelTiming {
  let executor: CUDAExecutor
  let bounds: Autotuner
  private let file: PlanFile

  init(_ executor: CUDAExecutor, bounds: Autotuner = Autotuner()) {
    (self.executor, self.bounds) = (executor, bounds)
    file = PlanFile(folder: Files.planFolder)
  }

  /// Plans for C = A · B in bfloat16.
  func gemm(m: Int, n: Int, k: Int, sets: Int) throws {
    let candidates = Gemm.Plan.candidates(rows: m, columns: n, inner: k, cores: executor.cores)
    try tune(Gemm.Plan.key(.bfloat16, rows: m, columns: n, inner: k), candidates, \.settings) { plan in
      try time(gemmCalls(plan, m: m, n: n, k: k, sets: sets), repeats: 5)
    }
  }

  /// Tiles for y = x · Wᵀ with steps of as many rows as the limit allows.
  func linear(_ type: ElementType, rowLimit: Int?, inputs: Int, outputs: Int) throws {
    let candidates = Linear.Shape.candidates(
      inputs: inputs, outputs: outputs, rowLimit: rowLimit, weight: type, cores: executor.cores)
    let key = Linear.Shape.key(type, inputs: inputs, outputs: outputs, rowLimit: rowLimit, sums: 1)
    try tune(key, candidates, \.settings) { shape in
      try time(LinearRun(self, shape, type).calls(rows: rowLimit ?? 1024, sets: 3), repeats: 5)
    }
  }

  private func tune<Plan>(
    _ key: String, _ candidates: [Plan], _ settings: KeyPath<Plan, [String: Int]>,
    _ seconds: (Plan) throws -> Double
  ) throws {
    let start = ContinuousClock.now
    let found = bounds.best(
      of: candidates, elapsed: { (ContinuousClock.now - start) / .seconds(1) }, time: seconds)
    guard let found else { throw CommandFailure("\(key): not even the choice by shape runs.") }
    var plans = executor.plans ?? TunedPlans(machine: executor.machine)
    plans.keep(
      TunedPlans.Entry(
        settings: found.best[keyPath: settings], nanoseconds: max(1, Int(found.seconds * 1e9))), for: key)
    executor.use(plans)
    try file.store(plans)
    let text = found.best[keyPath: settings].sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    Output.note(
      "tuned \(key): \(Output.fixed(found.firstSeconds * 1e6, 2)) to \(Output.fixed(found.seconds * 1e6, 2)) us, "
        + "\(text.joined(separator: " ")); \(found.timed) timed, \(found.failed) failed, \(found.left) left out\n"
    )
  }
}
