import Kernels
import Memory
import TestSupport
import Testing
import Tiles

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct LinearAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var n: Int
    var headSize = 16
    var valueSize = 16
    var features = LinearAttention.FeatureMap.eluPlusOne
    var isNormalized = true
    var type = ElementType.bfloat16
    var batch = 1
    var heads = 2
    var testDescription: String {
      "\(features)\(isNormalized ? " normalised" : ""), N \(n), D \(headSize), P \(valueSize), \(type.rawValue)"
    }
    var shape: LinearAttention.Shape {
      LinearAttention.Shape(
        heads: heads, headSize: headSize, valueSize: valueSize, features: features,
        isNormalized: isNormalized, type: type)
    }
    var state: [Int] { [batch, heads, valueSize + 1, headSize] }
    func inputs(_ seed: UInt64) throws -> [Tensor] {
      try [headSize, headSize, valueSize].enumerated().map {
        try uniform(type, [batch, heads, n, $1], seed: seed + UInt64($0))
      }
    }
  }

  static let scale = 0.25

  static let cases: [Case] =
    [1, 2, 63, 64, 65, 127, 131, 200, 499].map { Case(n: $0) }
    + LinearAttention.FeatureMap.allCases.flatMap { features in
      [
        Case(n: 131, features: features, isNormalized: false),
        Case(n: 97, headSize: 24, valueSize: 40, features: features, isNormalized: false, type: .float16),
      ]
    }
    + [
      Case(n: 200, features: .softmax), Case(n: 70, headSize: 5, valueSize: 9, features: .softmax, batch: 2),
      Case(n: 193, headSize: 64, valueSize: 64), Case(n: 129, headSize: 128, valueSize: 128, type: .float16),
    ]

  private static func features(_ map: LinearAttention.FeatureMap, _ x: [Double]) -> [Double] {
    switch map {
    case .identity: return x
    case .eluPlusOne: return x.map { $0 >= 0 ? $0 + 1 : exp($0) }
    case .relu: return x.map { Swift.max($0, 0) }
    case .softmax:
      let exponentials = x.map { exp($0) }
      let total = exponentials.reduce(0, +)
      return exponentials.map { $0 / total }
    }
  }

  /// Results and states, each with the sums of magnitudes that errors are in proportion to, and sums of weights.
  private struct Exact {
    var (y, magnitudes, totals): ([Double], [Double], [Double]) = ([], [], [])
    var (state, stateMagnitudes): ([Double], [Double]) = ([], [])
  }

  private static func definition(_ c: Case, _ inputs: [Tensor]) -> Exact {
    let all = inputs.map(values)
    let (d, p) = (c.headSize, c.valueSize)
    var exact = Exact()
    for row in 0..<c.batch * c.heads {
      func rows(_ numbers: [Double]) -> [[Double]] {
        (0..<c.n).map { t in features(c.features, Array(numbers[((row * c.n + t) * d)...].prefix(d))) }
      }
      let (queries, keys) = (rows(all[0]), rows(all[1]))
      let v = (0..<c.n).map { Array(all[2][((row * c.n + $0) * p)...].prefix(p)) }
      for t in 0..<c.n {
        let factor = c.isNormalized ? 1 : scale
        let products = (0...t).map { s in (0..<d).map { factor * queries[t][$0] * keys[s][$0] } }
        let weights = products.map { $0.reduce(0, +) }
        let sizes = products.map { $0.reduce(0) { $0 + abs($1) } }
        let total = c.isNormalized ? weights.reduce(0, +) : 1
        for i in 0..<p {
          exact.y.append((0...t).reduce(0.0) { $0 + weights[$1] * v[$1][i] } / total)
          exact.magnitudes.append((0...t).reduce(0.0) { $0 + sizes[$1] * abs(v[$1][i]) } / total)
          exact.totals.append(total)
        }
      }
      for i in 0...p {
        for f in 0..<d {
          let terms = (0..<c.n).map { s in keys[s][f] * (i == p ? 1 : v[s][i]) }
          exact.state.append(terms.reduce(0, +))
          exact.stateMagnitudes.append(terms.reduce(0) { $0 + abs($1) })
        }
      }
    }
    return exact
  }

  /// Features of queries and of keys are rounded, and a weight or the state is; y is. Sums of weights see two of these.
  @Test(arguments: cases, [UInt64(1), 2]) func agreesWithTheDefinition(_ c: Case, seed: UInt64) throws {
    let inputs = try c.inputs(seed * 100)
    let exact = Self.definition(c, inputs)
    // Chains of float32 sums: D products, 64 weights, N / 64 states and the functions of features.
    let (u, float) = (1.01 * roundoff(c.type), Double(c.headSize + 64 + c.n + 16) * 0x1p-24)
    let tiny = 3 * Double(c.n) * Double(c.headSize) * underflow(c.type)
    let y = exact.y.indices.map {
      (c.isNormalized ? 3 * u + 2 * float : u) * abs(exact.y[$0])
        + (3 * u + 2 * float) * exact.magnitudes[$0] + tiny / exact.totals[$0]
    }
    let state = exact.stateMagnitudes.map { (u + float) * $0 + Double(c.n) * underflow(c.type) }
    for run in try runs(
      LinearAttention.kernel(c.shape, scale: Float(Self.scale)), inputs,
      outputs: [(c.type, inputs[2].shape), (.float32, c.state)],
      reference: seed == 1 && c.n * c.headSize < 4_000, portable: c.n < 130)
    {
      #expect(error(run.outputs[0], exact.y, inUnitsOf: y) <= 1, "\(run.executor): y")
      #expect(error(run.outputs[1], exact.state, inUnitsOf: state) <= 1, "\(run.executor): state")
    }
  }

  /// What comes later does not matter, to the last bit.
  @Test(arguments: LinearAttention.FeatureMap.allCases)
  func isCausal(_ features: LinearAttention.FeatureMap) throws {
    let c = Case(n: 200, features: features, isNormalized: features == .softmax)
    let inputs = try c.inputs(7)
    func results(_ count: Int) throws -> [[Double]] {
      let first = try inputs.map { try $0.firstPositions(count) }
      return try runs(
        LinearAttention.kernel(c.shape, scale: Float(Self.scale)), first,
        outputs: [(c.type, [1, 2, count, 16]), (.float32, c.state)], reference: false
      ).map { $0.outputs[0] }
    }
    for (short, long) in zip(try results(150), try results(200)) {
      #expect(Array(short[..<(150 * 16)]) == Array(long[..<(150 * 16)]))
    }
  }

  /// Rows whose weights are all 0 have no mean: they are 0, not NaN.
  @Test func rowsWithoutWeightAreZero() throws {
    let c = Case(n: 66, features: .relu)
    var inputs = try c.inputs(3)
    inputs[0] = try Tensor(zeros: c.type, inputs[0].shape)
    for run in try runs(
      LinearAttention.kernel(c.shape), inputs,
      outputs: [(c.type, inputs[2].shape), (.float32, c.state)], reference: false)
    {
      #expect(run.outputs[0].allSatisfy { $0 == 0 }, "\(run.executor)")
    }
  }
}

extension Tensor {
  /// The first positions of `[B, H, N, D]`, copied.
  func firstPositions(_ count: Int) throws -> Tensor {
    let part = sliced(axis: 2, 0..<count)
    let copy = try Tensor(zeros: type, part.shape)
    try executors[0].copy(from: part, into: copy)
    return copy
  }
}
