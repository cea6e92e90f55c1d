import Kernels
import Testing
import Tiles

@testable import TilesCUDA

@Suite struct RoleSimulatorTests {
  @Test(arguments: [1, 2, 3, 4], [false, true])
  func gemmRuns(stages: Int, transposesB: Bool) throws {
    for (groups, rows, swaps) in [(1, 64, false), (2, 128, false), (2, 64, false), (2, 16, true)] {
      let schedule = Kernel.Schedule(groups: groups)
      var plan = Gemm.Plan(rows: rows, columns: 128, inner: 64, stages: stages, schedule: schedule)
      plan.swapsSides = swaps
      let kernel = try Gemm.kernel(transposesB: transposesB, type: .bfloat16, plan: plan)
      for inner in [0, 1, 64, 100, 1000] {
        try RoleSimulator.check(kernel, parameters: [200, 300, inner])
      }
    }
  }

  @Test(arguments: [Attention.Mask.full, .causal, .window(100)], [1, 2, 3])
  func attentionRuns(mask: Attention.Mask, groups: Int) throws {
    for (overlaps, alternates) in [(false, false), (true, false), (true, true)] {
      for stages in 1...4 {
        let kernel = try attention(
          mask, groups: groups, overlaps: overlaps, alternates: alternates, stages: stages)
        // Batches, M, N.
        for (m, n) in [(1, 0), (1, 1), (64, 64), (100, 130), (300, 700)] {
          try RoleSimulator.check(kernel, parameters: [1, m, n])
        }
      }
    }
  }

  @Test(arguments: [Attention.Mask.full, .causal, .window(100)], [false, true])
  func attentionBackwardRuns(mask: Attention.Mask, overlaps: Bool) throws {
    for groups in [1, 2] {
      for stages in 1...3 {
        for alternates in [false, true] {
          let kernel = try attentionBackward(
            mask, groups: groups, overlaps: overlaps, alternates: alternates, stages: stages)
          for (m, n) in [(0, 64), (1, 1), (64, 64), (100, 130), (300, 700)] {
            try RoleSimulator.check(kernel, parameters: [1, m, n])
          }
        }
      }
    }
  }

  @Test(arguments: [1, 2, 3], [1, 2]) func scansRun(stages: Int, groups: Int) throws {
    for kernel in [try selectiveScan(stages, groups), try taylorAttention(stages, groups)] {
      for n in [0, 1, 64, 65, 500] { try RoleSimulator.check(kernel, parameters: [2, n]) }
    }
  }

  /// Two groups share out columns of 64 rows: each has a part of every sum along them.
  @Test(arguments: [1, 2, 3], [SelectiveScan.Part.whole, .states, .results])
  func groupsCombineTheirParts(stages: Int, part: SelectiveScan.Part) throws {
    let kernel = try hedgehogAttention(stages, part: part)
    for n in [0, 1, 64, 65, 500] {
      try RoleSimulator.check(kernel, parameters: part == .whole ? [2, n] : [2, n, 2, 3])
    }
  }

  /// A loop within the steps, and factors that groups stage because they have columns of them only.
  @Test(arguments: [1, 2, 3], [64, 128]) func linearAttentionRuns(stages: Int, size: Int) throws {
    for part in [SelectiveScan.Part.whole, .states, .results] {
      var shape = GatedLinearAttention.Shape(heads: 2, headSize: size, valueSize: size)
      shape.stages = stages
      let kernel = try GatedLinearAttention.kernel(shape, part: part)
      for n in [0, 1, 64, 65, 500] {
        try RoleSimulator.check(kernel, parameters: part == .whole ? [2, n] : [2, n, 2, 3])
      }
    }
    for features in LinearAttention.FeatureMap.allCases {
      var shape = LinearAttention.Shape(
        heads: 2, headSize: size, valueSize: size, features: features, isNormalized: features != .identity)
      shape.stages = stages
      let kernel = try LinearAttention.kernel(shape)
      for n in [0, 1, 64, 65, 500] { try RoleSimulator.check(kernel, parameters: [2, n]) }
    }
  }

  @Test(arguments: KernelCatalogue.all.map(\.name)) func catalogueRuns(name: String) throws {
    let entry = try #require(KernelCatalogue.all.first { $0.name == name })
    let kernel = try entry.make()
    guard PipelinedLowering.suits(kernel) else { return }
    for arguments in entry.cases {
      // As they are, and with sides that give many steps.
      let lists = arguments.fills.compactMapValues { if case .integers(let list) = $0 { list } else { nil } }
      for factor in lists.isEmpty ? [1, 5] : [1] {
        let parameters = kernel.parameters.indices.map { number in
          (kernel.arguments.contains(number) ? 1 : factor) * (arguments.sizes[kernel.parameters[number]] ?? 0)
        }
        let simulator = try RoleSimulator(kernel, parameters: parameters) { tensor, at in
          let values = lists[kernel.tensors[tensor].name] ?? []
          return at.count == 1 && values.indices.contains(at[0]) ? Int(values[at[0]]) : 0
        }
        for seed in 0..<20 { try simulator.run(seed: UInt64(seed)) }
      }
    }
  }

