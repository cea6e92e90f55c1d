import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// Every table of microkernels that this processor runs.
let executors: [CPUExecutor] = ["avx2", "portable"].flatMap { name in
  [1, 2].compactMap { try? CPUExecutor(threads: $0, microkernels: name) }
}

/// Runs a kernel on the reference in float64 sums and on an executor; the output tensor is the last argument.
func agree(
  _ kernel: Kernel, _ inputs: [Tensor], output: [Int], on executor: any Executor, integers: [Int] = []
) throws -> (found: [Double], exact: [Double]) {
  let exact = try poisoned(output)
  try ReferenceExecutor<Double>().compile(kernel).run(inputs + [exact], integers: integers)
  let found = try poisoned(output)
  try executor.compile(kernel).run(inputs + [found], integers: integers)
  return (values(found), values(exact))
}

@Suite struct GemmTests {
  @Test(arguments: [(1, 1, 1), (2, 63, 65), (7, 17, 31), (64, 64, 64), (65, 129, 257), (97, 100, 300)])
  func agreesWithFloat64(m: Int, n: Int, k: Int) throws {
    for transposed in [false, true] {
      let plan = Gemm.Plan(rows: 48, columns: 32, inner: 64)
      let kernel = try Gemm.kernel(transposesB: transposed, plan: plan)
      let a = try uniform([m, k], seed: 1)
      let b = try uniform(transposed ? [n, k] : [k, n], seed: 2)
      for executor in executors {
        let (found, exact) = try agree(kernel, [a, b], output: [m, n], on: executor)
        // (k + 1) roundings of sums of at most k products of magnitude 1, and float32 storage.
        #expect(error(found, exact, inUnitsOf: Double(k + 1) * Double(k) * 0x1p-24) <= 1)
      }
    }
  }

  /// A sum of no products is zero, wherever it is built.
  @Test func innerExtentOfZeroGivesZeros() throws {
    let kernel = try Gemm.kernel()
    for executor in executors {
      let c = try poisoned([7, 21])
      try executor.compile(kernel).run([
        try Tensor(zeros: .float32, [7, 0]), try Tensor(zeros: .float32, [0, 21]), c,
      ])
      #expect(values(c).allSatisfy { $0 == 0 })
    }
  }

  /// Sums that are started by their first product: several in one loop, stored under another condition, used again.
  @Test func sumsStartAnewEachTime() throws {
    let kernel = try Kernel("sums") { k in
      let (m, inner) = (k.extent("M"), k.extent("K"))
      let a = k.input("A", .float32, [m, inner])
      let y = k.output("y", .float32, [3, m, m])
      k.grid([1]) { _ in
        k.loop(3) { round in
          let sum = k.filled(0, rows: 32, columns: 32, validRows: m, validColumns: m)
          k.pipeline(
            steps: inner.ceilDiv(8), stages: 2,
            load: { [k.load(a, at: [0, $0 * 8], rows: 32, columns: 8)] },
            compute: { _, tiles in k.matmul(into: sum, tiles[0], tiles[0], transposesRight: true) })
          k.store(k.map(.add, sum, round), to: y, at: [round, 0, 0])
        }
      }
    }
    let a = try uniform([19, 27], seed: 4)
    for executor in executors {
      let (found, exact) = try agree(kernel, [a], output: [3, 19, 19], on: executor)
      #expect(error(found, exact, inUnitsOf: 28 * 27 * 0x1p-24) <= 1)
    }
  }

  @Test func plansKeepThreadsBusy() {
    #expect(
      Gemm.Plan.cpu(rows: 2048, columns: 2048, threads: 2) == Gemm.Plan(rows: 1024, columns: 768, inner: 256))
    #expect(Gemm.Plan.cpu(rows: 1024, columns: 1024, threads: 2).columns == 512)
    #expect(Gemm.Plan.cpu(rows: 512, columns: 1536, threads: 2).columns == 384)
    #expect(Gemm.Plan.cpu(rows: 1, columns: 1, threads: 8).rows > 0)
    #expect(Gemm.Plan.cpu(rows: 1_000_000, columns: 1_000_000, threads: 2).rows == 1024)
    #expect(Gemm.Plan.cpu(rows: 0, columns: 5, threads: 2).rows > 0)
  }

  @Test func rowsDoNotDependOnTheBatch() throws {
    let kernel = try Gemm.kernel()
    let (a, b) = (try uniform([37, 300], seed: 3), try uniform([300, 70], seed: 4))
    for executor in executors {
      let whole = try poisoned([37, 70])
      try executor.compile(kernel).run([a, b, whole])
      let single = try poisoned([1, 70])
      try executor.compile(kernel).run([a.sliced(axis: 0, 20..<21), b, single])
      #expect(values(single) == Array(values(whole)[(20 * 70)..<(21 * 70)]))
    }
  }
}

