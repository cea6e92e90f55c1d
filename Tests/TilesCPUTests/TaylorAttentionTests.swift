import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@Suite struct TaylorAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var (n, valueSize): (Int, Int)
    var type = ElementType.bfloat16
    var batch = 1
    var heads = 2
    var testDescription: String { "N \(n), P \(valueSize), \(type.rawValue)" }
    var shape: TaylorAttention.Shape {
      TaylorAttention.Shape(heads: heads, valueSize: valueSize, type: type)
    }
    func keys(_ seed: UInt64) throws -> Tensor {
      try uniform(type, [batch, heads, n, TaylorAttention.keySize], seed: seed)
    }
    func values(_ seed: UInt64) throws -> Tensor {
      try uniform(type, [batch, heads, n, valueSize], seed: seed)
    }
  }

  static let cases: [Case] =
    [1, 2, 63, 64, 65, 100, 127].map { Case(n: $0, valueSize: 16) }
    + [
      Case(n: 200, valueSize: 64), Case(n: 65, valueSize: 64, type: .float16),
      Case(n: 131, valueSize: 24, type: .float16, batch: 2, heads: 1),
      Case(n: 70, valueSize: 40, batch: 2, heads: 1),
    ]
  static let scale = 0.25

  /// yₜ = Σ_{s ≤ t} (1 + x + x²/2) · v_s with x = scale · q_t · k_s, of numbers or of their magnitudes.
  private static func definition(
    _ c: Case, _ q: Tensor, _ k: Tensor, _ v: Tensor, magnitudes: Bool = false
  ) -> [Double] {
    func numbers(_ tensor: Tensor) -> [Double] { values(tensor).map { magnitudes ? abs($0) : $0 } }
    let (q, k, v) = (numbers(q), numbers(k), numbers(v))
    let (d, p) = (TaylorAttention.keySize, c.valueSize)
    var y = [Double](repeating: 0, count: v.count)
    for head in 0..<c.batch * c.heads {
      for t in 0..<c.n {
        for s in 0...t {
          let (row, key) = ((head * c.n + t) * d, (head * c.n + s) * d)
          let x = scale * (0..<d).reduce(0.0) { $0 + q[row + $1] * k[key + $1] }
          let weight = 1 + x + x * x / 2
          for i in 0..<p { y[(head * c.n + t) * p + i] += weight * v[(head * c.n + s) * p + i] }
        }
      }
    }
    return y
  }

  @Test(arguments: cases) func agreesWithTheDefinition(_ c: Case) throws {
    let (q, k, v) = (try c.keys(1), try c.keys(2), try c.values(3))
    let exact = Self.definition(c, q, k, v)
    let magnitude = Self.definition(c, q, k, v, magnitudes: true)
    // Products of query numbers, of key numbers and their sums over positions are rounded, or a weight is; and y is.
    // Sums of at most 144 + 200 products are float32.
    let u = 1.01 * roundoff(c.type)
    let tiny = 144 * Double(c.n) * underflow(c.type)
    let bound = zip(exact, magnitude).map { u * abs($0) + (3 * u + 0x1p-15) * $1 + tiny }
    for run in try runs(
      TaylorAttention.kernel(c.shape, scale: Float(Self.scale)),
      [q, k, v] + TaylorAttention.constants(c.type), outputs: [(c.type, v.shape)],
      reference: c.n < 70 && c.valueSize < 64)
    {
      #expect(error(run.outputs[0], exact, inUnitsOf: bound) <= 1, "\(run.executor)")
    }
  }

  /// With queries of zero every earlier position counts the same: running sums, exact for small integers.
  @Test func queriesOfZeroGiveRunningSums() throws {
    let c = Case(n: 80, valueSize: 8)
    let (q, k, v) = (try Tensor(zeros: c.type, [1, 2, 80, 16]), try c.keys(2), try c.values(3))
    v.withMutableElements(as: UInt16.self) { span in
      for index in span.indices { span[index] = BFloat16(Float(index * 7 % 5 - 2)).bitPattern }
    }
    let exact = Self.definition(c, q, k, v)
    for run in try runs(
      TaylorAttention.kernel(c.shape, scale: Float(Self.scale)),
      [q, k, v] + TaylorAttention.constants(c.type), outputs: [(c.type, v.shape)], reference: false,
      portable: true)
    {
      #expect(run.outputs[0] == exact, "\(run.executor)")
    }
  }

  /// What comes later does not matter.
  @Test func isCausal() throws {
    let c = Case(n: 100, valueSize: 16)
    let (q, k, v) = (try c.keys(1), try c.keys(2), try c.values(3))
    let kernel = try TaylorAttention.kernel(c.shape, scale: Float(Self.scale))
    func results(_ count: Int) throws -> [[Double]] {
      func first(_ tensor: Tensor) throws -> Tensor {
        let part = tensor.sliced(axis: 2, 0..<count)
        let copy = try Tensor(zeros: c.type, part.shape)
        try executors[0].copy(from: part, into: copy)
        return copy
      }
      return try runs(
        kernel, [first(q), first(k), first(v)] + TaylorAttention.constants(c.type),
        outputs: [(c.type, [1, 2, count, 16])], reference: false
      ).map { $0.outputs[0] }
    }
    for (short, long) in zip(try results(70), try results(100)) {
      #expect(Array(short[..<(70 * 16)]) == Array(long[..<(70 * 16)]))
    }
  }
}
