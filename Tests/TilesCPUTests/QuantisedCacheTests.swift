import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// Keys and values on their way into pages of int8.
@Suite struct QuantisedCacheTests {
  /// Without rotation a page holds what was given, to half a step of the largest number of the position's head.
  @Test(arguments: [1, 5, 64]) func halfAStepAtMost(count: Int) throws {
    let (kv, size, slot) = (2, 24, 64 - count)
    let shape = Rotary.Shape(kvHeads: kv, group: 3, headSize: size, rotarySize: 0)
    let kernel = try Rotary.kernel(shape, cache: .int8, scale: 0.5)
    // One head is zero, and one has a number that dwarfs the others.
    let key = try tensor([count, kv, size]) { index in
      let head = index / size % kv
      return head == 0 ? (index % size == 3 ? 900 : Float(index % 17) - 8) : 0
    }
    let value = try uniform([count, kv, size], seed: 4)
    let q = try uniform([count, kv * 3, size], seed: 5)
    let empty = try Tensor(zeros: .float32, [count, 0])
    for executor in executors {
      let pages = try Tensor(zeros: .int8, [2, kv, size, 64])
      let valuePages = try Tensor(zeros: .int8, [2, kv, 64, size])
      let (keyScales, valueScales) = (
        try tensor([2, kv, 64]) { _ in -1 }, try tensor([2, kv, 64]) { _ in -1 }
      )
      let queries = try poisoned([kv, count, 3, size])
      try executor.compile(kernel).run([
        integers([0, count, 1, slot], [1, 4]), empty, empty,
        try Tensor(zeros: .float32, [count, kv * 3, 2, 0]),
        try Tensor(zeros: .float32, [count, kv, 2, 0]), q, key, value, queries, pages, valuePages, keyScales,
        valueScales,
      ])
      let (k, v, ks, vs) = (bytes(pages), bytes(valuePages), values(keyScales), values(valueScales))
      let (keys, given) = (values(key), values(value))
      for row in 0..<count {
        for head in 0..<kv {
          let place = (kv + head) * 64 + slot + row
          for d in 0..<size {
            let source = (row * kv + head) * size + d
            let key = Double(k[((kv + head) * size + d) * 64 + slot + row]) * ks[place]
            let value = Double(v[((kv + head) * 64 + slot + row) * size + d]) * vs[place]
            #expect(abs(key - keys[source]) <= 0.501 * ks[place])
            #expect(abs(value - given[source]) <= 0.501 * vs[place])
          }
          #expect(head == 0 ? abs(ks[place] - 900.0 / 127) < 1e-4 : ks[place] == 0)
        }
      }
      #expect(ks.filter { $0 == -1 }.count == 2 * kv * 64 - count * kv, "scales of other positions")
      #expect(zip(values(queries), scaled(q, kv, count, size)).allSatisfy { $0 == $1 })
    }
  }

  /// Queries by key-value head, halved.
  private func scaled(_ q: Tensor, _ kv: Int, _ count: Int, _ size: Int) -> [Double] {
    let numbers = values(q)
    return (0..<kv * count * 3 * size).map { index in
      let (head, row) = (index / (count * 3 * size), index / (3 * size) % count)
      return numbers[(row * kv + head) * 3 * size + index % (3 * size)] * 0.5
    }
  }

  private func bytes(_ tensor: Tensor) -> [Int8] {
    tensor.withElements(as: Int8.self) { span in span.indices.map { span[$0] } }
  }
}