@Suite struct LinearTests {
  static let types: [ElementType] = [
    .float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K,
  ]

  static func weights(_ type: ElementType, _ shape: [Int]) throws -> Tensor {
    type == .float32 ? try uniform(shape, seed: 9) : try quantized(type, shape, seed: 9)
  }

  @Test(arguments: types)
  func exactAgreesWithFloat64(type: ElementType) throws {
    let shape = Linear.Shape(inputs: 256, outputs: 37)
    let w = try Self.weights(type, [37, 256])
    let kernel = try Linear.kernel(shape, weight: type, arithmetic: .exact, epilogue: .residual)
    for m in [1, 2, 65] {
      let (x, r) = (try uniform([m, 256], seed: 5), try uniform([m, 37], seed: 6))
      for executor in executors {
        let (found, exact) = try agree(kernel, [x, w, r], output: [m, 37], on: executor)
        let bound = 258 * 256 * 0x1p-24 * 2.0  // |w| ≤ 2
        #expect(error(found, exact, inUnitsOf: bound) <= 1, "\(type), m = \(m)")
      }
    }
  }

  @Test(arguments: types.filter { $0.isBlocked })
  func integersAgreeWithFloat64OnTheSameIntegers(type: ElementType) throws {
    let shape = Linear.Shape(inputs: 512, outputs: 35)
    let w = try Self.weights(type, [35, 512])
    let quantize = try Kernel("quantize") { k in
      let m = k.extent("M")
      let x = k.input("x", .float32, [m, 512])
      let y = k.output("y", .q16_rows, [m, 512])
      k.grid([m]) { t in k.store(k.quantize(k.load(x, at: [t[0], 0], columns: 512)), to: y, at: [t[0], 0]) }
    }
    let kernel = try Linear.kernel(shape, weight: type, arithmetic: .integer)
    for m in [1, 2, 3, 4, 65] {
      let x = try uniform([m, 512], seed: 5)
      for executor in executors {
        let q = try Tensor(zeros: .q16_rows, [m, 512])
        try executor.compile(quantize).run([x, q])
        let check = try Tensor(zeros: .q16_rows, [m, 512])
        try ReferenceExecutor<Float>().compile(quantize).run([x, check])
        let (a, b) = (bytes(q), bytes(check))
        #expect(a == b, "quantised rows differ")
        let (found, exact) = try agree(kernel, [q, w], output: [m, 35], on: executor)
        #expect(error(found, exact, inUnitsOf: 64 * 512 * 0x1p-24 * 2.0) <= 1, "\(type), m = \(m)")
      }
    }
  }

  @Test func tablesGiveTheSameBits() throws {
    let shape = Linear.Shape(inputs: 256, outputs: 50)
    for type in Self.types where type.isBlocked {
      let w = try Self.weights(type, [50, 256])
      let x = try Tensor(zeros: .q16_rows, [5, 256])
      x.withMutableElements(as: UInt8.self) { span in
        for index in span.indices { span[index] = UInt8(truncatingIfNeeded: index * 7 % 120) }
      }
      let kernel = try Linear.kernel(shape, weight: type, arithmetic: .integer)
      let results = try executors.map { executor in
        let y = try poisoned([5, 50])
        try executor.compile(kernel).run([x, w, y])
        return values(y).map(\.bitPattern)
      }
      #expect(results.allSatisfy { $0 == results[0] }, "\(type)")
    }
  }

  func bytes(_ tensor: Tensor) -> [UInt8] {
    tensor.withElements(as: UInt8.self) { span in span.indices.map { span[$0] } }
  }
}

@Suite struct NormalisationTests {
  @Test(arguments: [1, 2, 63, 64, 65, 577]) func agreesWithFloat64(width: Int) throws {
    for (kind, count) in [(Normalisation.rms(epsilon: 1e-5), 1), (.layer(epsilon: 1e-5), 2)] {
      let kernel = try kind.kernel(width: width)
      let x = try uniform([13, width], seed: 1)
      let parameters = try (0..<count).map { try uniform([width], seed: 20 + UInt64($0)) }
      for executor in executors {
        let (found, exact) = try agree(kernel, [x] + parameters, output: [13, width], on: executor)
        #expect(error(found, exact, inUnitsOf: Double(width + 8) * 0x1p-23) <= 1)
      }
    }
  }
}
