internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension KernelTiming {
  /// Calls of C = A · B in bfloat16 on so many sets of factors, with a plan in one kernel or, cut into parts, in two.
  func gemmCalls(_ plan: Gemm.Plan, m: Int, n: Int, k: Int, sets: Int) throws -> [() throws -> Void] {
    let c = try executor.tensor(.bfloat16, [m, n])
    let inputs = try (0..<sets).map { number in
      (
        try random(.bfloat16, [m, k], seed: UInt64(2 * number)),
        try random(.bfloat16, [k, n], seed: UInt64(2 * number + 1))
      )
    }
    guard plan.splits > 1 else {
      let kernel = try executor.compile(try Gemm.kernel(type: .bfloat16, plan: plan))
      return inputs.map { a, b in { try kernel.run([a, b, c]) } }
    }
    let kernel = try executor.compile(try Gemm.parts(plan: plan))
    let sum = try executor.compile(try SplitSum.kernel(splits: plan.splits, output: .bfloat16))
    let parts = try executor.tensor(.float32, [plan.splits, m, n])
    return inputs.map { a, b in
      {
        try kernel.run([a, b, parts])
        try sum.run([parts, c])
      }
    }
  }
}

extension GPUBench {
  /// C = A · B in bfloat16.
  func gemm() throws {
    for n in [1024, 2048, 4096, 8192, 16384] {
      try gemm(m: n, n: n, k: n, title: "M=N=K=\(n) bf16", sets: n < 16384 ? 3 : 1)
    }
    for m in [1, 16, 64, 256] {
      try gemm(m: m, n: 14336, k: 4096, title: "M=\(m) N=14336 K=4096 bf16", sets: 4)
    }
  }

  private func gemm(m: Int, n: Int, k: Int, title: String, sets: Int) throws {
    guard bench.wants(title) else { return }
    if let tuner { try tuner.gemm(m: m, n: n, k: k, sets: sets) }
    let plan = Gemm.Plan.gpu(.bfloat16, rows: m, columns: n, inner: k, plans: executor.plans)
    let seconds = try time(gemmCalls(plan, m: m, n: n, k: k, sets: sets))
    report(
      Figure(
        op: "gemm", shape: title, seconds: seconds, flops: 2 * Double(m) * Double(n) * Double(k),
        bytes: m < 1024 ? 2 * Double(n) * Double(k) : nil))
  }

  /// What one part of the pipeline is worth: C = A · B, 4,096³ and 16,384³, with it and without.
  func ablations() throws {
    func row(_ n: Int, k: Int, _ title: String, _ plan: Gemm.Plan) throws {
      let shape = "\(n)x\(n)x\(k) \(title)"
      guard bench.wants(shape) else { return }
      let kernel = try executor.compile(try Gemm.kernel(type: .bfloat16, plan: plan))
      let (a, b) = (try random(.bfloat16, [n, k], seed: 1), try random(.bfloat16, [k, n], seed: 2))
      let c = try executor.tensor(.bfloat16, [n, n])
      let seconds = try time([{ try kernel.run([a, b, c]) }])
      report(
        Figure(
          op: "gemm_ablation", shape: shape, seconds: seconds, flops: 2 * Double(n) * Double(n) * Double(k)))
    }
    for stages in 1...4 {
      var plan = Gemm.Plan.gpu
      plan.stages = stages
      try row(4096, k: 4096, "stages=\(stages)", plan)
    }
    for swizzle in Kernel.Schedule.Swizzle.allCases.reversed() {
      var plan = Gemm.Plan.gpu
      plan.schedule.swizzle = swizzle
      try row(4096, k: 4096, "swizzle=\(swizzle)", plan)
    }
    for rows in [1, 4, 8, 16] {
      var plan = Gemm.Plan.gpu
      plan.superRows = rows
      try row(16384, k: 16384, "super-rows=\(rows)", plan)
    }
    for k in [64, 128, 256, 512, 1024] {
      for persists in [false, true] {
        var plan = Gemm.Plan.gpu
        plan.schedule.persists = persists
        try row(4096, k: k, "K=\(k) \(persists ? "persistent" : "a block a task")", plan)
      }
    }
  }
}
