import Kernels
import Memory
import TestSupport
import Testing
import Tiles

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct HedgehogAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var n: Int
    var headSize = 16
    var features = 8
    var valueSize = 16
    var type = ElementType.bfloat16
    var batch = 1
    var heads = 2
    var testDescription: String {
      "N \(n), D \(headSize), F \(features), P \(valueSize), \(type.rawValue)"
    }
    var shape: HedgehogAttention.Shape {
      HedgehogAttention.Shape(
        heads: heads, headSize: headSize, features: features, valueSize: valueSize, type: type)
    }
    var state: [Int] { [batch, heads, valueSize + 1, 2 * features] }
  }

  static let scale = 0.3

  static let cases: [Case] =
    [1, 2, 63, 64, 65, 127, 128, 129, 200, 1000].map { Case(n: $0) }
    + [
      Case(n: 193, type: .float16), Case(n: 257, headSize: 32, features: 16, valueSize: 40, batch: 2),
      Case(n: 131, headSize: 24, features: 5, valueSize: 9, type: .float16, batch: 2, heads: 1),
      Case(n: 200, headSize: 128, features: 64, valueSize: 128),
    ]

  private struct Inputs {
    let (q, k, v): (Tensor, Tensor, Tensor)
    let (queryMap, keyMap): (Tensor, Tensor)
    let (linear, window): (Tensor, Tensor)

    init(_ c: Case, seed: UInt64) throws {
      let rows = [c.batch, c.heads, c.n]
      q = try uniform(c.type, rows + [c.headSize], seed: seed)
      k = try uniform(c.type, rows + [c.headSize], seed: seed + 1)
      v = try uniform(c.type, rows + [c.valueSize], seed: seed + 2)
      queryMap = try uniform(c.type, [c.heads, c.features, c.headSize], seed: seed + 3)
      keyMap = try uniform(c.type, [c.heads, c.features, c.headSize], seed: seed + 4)
      linear = try Tensor(random: .float32, [c.heads], seed: seed + 5, in: 0.5...3)
      window = try Tensor(random: .float32, [c.heads], seed: seed + 6, in: 0.1...1)
    }

    var all: [Tensor] { [q, k, v, queryMap, keyMap, linear, window] }
  }

  /// What the definition gives for one case, with the sizes that errors are in proportion to.
  private struct Exact {
    /// Results, and means of the values' magnitudes under the same weights.
    var (y, magnitudes): ([Double], [Double]) = ([], [])
    /// Sums of values and of features, and of magnitudes.
    var (state, stateMagnitudes): ([Double], [Double]) = ([], [])
    /// Sum of a row's weights.
    var totals: [Double] = []
  }

  /// [softmax(W x), softmax(−W x)].
  private static func features(_ x: ArraySlice<Double>, _ map: ArraySlice<Double>) -> [Double] {
    let z = (0..<map.count / x.count).map { row in
      zip(x, map.dropFirst(row * x.count)).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return [1.0, -1.0].flatMap { sign in
      let exponentials = z.map { exp(sign * $0) }
      let total = exponentials.reduce(0, +)
      return exponentials.map { $0 / total }
    }
  }

  /// The definition, a pair of positions at a time.
  private static func definition(_ c: Case, _ given: Inputs) -> Exact {
    let (q, k, v) = (values(given.q), values(given.k), values(given.v))
    let (queryMap, keyMap) = (values(given.queryMap), values(given.keyMap))
    let (linear, window) = (values(given.linear), values(given.window))
    let (d, p, width) = (c.headSize, c.valueSize, 2 * c.features)
    var exact = Exact()
    for row in 0..<c.batch * c.heads {
      let head = row % c.heads
      func part(_ numbers: [Double], _ t: Int, _ size: Int) -> ArraySlice<Double> {
        numbers[((row * c.n + t) * size)...].prefix(size)
      }
      func map(_ numbers: [Double]) -> ArraySlice<Double> {
        numbers[(head * c.features * d)...].prefix(c.features * d)
      }
      let queries = (0..<c.n).map { features(part(q, $0, d), map(queryMap)) }
      let keys = (0..<c.n).map { features(part(k, $0, d), map(keyMap)) }
      for t in 0..<c.n {
        let first = max(0, t / 64 - 1) * 64
        let scores = (first...t).map { s in
          scale * zip(part(q, t, d), part(k, s, d)).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let top = scores.max() ?? 0
        let weights =
          (0..<first).map { s in linear[head] * zip(queries[t], keys[s]).reduce(0) { $0 + $1.0 * $1.1 } }
          + scores.map { window[head] * exp($0 - top) }
        let total = weights.reduce(0, +)
        for i in 0..<p {
          var (sum, magnitude) = (0.0, 0.0)
          for s in 0...t {
            sum += weights[s] * v[(row * c.n + s) * p + i]
            magnitude += weights[s] * abs(v[(row * c.n + s) * p + i])
          }
          exact.y.append(sum / total)
          exact.magnitudes.append(magnitude / total)
          exact.totals.append(total)
        }
      }
      // What position N has behind its window.
      let behind = max(0, c.n / 64 - 1) * 64
      for i in 0...p {
        for f in 0..<width {
          let terms = (0..<behind).map { s in keys[s][f] * (i == p ? 1 : v[(row * c.n + s) * p + i]) }
          exact.state.append(terms.reduce(0, +))
          exact.stateMagnitudes.append(terms.reduce(0) { $0 + abs($1) })
        }
      }
    }
    return exact
  }

  /// What may be off. Weights of the window are rounded once; in the linear part features of queries, of keys and the
  /// state are, while the sums of weights see features of keys alone rounded; and y is.
  private static func bounds(_ c: Case, _ exact: Exact) -> (y: [Double], state: [Double]) {
    // Scores and projections of up to 128 products within ±1 are off by 128² · 2⁻²⁴ · 2, and exponentials by as much in
    // proportion; sums of up to 1,000 float32 terms are another 2⁻¹⁴.
    let (u, float) = (1.01 * roundoff(c.type), Double(c.headSize * c.headSize) * 0x1p-23 * scale + 0x1p-13)
    // Where weights are too small for the type: 128 of the window, features of both sides against all before.
    let tiny = (128 + 4 * Double(c.n) * Double(c.features)) * underflow(c.type)
    let y = exact.y.indices.map { index in
      (2 * u + float) * abs(exact.y[index]) + (3 * u + 2 * float) * exact.magnitudes[index]
        + tiny / exact.totals[index]
    }
    return (y, exact.stateMagnitudes.map { (u + 2 * float) * $0 + Double(c.n) * underflow(c.type) })
  }

  @Test(arguments: cases, [UInt64(1), 2]) func agreesWithTheDefinition(_ c: Case, seed: UInt64) throws {
    let given = try Inputs(c, seed: seed * 100)
    let exact = Self.definition(c, given)
    let bound = Self.bounds(c, exact)
    for run in try runs(
      HedgehogAttention.kernel(c.shape, scale: Float(Self.scale)), given.all,
      outputs: [(c.type, given.v.shape), (.float32, c.state)],
      reference: seed == 1 && c.n * c.headSize < 4_000, portable: c.n < 200)
    {
      #expect(error(run.outputs[0], exact.y, inUnitsOf: bound.y) <= 1, "\(run.executor): y")
      #expect(error(run.outputs[1], exact.state, inUnitsOf: bound.state) <= 1, "\(run.executor): state")
    }
  }

  /// Segments that run at the same time give what the sequence in one piece gives.
  @Test(arguments: cases) func segmentsAgreeWithTheDefinition(_ c: Case) throws {
    let given = try Inputs(c, seed: 9)
    let exact = Self.definition(c, given)
    let bound = Self.bounds(c, exact)
    for (name, executor) in judged(reference: c.n * c.headSize < 4_000) {
      let y = try poisoned(c.type, given.v.shape)
      let attention = try SegmentedHedgehog(
        c.shape, scale: Float(Self.scale), batch: c.batch, length: c.n, cores: 6, executor: executor)
      try attention(
        q: given.q, k: given.k, v: given.v, queryMap: given.queryMap, keyMap: given.keyMap,
        linear: given.linear, window: given.window, y: y)
      let last = try Tensor(zeros: .float32, c.state)
      try executor.copy(from: attention.lastState, into: last)
      #expect(error(values(y), exact.y, inUnitsOf: bound.y) <= 1, "\(name): y")
      #expect(error(values(last), exact.state, inUnitsOf: bound.state) <= 1, "\(name): state")
    }
  }

  /// What comes later does not matter, to the last bit.
  @Test func isCausal() throws {
    let c = Case(n: 200)
    let given = try Inputs(c, seed: 4)
    let kernel = try HedgehogAttention.kernel(c.shape, scale: Float(Self.scale))
    func results(_ count: Int) throws -> [[Double]] {
      func first(_ tensor: Tensor) throws -> Tensor {
        let part = tensor.sliced(axis: 2, 0..<count)
        let copy = try Tensor(zeros: c.type, part.shape)
        try executors[0].copy(from: part, into: copy)
        return copy
      }
      let inputs = try [first(given.q), first(given.k), first(given.v)] + given.all.dropFirst(3)
      let outputs = [(type: c.type, shape: [1, 2, count, 16]), (.float32, c.state)]
      return try runs(kernel, inputs, outputs: outputs, reference: false).map { $0.outputs[0] }
    }
    for (short, long) in zip(try results(150), try results(200)) {
      #expect(Array(short[..<(150 * 16)]) == Array(long[..<(150 * 16)]))
    }
  }

  /// Without the linear part nothing behind the window counts; without the window nothing in it.
  @Test func eachPartAlone() throws {
    let c = Case(n: 256)
    for (linear, window) in [(Float(0), Float(1)), (1, 0)] {
      let given = try Inputs(c, seed: 5)
      func set(_ tensor: Tensor, _ value: Float) {
        tensor.withMutableElements(as: Float.self) { span in for i in span.indices { span[i] = value } }
      }
      set(given.linear, linear)
      set(given.window, window)
      // Values of 1 where the part that is left looks from the last block, and of 0 elsewhere.
      given.v.withMutableElements(as: UInt16.self) { span in
        for index in span.indices {
          let isBehind = index / c.valueSize % c.n < 128
          span[index] = BFloat16(isBehind == (linear == 1) ? 1 : 0).bitPattern
        }
      }
      for run in try runs(
        HedgehogAttention.kernel(c.shape, scale: Float(Self.scale)), given.all,
        outputs: [(c.type, given.v.shape), (.float32, c.state)], reference: false)
      {
        let last = run.outputs[0][(192 * c.valueSize)..<(256 * c.valueSize)]
        #expect(last.allSatisfy { abs($0 - 1) <= 0x1p-6 }, "\(run.executor)")
      }
    }
  }
}
