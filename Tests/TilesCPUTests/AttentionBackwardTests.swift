import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@Suite struct AttentionBackwardTests {
  static let cases: [AttentionDefinition] = {
    var cases: [AttentionDefinition] = []
    let sizes: [(Int, Int)] = [(1, 1), (2, 2), (1, 65), (63, 63), (64, 64), (65, 127), (127, 65), (31, 101)]
    let heads: [(size: Int, kvHeads: Int, group: Int)] = [
      (40, 2, 3), (64, 1, 2), (80, 2, 1), (96, 1, 1), (128, 1, 2),
    ]
    var number = 0
    for (m, n) in sizes {
      for head in heads {
        for mask in [Attention.Mask.full, .causal, .window(1), .window(50)] {
          number += 1
          guard number % 3 == 1 else { continue }
          cases.append(
            AttentionDefinition(
              m: m, n: n, size: head.size, kvHeads: head.kvHeads, group: head.group, mask: mask,
              type: number % 2 == 0 ? .bfloat16 : .float16, batch: m < 63 ? 2 : 1))
        }
      }
    }
    return cases
  }()

  static func shape(
    _ c: AttentionDefinition, overlapsSteps: Bool = false, isDeterministic: Bool = false
  ) -> AttentionBackward.Shape {
    var shape = AttentionBackward.Shape(
      kvHeads: c.kvHeads, group: c.group, headSize: c.size, type: c.type, mask: c.mask,
      isDeterministic: isDeterministic)
    (shape.keys, shape.queries) = (48, 32)
    shape.schedule.overlapsSteps = overlapsSteps
    return shape
  }

  /// dq, dk and dv of the forward kernel, preparation, kernel and conversion, one after the other.
  private func gradients(
    _ c: AttentionDefinition, _ shape: AttentionBackward.Shape,
    _ given: (q: Tensor, k: Tensor, v: Tensor, dy: Tensor), on executor: any Executor
  ) throws -> (q: [Double], k: [Double], v: [Double]) {
    let y = try poisoned(c.type, given.q.shape)
    let lse = try poisoned([c.batch, c.kvHeads, c.group * c.m])
    try executor.compile(AttentionSixteenBitTests.kernel(c)).run(
      [given.q, given.k, given.v, y, lse], integers: [c.m])
    let dq = try poisoned(c.type, given.q.shape)
    let (dk, dv) = (try poisoned(c.type, given.k.shape), try poisoned(c.type, given.k.shape))
    let gradients = try AttentionGradients(
      shape, mask: c.mask, scale: Float(c.scale), batch: c.batch, queries: c.m, executor: executor)
    try gradients(
      q: given.q, k: given.k, v: given.v, y: y, lse: lse, dy: given.dy, dq: dq, dk: dk, dv: dv)
    return (values(dq), values(dk), values(dv))
  }

  @Test(arguments: cases) func agreesWithTheAnalyticGradient(_ c: AttentionDefinition) throws {
    let given = try c.inputs(seed: 11)
    let exact = c.gradients(values(given.q), values(given.k), values(given.v), values(given.dy))
    for (name, executor) in judged(reference: c.work < 100_000) {
      let found = try gradients(c, Self.shape(c), given, on: executor)
      #expect(error(found.q, exact.q, inUnitsOf: exact.qBound) <= 1, "\(name): dq")
      #expect(error(found.k, exact.k, inUnitsOf: exact.kBound) <= 1, "\(name): dk")
      #expect(error(found.v, exact.v, inUnitsOf: exact.vBound) <= 1, "\(name): dv")
    }
  }

  /// Along random directions the result changes as the gradients say.
  @Test(arguments: [(Attention.Mask.full, 1), (.causal, 2), (.window(9), 3)] as [(Attention.Mask, UInt64)])
  func agreesWithDifferenceQuotients(mask: Attention.Mask, seed: UInt64) throws {
    let c = AttentionDefinition(m: 37, n: 41, size: 40, kvHeads: 2, group: 2, mask: mask, type: .bfloat16)
    let given = try c.inputs(seed: seed)
    let (q, k, v, dy) = (values(given.q), values(given.k), values(given.v), values(given.dy))
    let bounds = c.gradients(q, k, v, dy)
    for (name, executor) in judged(reference: true) {
      let found = try gradients(c, Self.shape(c), given, on: executor)
      for (which, gradient, bound) in [
        (0, found.q, bounds.qBound), (1, found.k, bounds.kBound), (2, found.v, bounds.vBound),
      ] {
        let direction = values(try uniform([gradient.count], seed: seed + 50))
        func loss(_ step: Double) -> Double {
          func moved(_ a: [Double]) -> [Double] { zip(a, direction).map { $0 + step * $1 } }
          let y = c.forward(
            which == 0 ? moved(q) : q, which == 1 ? moved(k) : k, which == 2 ? moved(v) : v
          ).y
          return zip(y, dy).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let step = 0x1p-14
        let quotient = (loss(step) - loss(-step)) / (2 * step)
        let predicted = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
        // The quotient errs by a third derivative times 2⁻²⁸; the rest is what the gradients may be off.
        let allowed = zip(bound, direction).reduce(0x1p-14) { $0 + $1.0 * abs($1.1) }
        #expect(abs(predicted - quotient) <= allowed, "\(name): operand \(which)")
      }
    }
  }

  /// Sums of whole numbers are as near to the analytic gradient, and the same bits on many threads as on one.
  @Test(arguments: cases) func deterministicSumsAgree(_ c: AttentionDefinition) throws {
    let given = try c.inputs(seed: 12)
    let exact = c.gradients(values(given.q), values(given.k), values(given.v), values(given.dy))
    let shape = Self.shape(c, isDeterministic: true)
    var bits: (q: [Double], k: [Double], v: [Double])?
    for (name, executor) in judged(reference: c.work < 100_000) {
      let found = try gradients(c, shape, given, on: executor)
      #expect(error(found.q, exact.q, inUnitsOf: exact.qBound) <= 1, "\(name): dq")
      #expect(error(found.k, exact.k, inUnitsOf: exact.kBound) <= 1, "\(name): dk")
      #expect(error(found.v, exact.v, inUnitsOf: exact.vBound) <= 1, "\(name): dv")
      guard executor is CPUExecutor else { continue }
      #expect(try gradients(c, shape, given, on: executor) == found, "\(name): another run")
      bits = bits ?? found
    }
    #expect(bits != nil)
  }

  /// Missing numbers stay missing though whole numbers have none, and rows of no gradient give zeros.
  @Test func deterministicSumsKeepNaN() throws {
    let c = AttentionDefinition(
      m: 20, n: 33, size: 40, kvHeads: 1, group: 1, mask: .full, type: .bfloat16)
    let shape = Self.shape(c, isDeterministic: true)
    for which in 0..<3 {
      let given = try c.inputs(seed: 5)
      let broken = [given.dy, given.k, given.v][which]
      broken.withMutableElements(as: UInt16.self) { $0[7] = 0x7FC0 }
      let found = try gradients(c, shape, given, on: executors[0])
      // Element 7 is of row 0: as a gradient it reaches that row, as a key or value all rows.
      #expect(found.q[..<40].allSatisfy { $0.isNaN }, "operand \(which)")
    }
    let given = try c.inputs(seed: 6)
    given.dy.withMutableElements(as: UInt16.self) { span in
      for index in 0..<40 { span[index] = 0 }
    }
    let found = try gradients(c, shape, given, on: executors[0])
    #expect(found.q[..<40].allSatisfy { $0 == 0 })
    #expect(found.q.allSatisfy { $0.isFinite })
  }

  /// Where the sums of a step stand makes no difference to what they are.
  @Test func overlappingStepsChangeNoBit() throws {
    let c = AttentionDefinition(
      m: 70, n: 90, size: 64, kvHeads: 1, group: 2, mask: .causal, type: .bfloat16)
    let given = try c.inputs(seed: 2)
    let results = try [false, true].map {
      // One thread: tasks add to dq in their order.
      try gradients(c, Self.shape(c, overlapsSteps: $0), given, on: executors[0])
    }
    #expect(results[0] == results[1])
  }

  /// A gradient of nothing is nothing; the sums of earlier calls are gone.
  @Test func noGradientGivesZeros() throws {
    let c = AttentionDefinition(
      m: 33, n: 20, size: 40, kvHeads: 1, group: 1, mask: .causal, type: .float16)
    var given = try c.inputs(seed: 4)
    for (name, executor) in judged(reference: true, portable: true) {
      _ = try gradients(c, Self.shape(c), given, on: executor)
      given.dy = try Tensor(zeros: c.type, given.q.shape)
      let found = try gradients(c, Self.shape(c), given, on: executor)
      #expect((found.q + found.k + found.v).allSatisfy { $0 == 0 }, "\(name)")
    }
  }
}