  @Test func messagesSayWhoAndWhatToDo() throws {
    let kernel = try Gemm.kernel(type: .bfloat16, plan: .gpu)
    var simulator = try RoleSimulator(kernel, parameters: [256, 256, 1000])
    simulator.expectedBytes[0] = 1024
    let error = #expect(throws: RoleError.self) { try simulator.run(seed: 1) }
    #expect(
      error?.description
        == "kernel gemm_bfloat16, loader, advance(0) at task 0, step0 = 0: slot 0 of ring 0 expects 1024 bytes and is "
        + "copied 49152. Announce what the copies bring.")
    var programs = try Programs(kernel)
    programs.group = programs.group.replacingAll { if case .awaitFull = $0 { [] } else { nil } }
    let text = programs.firstError([[256, 256, 64]])?.description ?? ""
    #expect(text.hasPrefix("kernel gemm_bfloat16, warp "))
    #expect(
      text.hasSuffix(
        "is read from slot 0 of ring 0, which the warp does not hold. Await it first, release it last."))
    programs.loader = []
    programs.group = try Programs(kernel).group
    #expect(programs.firstError([[256, 256, 64]])?.description.contains("is never run") ?? false)
  }

  @Test func deadlocksNameAllThatWait() throws {
    let kernel = try attention(.full, groups: 2, overlaps: true, alternates: true, stages: 2)
    var programs = try Programs(kernel)
    programs.group = programs.group.replacingAll { if case .passTurn = $0 { [] } else { nil } }
    let problem = programs.firstError([[1, 300, 700]])?.problem
    guard case .deadlock(let waiting) = problem else {
      Issue.record("\(problem?.description ?? "nothing found")")
      return
    }
    #expect(waiting.contains("warp 0 of group 1 waits in awaitTurn"))
    #expect(waiting.contains { $0.hasPrefix("loader waits in awaitEmpty") })
  }

  @Test func equalSeedsGiveEqualErrors() throws {
    var simulator = try RoleSimulator(
      try Gemm.kernel(type: .bfloat16, plan: .gpu), parameters: [256, 256, 1000])
    simulator.expectedBytes[0] += 16
    let first = #expect(throws: RoleError.self) { try simulator.run(seed: 7) }
    let second = #expect(throws: RoleError.self) { try simulator.run(seed: 7) }
    #expect(first == second)
  }

  @Test func kernelsOfAnotherFormAreRefused() throws {
    let kernel = try Gemm.kernel(plan: .cpu)
    #expect(throws: ExecutionError.self) { try RoleSimulator(kernel, parameters: [1, 1, 1]) }
    #expect(throws: ExecutionError.argumentCount(kernel: "gemm", expected: 3, found: 2)) {
      try RoleSimulator(kernel, parameters: [1, 1])
    }
  }
}

/// Attention of heads of 64 with `groups` · 64 rows a task.
func attention(
  _ mask: Attention.Mask, groups: Int, overlaps: Bool, alternates: Bool, stages: Int
) throws -> Kernel {
  var shape = Attention.Shape(kvHeads: 1, group: 2, headSize: 64)
  shape.type = .bfloat16
  (shape.rows, shape.keys, shape.stages) = (64 * groups, 64, stages)
  shape.schedule = Kernel.Schedule(groups: groups, overlapsSteps: overlaps, alternates: alternates)
  return try Attention.kernel(shape, mask: mask, scale: 0.125)
}

func attentionBackward(
  _ mask: Attention.Mask, groups: Int, overlaps: Bool, alternates: Bool, stages: Int
) throws -> Kernel {
  var shape = AttentionBackward.Shape(kvHeads: 1, group: 2, headSize: 64, mask: mask)
  (shape.keys, shape.stages) = (64 * groups, stages)
  shape.schedule = Kernel.Schedule(groups: groups, overlapsSteps: overlaps, alternates: alternates)
  return try AttentionBackward.kernel(shape, mask: mask, scale: 0.125)
}

func selectiveScan(_ stages: Int, _ groups: Int) throws -> Kernel {
  var shape = SelectiveScan.Shape(heads: 2, headSize: 64 * groups, stateSize: 64)
  (shape.stages, shape.chunk) = (stages, 64 * groups)
  shape.schedule = Kernel.Schedule(groups: groups)
  return try SelectiveScan.kernel(shape)
}

func taylorAttention(_ stages: Int, _ groups: Int) throws -> Kernel {
  var shape = TaylorAttention.Shape(heads: 2, valueSize: 64 * groups)
  (shape.stages, shape.chunk) = (stages, 64 * groups)
  shape.schedule = Kernel.Schedule(groups: groups)
  return try TaylorAttention.kernel(shape, scale: 0.25)
}

func hedgehogAttention(_ stages: Int, part: SelectiveScan.Part = .whole) throws -> Kernel {
  var shape = HedgehogAttention.Shape(heads: 2)
  shape.stages = stages
  return try HedgehogAttention.kernel(shape, scale: 0.1, part: part)
}
