import Memory
import TestSupport
import Testing
import Tiles

/// Loads that reach over a tensor's ends along one axis, and read zeros there.
@Suite struct PaddedLoadTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var isAlongRows: Bool
    var swaps = false
    var type = ElementType.float32
    var widens = false
    var testDescription: String {
      "along rows \(isAlongRows), axes swapped \(swaps), \(type.rawValue), widened \(widens)"
    }
  }

  static let cases = [false, true].flatMap { rows in
    [
      Case(isAlongRows: rows), Case(isAlongRows: rows, swaps: true), Case(isAlongRows: rows, type: .bfloat16),
      Case(isAlongRows: rows, type: .float16, widens: true),
    ]
  }

  /// A window of 5 by 7 at every place around a tensor of 6 by 9, some without any of it.
  @Test(arguments: cases) func zerosLieBesideTheTensor(_ c: Case) throws {
    let (rows, columns, height, width) = (6, 9, 5, 7)
    let x = try uniform(c.type, c.swaps ? [columns, rows] : [rows, columns], seed: 1)
    let kernel = try Kernel("windows") { k in
      let (down, across) = (k.argument("down"), k.argument("across"))
      let x = k.input("x", c.type, c.swaps ? [9, 6] : [6, 9])
      let y = k.output("y", .float32, [5, 7])
      k.grid([1]) { _ in
        let (r, n) = c.swaps ? (1, 0) : (0, 1)
        let tile = k.load(
          x, at: c.swaps ? [across, down] : [down, across], rows: height, columns: width, rowAxis: r,
          columnAxis: n, validRows: c.isAlongRows ? nil : 5, validColumns: c.isAlongRows ? 7 : nil,
          as: c.widens ? .float32 : nil, paddedAxis: c.isAlongRows ? r : n)
        k.store(k.map(.multiply, tile, 2.0), to: y, at: [0, 0])
      }
    }
    let numbers = values(x)
    for offset in [-9, -7, -6, -1, 0, 1, 3, 5, 9, 12] {
      let (down, across) = c.isAlongRows ? (offset, 1) : (1, offset)
      let exact = (0..<height * width).map { place -> Double in
        let (row, column) = (down + place / width, across + place % width)
        guard (0..<rows).contains(row), (0..<columns).contains(column) else { return 0 }
        return 2 * numbers[c.swaps ? column * rows + row : row * columns + column]
      }
      for run in try runs(
        kernel, [x], outputs: [(.float32, [height, width])], integers: [down, across], portable: true)
      { #expect(run.outputs[0] == exact, "\(run.executor), \(offset)") }
    }
  }

  @Test func aSideMustRunAlongTheAxis() {
    do {
      _ = try Kernel("wrong") { k in
        let x = k.input("x", .float32, [3, 4, 5])
        k.grid([1]) { _ in _ = k.load(x, at: [0, 0, 0], rows: 2, columns: 2, paddedAxis: 0) }
      }
      Issue.record("it was recorded")
    } catch { #expect("\(error)".contains("axis 0 is padded, and neither rows nor columns run along it")) }
  }
}
