import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@Suite struct RaggedAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var queries: [Int]
    var keys: [Int]
    var (size, kvHeads, group): (Int, Int, Int)
    var mask: Attention.Mask
    var type: ElementType
    var testDescription: String {
      "\(queries) over \(keys), D \(size), \(kvHeads) x \(group) heads, \(mask), \(type.rawValue)"
    }
  }

  static let cases: [Case] = {
    let lengths = [1, 63, 64, 65, 127, 1, 200]
    var cases: [Case] = []
    for mask in [Attention.Mask.full, .causal, .window(70)] {
      cases += [
        Case(queries: lengths, keys: lengths, size: 40, kvHeads: 1, group: 2, mask: mask, type: .bfloat16),
        Case(
          queries: [1, 5, 0, 64, 3], keys: [100, 5, 7, 64, 0], size: 64, kvHeads: 2, group: 1, mask: mask,
          type: .float16),
        Case(queries: [31, 97], keys: [50, 40], size: 24, kvHeads: 2, group: 3, mask: mask, type: .float32),
      ]
    }
    cases.append(
      Case(
        queries: [1000, 2], keys: [1000, 2], size: 16, kvHeads: 1, group: 1, mask: .causal, type: .bfloat16))
    return cases
  }()

  @Test(arguments: cases) func agreesWithEachSequenceAlone(_ c: Case) throws {
    let (heads, t, s) = (c.kvHeads * c.group, c.queries.reduce(0, +), c.keys.reduce(0, +))
    let q = try uniform(c.type, [heads, t, c.size], seed: 1)
    let (k, v) = (
      try uniform(c.type, [c.kvHeads, s, c.size], seed: 2),
      try uniform(c.type, [c.kvHeads, s, c.size], seed: 3)
    )
    var shape = Attention.Shape(kvHeads: c.kvHeads, group: c.group, headSize: c.size)
    (shape.rows, shape.keys, shape.type) = (48, 32, c.type)
    let scale = Double(Float(1 / Double(c.size).squareRoot()))
    let batch = try RaggedAttention.Batch(queries: c.queries, keys: c.keys)
    let starts = try [batch.queryStarts, batch.keyStarts].map { try integers($0.map(Int.init), [$0.count]) }
    let found = try runs(
      RaggedAttention.kernel(shape, mask: c.mask, scale: Float(scale)), [q, k, v] + starts,
      outputs: [(c.type, q.shape), (.float32, [heads, t])], integers: [batch.longest], reference: t < 300)
    let numbers = [q, k, v].map(values)
    for sequence in c.queries.indices where c.queries[sequence] > 0 {
      let definition = AttentionDefinition(
        m: c.queries[sequence], n: c.keys[sequence], size: c.size, kvHeads: c.kvHeads, group: c.group,
        mask: c.mask, type: c.type)
      func part(_ all: [Double], _ heads: Int, _ total: Int, _ start: Int32, _ count: Int, _ size: Int)
        -> [Double]
      {
        (0..<heads).flatMap { head in
          all[((head * total + Int(start)) * size)...].prefix(count * size)
        }
      }
      let (m, n) = (definition.m, definition.n)
      let (row, key) = (batch.queryStarts[sequence], batch.keyStarts[sequence])
      let exact = definition.forward(
        part(numbers[0], heads, t, row, m, c.size), part(numbers[1], c.kvHeads, s, key, n, c.size),
        part(numbers[2], c.kvHeads, s, key, n, c.size))
      // As for attention over equal lengths: rounded weights and results, float32 scores and sums.
      let float = (Double(c.size + 3) * Double(c.size) * scale * 2 + Double(n + 16) * 2) * 0x1p-24
      let u = c.type == .float32 ? 0 : 1.01 * roundoff(c.type)
      let bound = zip(exact.y, exact.magnitude).map {
        u * (abs($0) + $1) + float * $1 + Double(n + 1) * underflow(c.type)
      }
      for run in found {
        let y = part(run.outputs[0], heads, t, row, m, c.size)
        let lse = part(run.outputs[1], heads, t, row, m, 1)
        #expect(error(y, exact.y, inUnitsOf: bound) <= 1, "\(run.executor), sequence \(sequence)")
        #expect(
          error(lse, exact.lse, inUnitsOf: float + 0x1p-20) <= 1, "\(run.executor), sequence \(sequence)")
      }
    }
  }

  @Test func lengthsThatAreNoneAreRefused() throws {
    let different = #expect(throws: RaggedAttention.BatchError.self) {
      try RaggedAttention.Batch(queries: [1, 2], keys: [3])
    }
    #expect(
      different?.description == "2 sequences of queries and 1 of keys. Give each sequence both lengths.")
    let negative = #expect(throws: RaggedAttention.BatchError.self) {
      try RaggedAttention.Batch(lengths: [5, -3])
    }
    #expect(negative?.description == "sequence 1 has -3 positions. Lengths are 0 or more.")
    let long = #expect(throws: RaggedAttention.BatchError.self) {
      try RaggedAttention.Batch(lengths: [1, Int(Int32.max)])
    }
    #expect(long?.description == "sequence 1 ends beyond position 2147483647. Split the batch before it.")
    let batch = try RaggedAttention.Batch(lengths: [3, 0, 4])
    #expect(batch.queryStarts == [0, 3, 3, 7] && batch.longest == 4)
  }
}
