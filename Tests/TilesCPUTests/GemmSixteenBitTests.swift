import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@Suite struct GemmSixteenBitTests {
  static let sizes = [(1, 1, 1), (2, 63, 65), (7, 17, 31), (64, 64, 64), (65, 129, 257), (127, 100, 300)]

  private static func plan(swapsSides: Bool) -> Gemm.Plan {
    var plan = Gemm.Plan(rows: 48, columns: 32, inner: 64)
    plan.swapsSides = swapsSides
    return plan
  }

  /// C in float64 and Σ|a||b| of each element.
  private static func definition(
    _ a: Tensor, _ b: Tensor, _ m: Int, _ n: Int, _ k: Int, transposed: Bool
  ) -> (c: [Double], magnitude: [Double]) {
    let (a, b) = (values(a), values(b))
    var (c, magnitude) = ([Double](), [Double]())
    for place in 0..<m * n {
      let terms = (0..<k).map {
        a[place / n * k + $0] * (transposed ? b[place % n * k + $0] : b[$0 * n + place % n])
      }
      c.append(terms.reduce(0, +))
      magnitude.append(terms.reduce(0) { $0 + abs($1) })
    }
    return (c, magnitude)
  }

  @Test(arguments: [ElementType.bfloat16, .float16, .float32], sizes)
  func agreesWithTheDefinition(type: ElementType, size: (Int, Int, Int)) throws {
    let (m, n, k) = size
    for (transposed, swapsSides) in [(false, false), (true, false), (false, true), (true, true)] {
      let kernel = try Gemm.kernel(
        transposesB: transposed, type: type, plan: Self.plan(swapsSides: swapsSides))
      let a = try uniform(type, [m, k], seed: 1)
      let b = try uniform(type, transposed ? [n, k] : [k, n], seed: 2)
      let (exact, magnitude) = Self.definition(a, b, m, n, k, transposed: transposed)
      // k roundings of sums of at most Σ|a||b| in float32, and one to the type.
      let bound = zip(exact, magnitude).map {
        Double(k + 1) * 0x1p-24 * $1 + 1.01 * roundoff(type) * abs($0) + underflow(type)
      }
      for run in try runs(
        kernel, [a, b], outputs: [(type, [m, n])], reference: m * n * k < 300_000, portable: m < 64)
      {
        #expect(
          error(run.outputs[0], exact, inUnitsOf: bound) <= 1,
          "\(run.executor), transposed \(transposed), swapped \(swapsSides)")
      }
    }
  }

  /// Either orientation forms the same chain of sums, and rows do not depend on the batch.
  @Test(arguments: [ElementType.bfloat16, .float16])
  func orientationAndBatchChangeNoBit(type: ElementType) throws {
    let (a, b) = (try uniform(type, [37, 300], seed: 3), try uniform(type, [300, 70], seed: 4))
    func products(_ a: Tensor, swapsSides: Bool) throws -> [[Double]] {
      try runs(
        Gemm.kernel(type: type, plan: Self.plan(swapsSides: swapsSides)), [a, b],
        outputs: [(type, [a.shape[0], 70])], reference: false, portable: true
      ).map { $0.outputs[0] }
    }
    let whole = try products(a, swapsSides: false)
    #expect(try products(a, swapsSides: true) == whole)
    #expect(whole.allSatisfy { $0 == whole[0] }, "tables and threads")
    for one in try products(a.sliced(axis: 0, 20..<21), swapsSides: false) {
      #expect(one == Array(whole[0][(20 * 70)..<(21 * 70)]))
    }
  }

  @Test func innerExtentOfZeroGivesZeros() throws {
    for swapsSides in [false, true] {
      let kernel = try Gemm.kernel(type: .bfloat16, plan: Self.plan(swapsSides: swapsSides))
      let (a, b) = (try Tensor(zeros: .bfloat16, [7, 0]), try Tensor(zeros: .bfloat16, [0, 21]))
      for run in try runs(kernel, [a, b], outputs: [(.bfloat16, [7, 21])], portable: true) {
        #expect(run.outputs[0].allSatisfy { $0 == 0 }, "\(run.executor)")
      }
    }
  }
}
