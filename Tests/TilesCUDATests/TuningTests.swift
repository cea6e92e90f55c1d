import Foundation
import Kernels
import Memory
import Testing
import Tiles

@testable import TilesCUDA

/// Choosing by measured times, with a timer that needs no GPU.
@Suite struct AutotunerTests {
  private struct CannotRun: Error {}

  @Test func theFastestIsKept() throws {
    let times = [3.0, 2.0, 5.0, 1.0, 4.0]
    let found = try #require(Autotuner().best(of: Array(0..<5), elapsed: { 0 }) { times[$0] })
    #expect(found.best == 3 && found.seconds == 1 && found.firstSeconds == 3)
    #expect(found.timed == 5 && found.failed == 0 && found.left == 0)
  }

  /// A plan that is faster by less than noise is no reason to leave the choice by shape.
  @Test func noiseMovesNothing() throws {
    let found = try #require(Autotuner().best(of: [1.0, 0.995], elapsed: { 0 }) { $0 })
    #expect(found.best == 1 && found.seconds == 1)
  }

  @Test func candidatesAndTimeAreBounded() throws {
    var calls = 0
    let few = Autotuner(candidateLimit: 3)
    let found = try #require(
      few.best(of: [5.0, 4, 3, 2, 1], elapsed: { 0 }) {
        calls += 1
        return $0
      })
    #expect(calls == 3 && found.best == 3 && found.left == 2)
    // Each call takes a second of the fake clock: none begins after the limit.
    var clock = 100.0
    let short = Autotuner(candidateLimit: 100, secondLimit: 2.5)
    let bounded = try #require(
      short.best(of: [5.0, 4, 3, 2, 1], elapsed: { clock }) {
        clock += 1
        return $0
      })
    #expect(bounded.timed == 3 && bounded.best == 3 && bounded.left == 2)
  }

  @Test func whatCannotRunIsPassedOver() throws {
    let found = try #require(
      Autotuner().best(of: [4, -1, 2, 0], elapsed: { 0 }) { (number: Int) throws -> Double in
        if number < 0 { throw CannotRun() }
        return number == 0 ? .nan : Double(number)
      })
    #expect(found.best == 2 && found.failed == 2 && found.timed == 2)
    // Without the choice by shape there is nothing to be faster than.
    #expect(Autotuner().best(of: [-1, 2], elapsed: { 0 }) { $0 < 0 ? .nan : Double($0) } == nil)
    #expect(Autotuner().best(of: [Int](), elapsed: { 0 }) { Double($0) } == nil)
  }
}

@Suite struct TunedPlansTests {
  private let machine = TunedPlans.Machine(
    device: "NVIDIA H100", driver: "driver 13000", compiler: "NVRTC 13.0")

  private var plans: TunedPlans {
    var plans = TunedPlans(machine: machine)
    plans.keep(TunedPlans.Entry(settings: ["rows": 16, "splits": 4], nanoseconds: 12345), for: "gemm M<=16")
    plans.keep(TunedPlans.Entry(settings: ["columns": 64], nanoseconds: 9), for: "linear q4_0 in<=4096")
    return plans
  }

  @Test func whatIsWrittenIsRead() throws {
    let read = try TunedPlans(text: plans.text, on: machine)
    #expect(read == plans)
    #expect(read.settings("gemm M<=16") == ["rows": 16, "splits": 4])
    #expect(read.settings("gemm M<=32") == nil)
    #expect(try TunedPlans(text: TunedPlans(machine: machine).text, on: machine).entries.isEmpty)
  }

  @Test func shapesShareABucketUpToAPowerOfTwo() {
    func key(_ m: Int) -> String { TunedPlans.key("gemm", [("M", m), ("N", 4096)]) }
    #expect(key(16) == "gemm M<=16 N<=4096")
    #expect(key(9) == key(16) && key(17) != key(16) && key(1) == "gemm M<=1 N<=4096")
  }

  /// Every byte that is taken, and most that are changed, make the text one that nobody wrote.
  @Test func damagedTextsAreReadNotAtAll() throws {
    let text = Array(plans.text.utf8)
    for count in 0..<text.count {
      #expect(throws: TuningError.self) {
        try TunedPlans(text: String(decoding: text[..<count], as: UTF8.self), on: machine)
      }
    }
    for line in [
      "gemm\trows=x\t5", "gemm\trows=1\t0", "gemm\t\t5", "gemm\trows=1", "\trows=1\t5", "a\tb=1 b=2\t5",
    ] {
      let broken = plans.text.replacingOccurrences(of: "end 2", with: "\(line)\nend 3")
      #expect(throws: TuningError.damaged(line: 5)) { try TunedPlans(text: broken, on: machine) }
    }
    #expect(throws: TuningError.damaged(line: 5)) {
      try TunedPlans(text: plans.text.replacingOccurrences(of: "end 2", with: "end 1"), on: machine)
    }
    #expect(
      TuningError.damaged(line: 5).description
        == "line 5 is not what was written there. The plans are not used; tune again, which writes a new file."
    )
  }

  @Test func plansOfAnotherMachineAreNotUsed() {
    let other = TunedPlans.Machine(device: "NVIDIA A100", driver: "driver 13000", compiler: "NVRTC 13.0")
    let error = #expect(throws: TuningError.self) { try TunedPlans(text: plans.text, on: other) }
    #expect(
      error?.description
        == "these plans were measured on NVIDIA H100, driver 13000, NVRTC 13.0, this machine is NVIDIA A100, driver "
        + "13000, NVRTC 13.0. They are not used; tune again.")
  }

  @Test func filesThatCannotBeUsedAreNamedAndPassedOver() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "plans-\(UUID().uuidString)/deep")
      .path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let file = PlanFile(folder: folder)
    #expect(file.load(for: machine).plans.entries.isEmpty && file.load(for: machine).note == nil)
    try file.store(plans)
    #expect(file.load(for: machine).plans == plans && file.load(for: machine).note == nil)
    let path = file.path(machine)
    #expect(path.hasSuffix("/NVIDIA-H100-driver-13000-NVRTC-13.0.plans"))
    // A file that was copied here from elsewhere, and one that was cut off.
    let other = TunedPlans(machine: TunedPlans.Machine(device: "x", driver: "y", compiler: "z"))
    for (text, reason) in [
      (other.text, "measured on x, y, z"), (String(plans.text.dropLast(9)), "not what was written"),
      ("", "it is empty"),
    ] {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      let (found, note) = file.load(for: machine)
      #expect(found.entries.isEmpty)
      #expect(note?.hasPrefix(path) ?? false && note?.contains(reason) ?? false, "\(note ?? "no note")")
    }
  }
}

