import CMicrokernels
import Glibc
import TestSupport
import Testing

/// Every table that this processor runs, by index, best first.
let tables: [Int32] = Array((Int32(0)..<8).prefix { gw_microkernels_at($0) != nil })

/// The table at an index of ``tables``.
func table(_ index: Int32) -> gw_microkernels { gw_microkernels_at(index)!.pointee }

/// Memory that ends at a page no one may touch: a read or write behind the last element kills the test.
final class Fenced<Element: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Element>
  let count: Int
  private let region: UnsafeMutableRawPointer
  private let length: Int

  /// `count` elements, each `value`, 4-aligned at least; `aligned` moves the start down to a 64-byte boundary.
  init(_ count: Int, _ value: Element, aligned: Bool = false) {
    let page = 4096
    let bytes = count * MemoryLayout<Element>.stride
    let usable = (bytes + page - 1) / page * page
    length = usable + page
    region = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    precondition(
      region != UnsafeMutableRawPointer(bitPattern: -1) && mprotect(region + usable, page, PROT_NONE) == 0)
    let start = aligned ? (usable - bytes) / 64 * 64 : usable - bytes
    base = (region + start).bindMemory(to: Element.self, capacity: count)
    self.count = count
    base.initialize(repeating: value, count: count)
  }

  convenience init(_ elements: [Element]) {
    self.init(elements.count, elements[0])
    for (index, element) in elements.enumerated() { base[index] = element }
  }

  deinit { munmap(region, length) }

  /// A copy of the elements.
  var array: [Element] { Array(UnsafeBufferPointer(start: base, count: count)) }
}

/// Numbers in −1…1.
func numbers(_ count: Int, seed: UInt64) -> [Float] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
}

/// The bits of numbers: NaNs and signed zeros compare as what they are.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// A block format: its number, numbers and bytes of a block, and where float16 scales lie.
struct BlockFormat: Sendable, CustomTestStringConvertible {
  var type: gw_type
  var name: String
  var elements: Int
  var bytes: Int
  var halves: [Int]

  var testDescription: String { name }

  static let all: [BlockFormat] = [
    BlockFormat(type: GW_Q4_0, name: "Q4_0", elements: 32, bytes: 18, halves: [0]),
    BlockFormat(type: GW_Q4_1, name: "Q4_1", elements: 32, bytes: 20, halves: [0, 2]),
    BlockFormat(type: GW_Q5_0, name: "Q5_0", elements: 32, bytes: 22, halves: [0]),
    BlockFormat(type: GW_Q5_1, name: "Q5_1", elements: 32, bytes: 24, halves: [0, 2]),
    BlockFormat(type: GW_Q8_0, name: "Q8_0", elements: 32, bytes: 34, halves: [0]),
    BlockFormat(type: GW_Q4_K, name: "Q4_K", elements: 256, bytes: 144, halves: [0, 2]),
    BlockFormat(type: GW_Q5_K, name: "Q5_K", elements: 256, bytes: 176, halves: [0, 2]),
    BlockFormat(type: GW_Q6_K, name: "Q6_K", elements: 256, bytes: 210, halves: [208]),
  ]

  /// Random blocks with scales 2⁻⁷ … 2⁻⁵ of either sign; every byte value occurs among the numbers.
  func random(blocks: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    var result = (0..<blocks * bytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
    for block in 0..<blocks {
      for at in halves {
        let half = UInt16.random(in: 0x2000...0x2800, using: &generator) | (block % 3 == 1 ? 0x8000 : 0)
        result[block * bytes + at] = UInt8(half & 255)
        result[block * bytes + at + 1] = UInt8(half >> 8)
      }
    }
    return result
  }
}
