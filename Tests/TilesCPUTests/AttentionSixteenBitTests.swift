import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@Suite struct AttentionSixteenBitTests {
  static let cases: [AttentionDefinition] = {
    var cases: [AttentionDefinition] = []
    let sizes: [(Int, Int)] = [(1, 1), (2, 2), (1, 65), (63, 63), (64, 64), (65, 127), (127, 65), (31, 257)]
    let heads: [(size: Int, kvHeads: Int, group: Int)] = [
      (40, 2, 3), (64, 1, 2), (80, 2, 1), (96, 1, 1), (128, 1, 2),
    ]
    var number = 0
    for (m, n) in sizes {
      for head in heads {
        for mask in [Attention.Mask.full, .causal, .window(1), .window(70)] {
          number += 1
          guard number % 3 == 0 else { continue }
          cases.append(
            AttentionDefinition(
              m: m, n: n, size: head.size, kvHeads: head.kvHeads, group: head.group, mask: mask,
              type: number % 2 == 0 ? .bfloat16 : .float16, batch: m < 63 ? 2 : 1))
        }
      }
    }
    return cases
  }()

  /// Tiles that are smaller than the problems, and not square.
  static func kernel(_ c: AttentionDefinition) throws -> Kernel {
    var shape = Attention.Shape(kvHeads: c.kvHeads, group: c.group, headSize: c.size)
    (shape.rows, shape.keys, shape.type) = (48, 32, c.type)
    return try Attention.kernel(shape, mask: c.mask, scale: Float(c.scale))
  }

  @Test(arguments: cases) func agreesWithTheDefinition(_ c: AttentionDefinition) throws {
    let (q, k, v, _) = try c.inputs(seed: 7)
    let exact = c.forward(values(q), values(k), values(v))
    // Scores are sums of D products below 1, rounded D times in float32; the exponentials of their errors and N sums.
    let float = (Double(c.size + 3) * Double(c.size) * c.scale * 2 + Double(c.n + 16) * 2) * 0x1p-24
    // Weights relative to a total of 1 or more are rounded, and y is.
    let u = 1.01 * roundoff(c.type)
    let bound = zip(exact.y, exact.magnitude).map {
      u * (abs($0) + $1) + float * $1 + Double(c.n + 1) * underflow(c.type)
    }
    for run in try runs(
      Self.kernel(c), [q, k, v],
      outputs: [(c.type, q.shape), (.float32, [c.batch, c.kvHeads, c.group * c.m])],
      integers: [c.m], reference: c.work < 200_000)
    {
      #expect(error(run.outputs[0], exact.y, inUnitsOf: bound) <= 1, "\(run.executor)")
      #expect(error(run.outputs[1], exact.lse, inUnitsOf: float + 0x1p-20) <= 1, "\(run.executor)")
    }
  }

  /// Attention over values of one is one, whatever the weights, up to what rounding them does to their sum.
  @Test(arguments: [ElementType.bfloat16, .float16]) func weightsSumToOne(type: ElementType) throws {
    let c = AttentionDefinition(
      m: 50, n: 130, size: 40, kvHeads: 1, group: 2, mask: .causal, type: type)
    let (q, k, _, _) = try c.inputs(seed: 3)
    let ones = try uniform(type, [1, 1, 130, 40], seed: 1)
    ones.withMutableElements(as: UInt16.self) { span in
      for index in span.indices { span[index] = type == .float16 ? 0x3C00 : 0x3F80 }
    }
    for run in try runs(
      Self.kernel(c), [q, k, ones], outputs: [(type, q.shape), (.float32, [1, 1, 100])], integers: [50],
      reference: false, portable: true)
    {
      let exact = [Double](repeating: 1, count: run.outputs[0].count)
      #expect(error(run.outputs[0], exact, inUnitsOf: 2.1 * roundoff(type)) <= 1, "\(run.executor)")
    }
  }

  @Test func threadsAndTablesGiveTheSameBits() throws {
    let c = AttentionDefinition(
      m: 70, n: 90, size: 80, kvHeads: 2, group: 2, mask: .causal, type: .bfloat16)
    let (q, k, v, _) = try c.inputs(seed: 5)
    let found = try runs(
      Self.kernel(c), [q, k, v], outputs: [(c.type, q.shape), (.float32, [1, 2, 140])], integers: [70],
      reference: false, portable: true)
    #expect(found.allSatisfy { $0.outputs == found[0].outputs })
  }
}