/// Plans as candidates and as kept integers.
@Suite struct PlanChoiceTests {
  private let machine = TunedPlans.Machine(device: "a", driver: "b", compiler: "c")

  @Test(arguments: [
    (1, 14336, 4096), (16, 4096, 14336), (64, 64, 64), (100, 100, 100), (256, 4096, 4096), (8192, 8192, 8192),
  ])
  func candidatesArePrintedAndKept(size: (Int, Int, Int)) throws {
    let (m, n, k) = size
    let candidates = Gemm.Plan.candidates(rows: m, columns: n, inner: k, cores: 132)
    #expect(candidates.first == .gpu(rows: m, columns: n))
    #expect(Set(candidates).count == candidates.count && candidates.count <= 60)
    for plan in candidates {
      #expect(Gemm.Plan(settings: plan.settings) == plan)
      let kernel = try plan.splits > 1 ? Gemm.parts(plan: plan) : Gemm.kernel(type: .bfloat16, plan: plan)
      let program = try Emitter.emit(kernel, target: .sm_90a)
      // All but the plain form are on the matrix units.
      #expect(program.tensorMaps.isEmpty == (plan.rows == 16 && !plan.swapsSides && plan.stages == 1))
    }
  }

  @Test func keptPlansAreTakenWhereTheySuit() throws {
    var plans = TunedPlans(machine: machine)
    var plan = Gemm.Plan.gpu(rows: 16, columns: 4096)
    plan.splits = 3
    plans.keep(
      TunedPlans.Entry(settings: plan.settings, nanoseconds: 1),
      for: Gemm.Plan.key(.bfloat16, rows: 16, columns: 4096, inner: 4096))
    func chosen(_ m: Int, plans: TunedPlans?) -> Gemm.Plan {
      .gpu(.bfloat16, rows: m, columns: 4096, inner: 4096, plans: plans)
    }
    #expect(chosen(16, plans: plans) == plan && chosen(12, plans: plans) == plan)
    #expect(chosen(17, plans: plans) == .gpu(rows: 17, columns: 4096))
    #expect(chosen(16, plans: nil) == .gpu(rows: 16, columns: 4096))
    // Integers that no plan can have.
    for (name, value) in [("stages", 0), ("groups", 9), ("splits", 1000), ("rows", 1024), ("inner", -64)] {
      var settings = plan.settings
      settings[name] = value
      #expect(Gemm.Plan(settings: settings) == nil, "\(name)")
      settings[name] = nil
      #expect(Gemm.Plan(settings: settings) == nil, "\(name)")
    }
  }

  @Test(arguments: [ElementType.bfloat16, .q4_0, .q8_0], [8, 64, nil])
  func layersToo(type: ElementType, limit: Int?) throws {
    let (inputs, outputs) = (14336, 4096)
    let candidates = Linear.Shape.candidates(
      inputs: inputs, outputs: outputs, rowLimit: limit, weight: type, cores: 132)
    #expect(Set(candidates).count == candidates.count && candidates.count <= 40)
    let key = Linear.Shape.key(type, inputs: inputs, outputs: outputs, rowLimit: limit, sums: 1)
    for shape in candidates {
      var plans = TunedPlans(machine: machine)
      plans.keep(TunedPlans.Entry(settings: shape.settings, nanoseconds: 1), for: key)
      let taken = Linear.Shape.planned(
        inputs: inputs, outputs: outputs, rowLimit: limit, weight: type, cores: 132, plans: plans)
      #expect(taken == shape)
      let kernel =
        try shape.splits > 1
        ? Linear.parts(shape, weight: type) : Linear.kernel(shape, weight: type, arithmetic: .sixteenBit)
      #expect(try !Emitter.emit(kernel, target: .sm_90a).tensorMaps.isEmpty)
    }
  }

  /// A group that asked for registers that nobody gives back would wait for ever.
  @Test func rolesShareNoMoreRegistersThanThereAre() throws {
    for groups in 1...3 {
      for tasks in 1...4 {
        var plan = Gemm.Plan(
          rows: 8, columns: 64 * groups, inner: 64, stages: 2,
          schedule: Kernel.Schedule(groups: groups, tasksPerCore: tasks))
        plan.swapsSides = true
        let source = try PipelinedLowering.emit(Gemm.kernel(type: .bfloat16, plan: plan)).source
        func number(_ name: String) -> Int? {
          source.components(separatedBy: "\(name)<").last.flatMap { $0.split(separator: ">").first }.flatMap {
            Int($0)
          }
        }
        guard let loader = number("  registers_give"), let group = number("  registers_take") else {
          continue
        }
        let even = 65_536 / (128 * (groups + 1) * tasks) / 8 * 8
        #expect(loader + groups * group <= even * (groups + 1), "\(groups) groups, \(tasks) tasks a core")
      }
    }
  }
}
