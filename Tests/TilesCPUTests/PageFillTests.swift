import Kernels
import Memory
import TestSupport
import Testing
import Tiles

/// Keys and values of prompts in pages.
@Suite struct PageFillTests {
  /// Full pages turned on a diagonal, and the last by itself, hold the numbers that all of them hold when copied.
  @Test(arguments: [1, 63, 64, 65, 191, 192], [(64, ElementType.bfloat16), (128, .float16)])
  func pagesHoldWhatWasGiven(length: Int, form: (size: Int, source: ElementType)) throws {
    let (batch, heads, size, pages, each, first) = (3, 2, form.size, 13, 4, 1)
    let fill = PageFill(
      Rotary.Shape(kvHeads: heads, group: 1, headSize: size, rotarySize: 0), source: form.source,
      cache: .float16)
    #expect(fill.canTurn)
    // As a projection leaves them: queries, keys and values of a position beside each other.
    let joint = try uniform(form.source, [batch, length, 3, heads, size], seed: 1)
    let parts = (1...2).map { part in
      Tensor(
        unchecked: joint.storage, byteOffset: joint.byteOffset + 2 * part * heads * size, type: joint.type,
        shape: [batch, heads, length, size],
        strides: [3 * length * heads * size, size, 3 * heads * size, 1])
    }
    for (name, executor) in judged(reference: true) {
      let found = try [heads * size, heads * size].map { try poisoned(.float16, [pages, $0 * 64]) }
      let (keys, values) = (
        found[0].reshaped([pages, heads, size, 64]), found[1].reshaped([pages, heads, 64, size])
      )
      let integers = [first, each]
      if length >= 64 {
        try executor.compile(fill.turning()).run([fill.ones()] + parts + [keys, values], integers: integers)
      }
      try executor.compile(fill.kernel(.last)).run(parts + [keys, values], integers: integers)
      let given = TestSupport.values(joint)
      let (k, v) = (TestSupport.values(keys), TestSupport.values(values))
      var wrong = 0
      for sequence in 0..<batch {
        for head in 0..<heads {
          for position in 0..<length {
            for number in 0..<size {
              let page = (first + sequence * each + position / 64) * heads + head
              func at(_ part: Int) -> Double {
                given[(((sequence * length + position) * 3 + part) * heads + head) * size + number]
              }
              let place = position % 64
              if Float16(at(1)) != Float16(k[(page * size + number) * 64 + place]) { wrong += 1 }
              if Float16(at(2)) != Float16(v[(page * 64 + place) * size + number]) { wrong += 1 }
            }
          }
        }
      }
      #expect(wrong == 0, "\(name)")
      // Places behind the end, and pages of nobody, are as they were.
      #expect(k[..<(heads * size * 64)].allSatisfy(\.isNaN) && v[..<(heads * size * 64)].allSatisfy(\.isNaN))
      #expect(k.count(where: \.isNaN) == k.count - batch * heads * length * size, "\(name)")
      #expect(v.count(where: \.isNaN) == v.count - batch * heads * length * size, "\(name)")
    }
  }
}
