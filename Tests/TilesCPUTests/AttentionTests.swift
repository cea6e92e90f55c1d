import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct AttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var (m, n, size, kvHeads, group): (Int, Int, Int, Int, Int)
    var mask: Attention.Mask
    var testDescription: String { "M \(m), N \(n), D \(size), \(kvHeads) x \(group) heads, \(mask)" }
  }

  static let cases: [Case] = {
    var cases: [Case] = []
    let sizes: [(Int, Int)] = [(1, 1), (2, 2), (1, 65), (63, 63), (65, 127), (127, 65), (97, 257), (2, 130)]
    let heads: [(size: Int, kvHeads: Int, group: Int)] = [
      (1, 1, 1), (40, 2, 3), (64, 1, 4), (80, 2, 1), (128, 1, 2),
    ]
    for (number, (m, n)) in sizes.enumerated() {
      for (offset, head) in heads.enumerated() {
        for mask in [Attention.Mask.full, .causal, .window(1), .window(70)] where (number + offset) % 2 == 0 {
          cases.append(
            Case(m: m, n: n, size: head.size, kvHeads: head.kvHeads, group: head.group, mask: mask))
        }
      }
    }
    return cases
  }()

  @Test(arguments: cases) func agreesWithTheDefinition(_ c: Case) throws {
    let (b, rows) = (2, c.group * c.m)
    let q = try uniform([b, c.kvHeads, rows, c.size], seed: 1)
    let k = try uniform([b, c.kvHeads, c.n, c.size], seed: 2)
    let v = try uniform([b, c.kvHeads, c.n, c.size], seed: 3)
    let scale = 1 / Float(c.size).squareRoot()
    let kernel = try Attention.kernel(
      Attention.Shape(kvHeads: c.kvHeads, group: c.group, headSize: c.size), mask: c.mask, scale: scale)
    let (exact, exactLSE) = definition(c, q, k, v, Double(scale))
    // A score is a sum of D products of numbers below 1, rounded D + 2 times; exponents and the sums of N weights add
    // a few roundings each.
    let unit = 0x1p-24
    let score = Double(c.size + 3) * Double(c.size) * Double(scale) * unit
    let bound = 2 * score + Double(c.n + 16) * 2 * unit
    for executor in executors + [] {
      let y = try poisoned([b, c.kvHeads, rows, c.size])
      let lse = try poisoned([b, c.kvHeads, rows])
      try executor.compile(kernel).run([q, k, v, y, lse], integers: [c.m])
      #expect(error(values(y), exact, inUnitsOf: bound) <= 1)
      #expect(error(values(lse), exactLSE, inUnitsOf: bound + 4 * unit * 8) <= 1)
    }
  }

  /// The reference executor traps reads of unwritten memory and outputs written twice or never.
  @Test func passesTheCheckedReference() throws {
    for c in Self.cases where c.m * c.n < 5_000 && c.size <= 64 {
      let rows = c.group * c.m
      let kernel = try Attention.kernel(
        Attention.Shape(kvHeads: c.kvHeads, group: c.group, headSize: c.size), mask: c.mask, scale: 0.3)
      let q = try uniform([1, c.kvHeads, rows, c.size], seed: 1)
      let k = try uniform([1, c.kvHeads, c.n, c.size], seed: 2)
      let (y, lse) = (try poisoned([1, c.kvHeads, rows, c.size]), try poisoned([1, c.kvHeads, rows]))
      try ReferenceExecutor<Double>().compile(kernel).run([q, k, k, y, lse], integers: [c.m])
      let exact = definition(c, q, k, k, 0.3).y
      #expect(error(values(y), exact, inUnitsOf: 1e-5) <= 1, "\(c.testDescription)")
    }
  }

  @Test func threadsGiveTheSameBits() throws {
    let kernel = try Attention.kernel(
      Attention.Shape(kvHeads: 2, group: 3, headSize: 40), mask: .causal, scale: 0.2)
    let q = try uniform([1, 2, 3 * 200, 40], seed: 1)
    let k = try uniform([1, 2, 200, 40], seed: 2)
    let results = try executors.map { executor in
      let (y, lse) = (try poisoned([1, 2, 600, 40]), try poisoned([1, 2, 600]))
      try executor.compile(kernel).run([q, k, k, y, lse], integers: [200])
      return values(y).map(\.bitPattern) + values(lse).map(\.bitPattern)
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }

  /// The definition in float64, flat.
  private func definition(
    _ c: Case, _ q: Tensor, _ k: Tensor, _ v: Tensor, _ scale: Double
  ) -> (y: [Double], lse: [Double]) {
    let (q, keys, v) = (values(q), values(k), values(v))
    let rows = c.group * c.m
    var (y, lse): ([Double], [Double]) = ([], [])
    for row in 0..<q.count / c.size {
      let (head, position) = (row / rows, row % rows % c.m + c.n - c.m)
      let seen = (0..<c.n).filter { key in
        switch c.mask {
        case .full: true
        case .causal: key <= position
        case .window(let width): key <= position && key > position - width
        }
      }
      let scores = seen.map { key in
        (0..<c.size).reduce(0.0) { $0 + q[row * c.size + $1] * keys[(head * c.n + key) * c.size + $1] }
          * scale
      }
      let top = scores.max() ?? 0
      let weights = scores.map { exp2(($0 - top) * 1.4426950408889634) }
      let total = weights.reduce(0, +)
      for d in 0..<c.size {
        let sum = zip(seen, weights).reduce(0.0) { $0 + $1.1 * v[(head * c.n + $1.0) * c.size + d] }
        y.append(seen.isEmpty ? 0 : sum / total)
      }
      lse.append(seen.isEmpty ? -.infinity : top + log2(total) * 0.6931471805599453)
    }
    return (y, lse)
  }
}
