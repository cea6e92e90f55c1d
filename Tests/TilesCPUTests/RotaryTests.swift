import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@Suite struct RotaryTests {
  static let rows = 70
  /// Rows 0 ..< 40 go to page 1 from slot 24 on, the others to page 0 from slot 3 on.
  static func place(_ row: Int) -> (page: Int, slot: Int) { row < 40 ? (1, 24 + row) : (0, row - 40 + 3) }

  /// A head's leading `rotary` numbers as pairs, neighbours or halves apart.
  func pairs(_ x: Tensor, heads: Int, size: Int, rotary: Int, interleaved: Bool) -> Tensor {
    interleaved
      ? x.reshaped([Self.rows, heads, size / 2, 2]).sliced(axis: 2, 0..<rotary / 2).permuted([0, 1, 3, 2])
      : x.reshaped([Self.rows, heads, 2 * size / rotary, rotary / 2]).sliced(axis: 2, 0..<2)
  }

  /// The definition: each pair turned by its angle, results in halves, the rest as it was.
  func rotated(_ head: ArraySlice<Double>, _ c: [Double], _ s: [Double], interleaved: Bool) -> [Double] {
    let (x, width) = (Array(head), c.count)
    var result = x
    for pair in 0..<width {
      let (a, b) = interleaved ? (x[2 * pair], x[2 * pair + 1]) : (x[pair], x[pair + width])
      result[pair] = a * c[pair] - b * s[pair]
      result[pair + width] = b * c[pair] + a * s[pair]
    }
    return result
  }

  @Test(arguments: [16, 8], [false, true]) func agreesWithTheDefinition(rotary: Int, interleaved: Bool) throws
  {
    let (m, kv, group, size, width) = (Self.rows, 2, 3, 16, rotary / 2)
    let shape = Rotary.Shape(kvHeads: kv, group: group, headSize: size, rotarySize: rotary)
    let kernel = try Rotary.kernel(shape, scale: 1)
    let (q, k) = (try uniform([m, kv * group, size], seed: 1), try uniform([m, kv, size], seed: 2))
    let v = try uniform([m, kv, size], seed: 3)
    let (cos, sin) = (try uniform([m, width], seed: 4), try uniform([m, width], seed: 5))
    let runs = try integers([0, 40, 1, 24, 40, 30, 0, 3], [2, 4])
    var wanted = (
      q: [Double](repeating: .nan, count: kv * m * group * size),
      k: [Double](repeating: .nan, count: 2 * kv * size * 64),
      v: [Double](repeating: .nan, count: 2 * kv * size * 64)
    )
    for row in 0..<m {
      let c = Array(values(cos)[row * width..<(row + 1) * width])
      let s = Array(values(sin)[row * width..<(row + 1) * width])
      let (page, slot) = Self.place(row)
      for head in 0..<kv * group {
        let from = (row * kv * group + head) * size
        let turned = rotated(values(q)[from..<from + size], c, s, interleaved: interleaved)
        let to = ((head / group * m + row) * group + head % group) * size
        wanted.q.replaceSubrange(to..<to + size, with: turned)
      }
      for head in 0..<kv {
        let from = (row * kv + head) * size
        let turned = rotated(values(k)[from..<from + size], c, s, interleaved: interleaved)
        for d in 0..<size {
          wanted.k[((page * kv + head) * size + d) * 64 + slot] = turned[d]
          wanted.v[((page * kv + head) * 64 + slot) * size + d] = values(v)[from + d]
        }
      }
    }
    for executor in executors as [any Executor] + [ReferenceExecutor<Double>(), ReferenceExecutor<Float>()] {
      let found = [
        try poisoned([kv, m, group, size]), try poisoned([2, kv, size, 64]), try poisoned([2, kv, 64, size]),
      ]
      let views = [(q, kv * group), (k, kv)].map {
        pairs($0.0, heads: $0.1, size: size, rotary: rotary, interleaved: interleaved)
      }
      try executor.compile(kernel).run([runs, cos, sin] + views + [q, k, v] + found)
      // Two products and their sum, each at most 2 and rounded once.
      let bound = 4 * 0x1p-24
      for (tensor, exact) in zip(found, [wanted.q, wanted.k, wanted.v]) {
        // Slots outside the runs stay as they were.
        #expect(values(tensor).map(\.isNaN) == exact.map(\.isNaN))
        let kept = exact.indices.filter { !exact[$0].isNaN }
        let all = values(tensor)
        #expect(error(kept.map { all[$0] }, kept.map { exact[$0] }, inUnitsOf: bound) <= 1)
      }
    }
  }
}
