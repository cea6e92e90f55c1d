import Kernels
import Memory
import TestSupport
import Testing
import Tiles

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct SelectiveScanTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var (n, headSize, stateSize): (Int, Int, Int)
    var type = ElementType.bfloat16
    var chunk = 64
    var batch = 2
    var heads = 2
    var testDescription: String {
      "N \(n), P \(headSize), S \(stateSize), \(type.rawValue), chunks of \(chunk)"
    }
    var shape: SelectiveScan.Shape {
      var shape = SelectiveScan.Shape(heads: heads, headSize: headSize, stateSize: stateSize, type: type)
      shape.chunk = chunk
      return shape
    }
    var states: [Int] { [batch, heads, headSize, stateSize] }
  }

  static let cases: [Case] =
    [1, 2, 63, 64, 65, 100, 127, 200].map { Case(n: $0, headSize: 16, stateSize: 16) }
    + [
      Case(n: 65, headSize: 64, stateSize: 64), Case(n: 130, headSize: 64, stateSize: 128, type: .float16),
      Case(n: 53, headSize: 40, stateSize: 24, type: .float16, chunk: 16),
      Case(n: 97, headSize: 33, stateSize: 17, chunk: 16), Case(n: 65, headSize: 1, stateSize: 1, chunk: 32),
    ]

  private struct Inputs {
    let (x, dt, rates, b, c): (Tensor, Tensor, Tensor, Tensor, Tensor)

    init(_ c: Case, seed: UInt64) throws {
      x = try uniform(c.type, [c.batch, c.n, c.heads, c.headSize], seed: seed)
      dt = try Tensor(random: .float32, [c.batch, c.heads, c.n], seed: seed + 1, in: 0...0.5)
      rates = try Tensor(random: .float32, [c.heads], seed: seed + 2, in: -1...(-0.1))
      b = try uniform(c.type, [c.batch, c.n, c.stateSize], seed: seed + 3)
      self.c = try uniform(c.type, [c.batch, c.n, c.stateSize], seed: seed + 4)
    }

    var all: [Tensor] { [x, dt, rates, b, c] }
  }

  /// y and the last state by the recurrence, a position at a time, of numbers or of their magnitudes.
  private static func recurrence(
    _ c: Case, _ given: Inputs, magnitudes: Bool = false
  ) -> (y: [Double], state: [Double]) {
    func numbers(_ tensor: Tensor) -> [Double] { values(tensor).map { magnitudes ? abs($0) : $0 } }
    let (x, b, out) = (numbers(given.x), numbers(given.b), numbers(given.c))
    let (dt, rates) = (values(given.dt), values(given.rates))
    let (p, s) = (c.headSize, c.stateSize)
    var y = [Double](repeating: 0, count: x.count)
    var states: [Double] = []
    for batch in 0..<c.batch {
      for head in 0..<c.heads {
        var state = [Double](repeating: 0, count: p * s)
        for t in 0..<c.n {
          let step = dt[(batch * c.heads + head) * c.n + t]
          let decay = exp(rates[head] * step)
          let (row, vector) = (((batch * c.n + t) * c.heads + head) * p, (batch * c.n + t) * s)
          for i in 0..<p {
            var sum = 0.0
            for j in 0..<s {
              state[i * s + j] = decay * state[i * s + j] + step * x[row + i] * b[vector + j]
              sum += state[i * s + j] * out[vector + j]
            }
            y[row + i] = sum
          }
        }
        states += state
      }
    }
    return (y, states)
  }

  /// What may be off: b times its decay is rounded once, the state before a chunk once more, weights once, y once.
  private static func bounds(
    _ c: Case, _ exact: (y: [Double], state: [Double]), _ given: Inputs
  ) -> (y: [Double], state: [Double]) {
    let magnitude = recurrence(c, given, magnitudes: true)
    // Decays within a chunk are exponentials of sums up to 64 · 0.5 · log₂e, which float32 holds to 2⁻¹⁸; sums of
    // up to 128 + 64 + 64 products are another 2⁻¹⁶.
    let (u, float, tiny) = (1.01 * roundoff(c.type), 0x1p-15, 256 * underflow(c.type))
    return (
      zip(exact.y, magnitude.y).map { u * abs($0) + (2 * u + float) * $1 + tiny },
      zip(exact.state, magnitude.state).map { (u + float) * $1 + tiny }
    )
  }

  @Test(arguments: cases, [UInt64(1), 2]) func agreesWithTheRecurrence(_ c: Case, seed: UInt64) throws {
    let given = try Inputs(c, seed: seed * 100)
    let exact = Self.recurrence(c, given)
    let bound = Self.bounds(c, exact, given)
    for run in try runs(
      SelectiveScan.kernel(c.shape), given.all, outputs: [(c.type, given.x.shape), (.float32, c.states)],
      reference: seed == 1 && c.n * c.headSize * c.stateSize < 60_000, portable: c.headSize <= 16)
    {
      #expect(error(run.outputs[0], exact.y, inUnitsOf: bound.y) <= 1, "\(run.executor): y")
      #expect(error(run.outputs[1], exact.state, inUnitsOf: bound.state) <= 1, "\(run.executor): state")
    }
  }

  /// Segments that run at the same time give what the sequence in one piece gives.
  @Test(arguments: cases) func segmentsAgreeWithTheRecurrence(_ c: Case) throws {
    let given = try Inputs(c, seed: 9)
    let exact = Self.recurrence(c, given)
    let bound = Self.bounds(c, exact, given)
    for (name, executor) in judged(reference: c.n * c.headSize * c.stateSize < 40_000) {
      let y = try poisoned(c.type, given.x.shape)
      let scan = try SegmentedScan(c.shape, batch: c.batch, length: c.n, cores: 6, executor: executor)
      try scan(x: given.x, dt: given.dt, rates: given.rates, b: given.b, c: given.c, y: y)
      let last = try Tensor(zeros: .float32, c.states)
      try executor.copy(from: scan.lastState, into: last)
      #expect(error(values(y), exact.y, inUnitsOf: bound.y) <= 1, "\(name): y")
      #expect(error(values(last), exact.state, inUnitsOf: bound.state) <= 1, "\(name): state")
    }
  }

  /// Without decay and with steps of 1 the state is the running sum of xᵀb; small integers keep it exact.
  @Test func withoutDecayTheStateIsASum() throws {
    let c = Case(n: 70, headSize: 3, stateSize: 5, chunk: 16)
    func whole(_ tensor: Tensor) {
      tensor.withMutableElements(as: UInt16.self) { span in
        for index in span.indices { span[index] = BFloat16(Float(index * 5 % 3 - 1)).bitPattern }
      }
    }
    let given = try Inputs(c, seed: 1)
    for tensor in [given.x, given.b, given.c] { whole(tensor) }
    given.dt.withMutableElements(as: Float.self) { span in for index in span.indices { span[index] = 1 } }
    given.rates.withMutableElements(as: Float.self) { span in for index in span.indices { span[index] = 0 } }
    let exact = Self.recurrence(c, given)
    for run in try runs(
      SelectiveScan.kernel(c.shape), given.all, outputs: [(c.type, given.x.shape), (.float32, c.states)],
      portable: true)
    {
      #expect(run.outputs[1] == exact.state, "\(run.executor)")
      let bound = exact.y.map { 0x1p-8 * abs($0) }
      #expect(error(run.outputs[0], exact.y, inUnitsOf: bound) <= 1, "\(run.executor)")
    }
  }
}
