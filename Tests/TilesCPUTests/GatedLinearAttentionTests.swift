import Kernels
import Memory
import TestSupport
import Testing
import Tiles

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct GatedLinearAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var n: Int
    var headSize = 16
    var valueSize = 16
    var type = ElementType.bfloat16
    /// Gates are within this and 0.
    var lowest: Float = -0.5
    var batch = 1
    var heads = 2
    var testDescription: String {
      "N \(n), D \(headSize), P \(valueSize), \(type.rawValue), gates from \(lowest)"
    }
    var shape: GatedLinearAttention.Shape {
      GatedLinearAttention.Shape(heads: heads, headSize: headSize, valueSize: valueSize, type: type)
    }
    var state: [Int] { [batch, heads, headSize, valueSize] }
    /// q, k, v, g.
    func inputs(_ seed: UInt64) throws -> [Tensor] {
      func rows(_ width: Int) -> [Int] { [batch, heads, n, width] }
      let gates = try Tensor(random: type, rows(headSize), seed: seed + 3, in: lowest...0)
      return try [headSize, headSize, valueSize].enumerated().map {
        try uniform(type, rows($1), seed: seed + UInt64($0))
      } + [gates]
    }
  }

  static let scale = 0.25

  static let cases: [Case] =
    [1, 2, 63, 64, 65, 127, 131, 200, 499].map { Case(n: $0) }
    + [Float(0), -8, -300].map { Case(n: 129, lowest: $0) }
    + [
      Case(n: 97, headSize: 24, valueSize: 40, type: .float16, batch: 2),
      Case(n: 70, headSize: 5, valueSize: 9), Case(n: 193, headSize: 64, valueSize: 64),
      Case(n: 129, headSize: 128, valueSize: 128, type: .float16),
    ]

  /// The recurrence, a position at a time, of numbers or of their magnitudes.
  private static func recurrence(
    _ c: Case, _ inputs: [Tensor], magnitudes: Bool = false
  ) -> (y: [Double], state: [Double]) {
    func numbers(_ tensor: Tensor) -> [Double] { values(tensor).map { magnitudes ? abs($0) : $0 } }
    let (q, k, v, g) = (numbers(inputs[0]), numbers(inputs[1]), numbers(inputs[2]), values(inputs[3]))
    let (d, p) = (c.headSize, c.valueSize)
    var (y, states): ([Double], [Double]) = ([], [])
    for row in 0..<c.batch * c.heads {
      var state = [Double](repeating: 0, count: d * p)
      for t in row * c.n..<(row + 1) * c.n {
        for i in 0..<d {
          let decay = exp(g[t * d + i])
          for j in 0..<p { state[i * p + j] = decay * state[i * p + j] + k[t * d + i] * v[t * p + j] }
        }
        for j in 0..<p {
          y.append(scale * (0..<d).reduce(0.0) { $0 + q[t * d + $1] * state[$1 * p + j] })
        }
      }
      states += state
    }
    return (y, states)
  }

  /// Decayed queries and keys are rounded, and a weight or the state is; y is.
  private static func bounds(
    _ c: Case, _ exact: (y: [Double], state: [Double]), _ inputs: [Tensor]
  ) -> (y: [Double], state: [Double]) {
    let magnitude = recurrence(c, inputs, magnitudes: true)
    // An exponent x is a float32 sum of up to 64 gates, off by 64 · x · 2⁻²⁴, and x · exp(−x) is below 1/2: relative to
    // the product without its decay. Chains of sums are D + 64 + N / 64 long.
    let (u, float) = (1.01 * roundoff(c.type), Double(c.headSize + 64 + c.n + 16) * 0x1p-24)
    let undecayed = Double(c.n * c.headSize) * 64 * 0x1p-24 * 2
    // Decays that the type has no numbers for.
    let tiny = 4 * Double(c.n * c.headSize) * Swift.max(underflow(c.type), 0x1p-126)
    return (
      zip(exact.y, magnitude.y).map { u * abs($0) + (3 * u + 2 * float) * $1 + scale * undecayed + tiny },
      zip(exact.state, magnitude.state).map { abs($0) * float + (u + float) * $1 + undecayed + tiny }
    )
  }

  @Test(arguments: cases, [UInt64(1), 2]) func agreesWithTheRecurrence(_ c: Case, seed: UInt64) throws {
    let inputs = try c.inputs(seed * 100)
    let exact = Self.recurrence(c, inputs)
    let bound = Self.bounds(c, exact, inputs)
    for run in try runs(
      GatedLinearAttention.kernel(c.shape, scale: Float(Self.scale)), inputs,
      outputs: [(c.type, inputs[2].shape), (.float32, c.state)],
      reference: seed == 1 && c.n * c.headSize < 2_500, portable: c.n < 100)
    {
      #expect(error(run.outputs[0], exact.y, inUnitsOf: bound.y) <= 1, "\(run.executor): y")
      #expect(error(run.outputs[1], exact.state, inUnitsOf: bound.state) <= 1, "\(run.executor): state")
    }
  }

  /// Segments that run at the same time give what the sequence in one piece gives.
  @Test(arguments: cases) func segmentsAgreeWithTheRecurrence(_ c: Case) throws {
    let inputs = try c.inputs(9)
    let exact = Self.recurrence(c, inputs)
    let bound = Self.bounds(c, exact, inputs)
    for (name, executor) in judged(reference: c.n * c.headSize < 2_500) {
      let y = try poisoned(c.type, inputs[2].shape)
      let attention = try SegmentedGatedAttention(
        c.shape, scale: Float(Self.scale), batch: c.batch, length: c.n, cores: 6, executor: executor)
      try attention(q: inputs[0], k: inputs[1], v: inputs[2], gates: inputs[3], y: y)
      let last = try Tensor(zeros: .float32, c.state)
      try executor.copy(from: attention.lastState, into: last)
      #expect(error(values(y), exact.y, inUnitsOf: bound.y) <= 1, "\(name): y")
      #expect(error(values(last), exact.state, inUnitsOf: bound.state) <= 1, "\(name): state")
    }
  }

  /// What comes later does not matter, to the last bit.
  @Test func isCausal() throws {
    let c = Case(n: 200)
    let inputs = try c.inputs(7)
    func results(_ count: Int) throws -> [[Double]] {
      let first = try inputs.map { try $0.firstPositions(count) }
      return try runs(
        GatedLinearAttention.kernel(c.shape), first,
        outputs: [(c.type, [1, 2, count, 16]), (.float32, c.state)], reference: false
      ).map { $0.outputs[0] }
    }
    for (short, long) in zip(try results(150), try results(200)) {
      #expect(Array(short[..<(150 * 16)]) == Array(long[..<(150 * 16)]))
    }
  }
}
