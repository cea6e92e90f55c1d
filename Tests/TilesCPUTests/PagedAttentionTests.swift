import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

#if canImport(Glibc)
  import Glibc
#endif

/// Attention over pages and the merge of its states, against the definition in float64.
@Suite struct PagedAttentionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var cache = ElementType.float32
    var size = 40
    var group = 3
    var window: Int?
    var softcap: Float?
    var testDescription: String {
      "\(cache), D \(size), group \(group), window \(window ?? 0), softcap \(softcap ?? 0)"
    }
  }

  static let cases = [
    Case(), Case(size: 1, group: 1), Case(size: 64, group: 4), Case(cache: .float16), Case(cache: .int8),
    Case(window: 1), Case(window: 70), Case(cache: .int8, window: 130), Case(softcap: 2),
    Case(window: 65, softcap: 5),
  ]

  /// Two sequences share pages 0 to 8, which cross a chunk, and go on alone; a third is on its own. Of the first two
  /// the last 5 and the last single token are computed, of the third all 63.
  struct Layout {
    static let kvHeads = 2
    static let lengths = [9 * 64 + 70, 9 * 64 + 1, 63]
    static let rows = [5, 1, 63]
    /// Shuffled, and more than are used.
    static let pages: [[Int]] = [
      [7, 3, 12, 0, 9, 1, 14, 5, 10, 2, 11], [7, 3, 12, 0, 9, 1, 14, 5, 10, 13], [8],
    ]
    static let pageCount = 15
    /// Position of every row.
    static let positions = zip(lengths, rows).flatMap { length, rows in (length - rows..<length).map { $0 } }

    /// Work items by phase: (first row, rows, sequence of the pages, pages, continues).
    typealias Item = (row: Int, count: Int, sequence: Int, pages: Range<Int>, continues: Bool)
    static let shared: [[Item]] = [
      [
        (0, 6, 0, 0..<8, false), (0, 6, 0, 8..<9, false), (6, 32, 2, 0..<1, false), (38, 31, 2, 0..<1, false),
      ],
      [(0, 5, 0, 9..<11, true), (5, 1, 1, 9..<10, true)],
    ]
    static let alone: [[Item]] = [
      [
        (0, 5, 0, 0..<8, false), (5, 1, 1, 0..<8, false), (0, 5, 0, 8..<11, false), (5, 1, 1, 8..<10, false),
        (6, 63, 2, 0..<1, false),
      ]
    ]
  }

  @Test(arguments: cases) func agreesWithTheDefinition(_ c: Case) throws {
    let state = try State(c)
    let exact = state.definition()
    // As for the kernel over plain tensors; what a narrow cache rounds is rounded in the definition too.
    let unit = 0x1p-24
    let largest = c.cache == .int8 ? 1.5 : 1
    let bound =
      largest * (2 * largest * Double(c.size + 3) * Double(c.size).squareRoot() * unit + 700 * 2 * unit)
    for executor in executors {
      let shared = try state.run(Layout.shared, on: executor)
      #expect(error(shared.y, exact.y, inUnitsOf: bound) <= 1)
      #expect(error(shared.lse, exact.lse, inUnitsOf: bound + 32 * unit) <= 1)
      let alone = try state.run(Layout.alone, on: executor)
      #expect(alone.y.map(\.bitPattern) == shared.y.map(\.bitPattern), "visiting together changed a bit")
      #expect(alone.lse.map(\.bitPattern) == shared.lse.map(\.bitPattern))
    }
  }

  /// Inputs of one case, and both ways to the result.
  struct State {
    let c: Case
    let shape: Rotary.Shape
    let q: Tensor
    let pages: [Tensor]
    let scale: Double

    init(_ c: Case) throws {
      self.c = c
      shape = Rotary.Shape(kvHeads: Layout.kvHeads, group: c.group, headSize: c.size, rotarySize: 0)
      scale = 1 / Double(c.size).squareRoot()
      let factor = Float(scale) * OnlineSoftmax.log2e
      let random = try uniform([Layout.kvHeads, Layout.positions.count * c.group, c.size], seed: 1)
      let numbers = values(random)
      q = try tensor(random.shape) { Float(numbers[$0]) * factor }
      let heads = [Layout.pageCount, Layout.kvHeads]
      pages =
        try Self.pages(c, heads + [c.size, 64], seed: 2) + Self.pages(c, heads + [64, c.size], seed: 3)
    }

    /// Pages of one kind, and for int8 their scales.
    private static func pages(_ c: Case, _ shape: [Int], seed: UInt64) throws -> [Tensor] {
      let numbers = values(try uniform(shape, seed: seed))
      let pages = try Tensor(zeros: c.cache, shape)
      switch c.cache {
      case .float16:
        pages.withMutableElements(as: UInt16.self) { span in
          // Eight bits below the point: exact in float16.
          for index in span.indices {
            span[index] = Float16((numbers[index] * 256).rounded() / 256).bitPattern
          }
        }
        return [pages]
      case .int8:
        pages.withMutableElements(as: Int8.self) { span in
          for index in span.indices { span[index] = Int8(numbers[index] * 127) }
        }
        let scales = values(try uniform(Array(shape[..<2]) + [64], seed: seed + 7))
        return [pages, try tensor(Array(shape[..<2]) + [64]) { Float(1 + scales[$0] / 2) / 127 }]
      default: return [try tensor(shape) { Float(numbers[$0]) }]
      }
    }

    /// Keys, values and scales in the order the kernel takes them.
    private var cache: [Tensor] {
      c.cache == .int8 ? [pages[0], pages[2], pages[1], pages[3]] : pages
    }

    func run(_ phases: [[Layout.Item]], on executor: CPUExecutor) throws -> (y: [Double], lse: [Double]) {
      let (kv, rows, chunks) = (Layout.kvHeads, Layout.positions.count, 2)
      let list = Layout.pages.flatMap { $0 }
      let starts = Layout.pages.indices.map { Layout.pages[..<$0].reduce(0) { $0 + $1.count } }
      let fields = phases.flatMap { $0 }.flatMap { item in
        let oldest = Layout.positions[item.row..<item.row + item.count].min() ?? 0
        let whole = max(0, min(item.pages.upperBound, (oldest + 1) / 64) - item.pages.lowerBound)
        return [
          item.row, item.count, starts[item.sequence] + item.pages.lowerBound, item.pages.count,
          item.pages.lowerBound * 64, item.pages.lowerBound / 8, item.continues ? 1 : 0, whole,
        ]
      }
      let items = try integers(fields, [fields.count / 8, 8])
      let places = try integers(
        Layout.positions.flatMap { Array(repeating: $0, count: c.group) }, [rows * c.group])
      let states = try [[kv, chunks, rows * c.group], [kv, chunks, rows * c.group]].map(poisoned)
      let sums = try poisoned([kv, chunks, rows * c.group, c.size])
      let attend = try executor.compile(
        try PagedAttention.kernel(
          shape, cache: c.cache, rowCapacity: 63 * c.group, window: c.window, softcap: c.softcap))
      var first = 0
      for phase in phases {
        try attend.run(
          [items, try integers(list, [list.count]), places, q] + cache + states + [sums],
          integers: [first, phase.count])
        first += phase.count
      }
      let y = try poisoned([rows, kv * c.group * c.size])
      let lse = try poisoned([rows, kv, c.group])
      let blocks = stride(from: 0, to: rows, by: 16).map { first in
        (Layout.positions[first..<min(first + 16, rows)].max() ?? 0) / 512 + 1
      }
      try executor.compile(try PagedAttention.merge(shape, output: .float32)).run([
        places.reshaped([rows, c.group]), try integers(blocks, [blocks.count]),
        states[0].reshaped([kv, chunks, rows, c.group]), states[1].reshaped([kv, chunks, rows, c.group]),
        sums.reshaped([kv, chunks, rows, c.group, c.size]), y, lse,
      ])
      return (values(y), values(lse))
    }

    func definition() -> (y: [Double], lse: [Double]) {
      let queries = values(q).map { $0 / Double(OnlineSoftmax.log2e) }
      let (k, v) = (stored(0), stored(c.cache == .int8 ? 2 : 1))
      let scales = c.cache == .int8 ? (values(pages[1]), values(pages[3])) : nil
      let owners = Layout.rows.indices.flatMap { Array(repeating: $0, count: Layout.rows[$0]) }
      let rows = Layout.positions.count
      var (y, lse): ([Double], [Double]) = ([], [])
      for row in 0..<rows {
        for head in 0..<Layout.kvHeads {
          for member in 0..<c.group {
            let query = ((head * rows + row) * c.group + member) * c.size
            let last = Layout.positions[row]
            let seen = max(0, last + 1 - (c.window ?? last + 1))...last
            let places = seen.map { position -> (page: Int, slot: Int) in
              (Layout.pages[owners[row]][position / 64] * Layout.kvHeads + head, position % 64)
            }
            let scores = places.map { page, slot -> Double in
              let dot = (0..<c.size).reduce(0.0) {
                $0 + queries[query + $1] * k[(page * c.size + $1) * 64 + slot]
              }
              let score = dot * (scales?.0[page * 64 + slot] ?? 1)
              return c.softcap.map { Double($0) * tanh(score / Double($0)) } ?? score
            }
            let top = scores.max() ?? 0
            let weights = scores.map { exp($0 - top) }
            let total = weights.reduce(0, +)
            for d in 0..<c.size {
              let sum = zip(places, weights).reduce(0.0) { sum, entry in
                let ((page, slot), weight) = entry
                return sum + weight * v[(page * 64 + slot) * c.size + d] * (scales?.1[page * 64 + slot] ?? 1)
              }
              y.append(sum / total)
            }
            lse.append(top + log(total))
          }
        }
      }
      return (y, lse)
    }

    /// Numbers of a tensor of pages as they are stored.
    private func stored(_ number: Int) -> [Double] {
      switch c.cache {
      case .float16:
        pages[number].withElements(as: UInt16.self) { span in
          span.indices.map { Double(Float16(bitPattern: span[$0])) }
        }
      case .int8: pages[number].withElements(as: Int8.self) { span in span.indices.map { Double(span[$0]) } }
      default: values(pages[number])
      }
    }
  }
}
