import Kernels
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Tiles

@Suite struct PhiloxTests {
  /// Known answers of the Random123 library, for 10 rounds.
  @Test func agreesWithThePublishedAnswers() {
    #expect(
      Philox.words(counter: SIMD4(repeating: 0), key: SIMD2(repeating: 0))
        == SIMD4(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
    #expect(
      Philox.words(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
    #expect(
      Philox.words(
        counter: SIMD4(0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344),
        key: SIMD2(0xA409_3822, 0x299F_31D0))
        == SIMD4(0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
  }
}

@Suite struct DropoutTests {
  /// The random numbers of a tensor of that size, drawn in tiles of 5 rows.
  func draw(_ executor: any Executor, rows: Int, columns: Int, seed: Int, stream: Int) throws -> [Double] {
    let kernel = try Kernel("draw") { k in
      let (m, seed, stream) = (k.extent("M"), k.argument("seed"), k.argument("stream"))
      let y = k.output("y", .float32, [m, Index(columns)])
      k.grid([m.ceilDiv(5)]) { task in
        let row = task[0] * 5
        let zero = k.filled(
          0, rows: 5, columns: columns, validRows: (m - row).min(5), validColumns: Index(columns))
        let source = RandomSource(seed: seed, stream: stream, row: row)
        k.store(k.map(.add, zero, MapValue.random(source)), to: y, at: [row, 0])
      }
    }
    let y = try poisoned([rows, columns])
    try executor.compile(kernel).run([y], integers: [seed, stream])
    return values(y)
  }

  @Test func everyMachineDrawsTheSame() throws {
    for columns in [1, 3, 8, 77] {
      let exact = try draw(ReferenceExecutor<Float>(), rows: 13, columns: columns, seed: -3, stream: 5)
      #expect(exact[0] == Double(Philox.uniform(seed: -3, stream: 5, row: 0, column: 0)))
      for executor in executors {
        let found = try draw(executor, rows: 13, columns: columns, seed: -3, stream: 5)
        #expect(found == exact)
      }
    }
  }

  @Test func seedsAndStreamsAreIndependent() throws {
    let executor = executors[0]
    func numbers(_ seed: Int, _ stream: Int) throws -> [Double] {
      try draw(executor, rows: 16, columns: 64, seed: seed, stream: stream)
    }
    let first = try numbers(1, 0)
    #expect(try numbers(1, 0) == first)
    for other in [try numbers(2, 0), try numbers(1, 1)] {
      // Of 1024 pairs of multiples of 2⁻²⁴, 6·10⁻⁵ are equal on average.
      #expect(zip(first, other).count { $0 == $1 } <= 1)
    }
  }

  @Test func numbersAreUniform() throws {
    let numbers = try draw(executors[0], rows: 1000, columns: 100, seed: 7, stream: 0)
    #expect(numbers.allSatisfy { (0..<1).contains($0) })
    let mean = numbers.reduce(0, +) / 1e5
    let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 1e5
    // Five standard errors: √(1/12 / 10⁵) of the mean, √(1/180 / 10⁵) of the variance.
    #expect(abs(mean - 0.5) <= 5 * 9.2e-4)
    #expect(abs(variance - 1.0 / 12) <= 5 * 2.4e-4)
  }

  struct Case: Sendable {
    var norm: Normalisation
    var probability: Float
  }

  static let cases = [Normalisation.layer(epsilon: 1e-5), .rms(epsilon: 1e-6)].flatMap { norm in
    [Float(0), 0.1, 0.75].map { Case(norm: norm, probability: $0) }
  }

  @Test(arguments: cases, [1, 4, 100]) func agreesWithTheReference(_ c: Case, width: Int) throws {
    let seam = DropoutResidualNorm(c.norm, width: width, type: .float32, probability: c.probability)
    let kernel = try seam.kernel()
    let rows = 11
    let inputs = try [
      uniform([rows, width], seed: 1), uniform([rows, width], seed: 2), uniform([width], seed: 3),
    ]
    let bias = kernel.tensors.count == 6 ? [try uniform([width], seed: 4)] : []
    let integers = c.probability > 0 ? [3, 9] : []
    func run(_ executor: any Executor) throws -> (y: [Double], z: [Double]) {
      let (y, z) = (try poisoned([rows, width]), try poisoned([rows, width]))
      try executor.compile(kernel).run(inputs + bias + [y, z], integers: integers)
      return (values(y), values(z))
    }
    let exact = try run(ReferenceExecutor<Double>())
    let (x, residual) = (values(inputs[0]), values(inputs[1]))
    for place in x.indices {
      let number = Philox.uniform(seed: 3, stream: 9, row: place / width, column: place % width)
      let isKept = c.probability == 0 || number >= c.probability
      let wanted = residual[place] + (isKept ? x[place] / Double(1 - c.probability) : 0)
      #expect(abs(exact.y[place] - wanted) <= 0x1p-21)
    }
    for executor in executors {
      let found = try run(executor)
      // y to a few roundings of numbers up to 5; z = y − mean over √(var + ε) magnifies them by at most 1/√ε.
      #expect(error(found.y, exact.y, inUnitsOf: 5 * 0x1p-22) <= 1)
      #expect(error(found.z, exact.z, inUnitsOf: 1e-3) <= 1)
      if c.probability == 0 {
        #expect(zip(found.y, zip(x, residual)).allSatisfy { $0 == Double(Float($1.0) + Float($1.1)) })
      }
    }
  }
}

@Suite struct RotaryEmbeddingTests {
  @Test(arguments: [2, 10, 64]) func agreesWithTheDefinition(headSize: Int) throws {
    let (heads, n, half) = (3, 37, headSize / 2)
    let kernel = try RotaryEmbedding.kernel(headSize: headSize, type: .float32, rows: 16)
    let x = try uniform([2, heads, n, headSize], seed: 1)
    let (cos, sin) = (try uniform([n, half], seed: 2), try uniform([n, half], seed: 3))
    let (numbers, c, s) = (values(x), values(cos), values(sin))
    let exact = numbers.indices.map { place in
      let (row, column) = (place / headSize % n, place % headSize)
      let angle = row * half + column % half
      return column < half
        ? numbers[place] * c[angle] - numbers[place + half] * s[angle]
        : numbers[place] * c[angle] + numbers[place - half] * s[angle]
    }
    for executor in executors {
      let y = try poisoned([2, heads, n, headSize])
      try executor.compile(kernel).run([x, cos, sin, y])
      // Two products and their sum, each at most 2 and rounded once.
      #expect(error(values(y), exact, inUnitsOf: 4 * 0x1p-24) <= 1)
    }
  }
}
