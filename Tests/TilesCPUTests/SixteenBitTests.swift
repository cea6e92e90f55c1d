import Memory
import TestSupport
import Testing
import Tiles

/// What the language does with 16-bit tiles, sums of tasks and transposed columns.
@Suite struct SixteenBitTests {
  static let types: [ElementType] = [.bfloat16, .float16]
  static let sizes = [(1, 1, 1), (2, 63, 65), (64, 64, 64), (65, 17, 127), (97, 131, 41)]

  /// Every way in which the sides can lie in memory: as they are, transposed, loaded with their axes swapped, or written
  /// by an elementwise chain.
  @Test(arguments: types, sizes)
  func productsAreExactProductsSummedInOrder(type: ElementType, size: (Int, Int, Int)) throws {
    let (m, n, inner) = size
    for variant in 0..<16 {
      let (transposesLeft, transposesRight) = (variant & 1 > 0, variant & 2 > 0)
      let (swaps, casts) = (variant & 4 > 0, variant & 8 > 0)
      let kernel = try Kernel("products") { k in
        let (m, n, inner) = (k.extent("M"), k.extent("N"), k.extent("K"))
        // With swapped axes the tensor holds the transpose of what the tile holds.
        let a = k.input("a", type, transposesLeft != swaps ? [inner, m] : [m, inner])
        let b = k.input("b", type, transposesRight != swaps ? [n, inner] : [inner, n])
        let c = k.output("c", .float32, [m, n])
        k.grid([1]) { _ in
          func load(_ tensor: TensorParameter) -> Tile {
            let tile = k.load(
              tensor, at: [0, 0], rows: 144, columns: 144, rowAxis: swaps ? 1 : 0, columnAxis: swaps ? 0 : 1)
            return casts ? k.cast(k.map(.multiply, tile, 0.5), to: type) : tile
          }
          let product = k.matmul(
            load(a), load(b), transposesLeft: transposesLeft, transposesRight: transposesRight)
          k.store(product, to: c, at: [0, 0])
        }
      }
      let a = try uniform(type, transposesLeft != swaps ? [inner, m] : [m, inner], seed: 1)
      let b = try uniform(type, transposesRight != swaps ? [n, inner] : [inner, n], seed: 2)
      let (x, y) = (values(a), values(b))
      let exact: [Float] = (0..<m * n).map { place in
        let (row, column) = (place / n, place % n)
        return (0..<inner).reduce(Float(0)) { sum, p in
          let left = x[transposesLeft != swaps ? p * m + row : row * inner + p]
          let right = y[transposesRight != swaps ? column * inner + p : p * n + column]
          return sum.addingProduct(Float(left) * (casts ? 0.5 : 1), Float(right) * (casts ? 0.5 : 1))
        }
      }
      let small = m * n * inner < 70_000
      for run in try runs(
        kernel, [a, b], outputs: [(.float32, [m, n])], reference: small && variant % 5 == 0, portable: small)
      {
        // Halves of 16-bit numbers are exact, and a chain of fused multiply-adds has one result.
        let bound = run.executor == "reference" ? Double(inner * inner) * 0x1p-24 : 0
        let found = run.outputs[0]
        #expect(
          zip(found, exact).allSatisfy { abs($0 - Double($1)) <= bound },
          "\(run.executor), variant \(variant)")
      }
    }
  }

  @Test(arguments: types) func castsRoundToNearestEvenAndOutputsDoToo(type: ElementType) throws {
    let kernel = try Kernel("casts") { k in
      let (m, n) = (k.extent("M"), k.extent("N"))
      let x = k.input("x", .float32, [m, n])
      let scales = k.input("s", type, [m])
      let (y, z, t) = (
        k.output("y", type, [m, n]), k.output("z", .float32, [m, n]), k.output("t", type, [n, m])
      )
      k.grid([m.ceilDiv(16)]) { task in
        let tile = k.load(x, at: [task[0] * 16, 0], rows: 16, columns: 80)
        let scale = k.load(scales, at: [task[0] * 16], rows: 16, columns: 1, rowAxis: 0)
        let product = k.map(.multiply, tile, scale)
        let rounded = k.cast(product, to: type)
        k.store(product, to: y, at: [task[0] * 16, 0])
        k.store(rounded, to: t, at: [0, task[0] * 16], rowAxis: 1, columnAxis: 0)
        // What a chain rounds, it goes on with rounded.
        k.store(k.map(.add, rounded, rounded), to: z, at: [task[0] * 16, 0])
      }
    }
    for (m, n) in [(1, 1), (17, 65), (33, 80), (16, 63)] {
      let x = try uniform([m, n], seed: 3)
      let s = try uniform(type, [m], seed: 4)
      let found = try runs(
        kernel, [x, s], outputs: [(type, [m, n]), (.float32, [m, n]), (type, [n, m])], portable: true)
      let (numbers, scales) = (values(x), values(s))
      let exact = (0..<m * n).map { round(Float(numbers[$0]) * Float(scales[$0 / n]), to: type) }
      for run in found {
        #expect(run.outputs[0] == exact, "\(run.executor)")
        #expect(run.outputs[1] == exact.map { 2 * $0 }, "\(run.executor)")
        #expect(run.outputs[2] == (0..<m * n).map { exact[$0 % m * n + $0 / m] }, "\(run.executor)")
      }
    }
  }

  private func round(_ value: Float, to type: ElementType) -> Double {
    type == .float16 ? Double(Float16(value)) : Double(Float(BFloat16(value)))
  }

  /// Many tasks add to the same elements; the numbers are small integers, so their order does not matter.
  @Test(arguments: [(1, 1), (65, 33), (130, 70)]) func tasksAddUp(rows: Int, columns: Int) throws {
    let kernel = try Kernel("sums") { k in
      let (tasks, m, n) = (k.extent("T"), k.extent("M"), k.extent("N"))
      let x = k.input("x", .float32, [tasks, m, n])
      let y = k.update("y", .float32, [m, n])
      let t = k.update("t", .float32, [n, m])
      k.grid([tasks, m.ceilDiv(48)]) { task in
        let tile = k.load(x, at: [task[0], task[1] * 48, 0], rows: 48, columns: 80)
        k.add(tile, to: y, at: [task[1] * 48, 0])
        k.add(k.map(.negate, tile), to: t, at: [0, task[1] * 48], rowAxis: 1, columnAxis: 0)
      }
    }
    let tasks = 96
    let count = rows * columns
    let x = try tensor([tasks, rows, columns]) { Float($0 * 7919 % 17 - 8) }
    let numbers = values(x)
    var sums = [Double](repeating: 0, count: count)
    for place in numbers.indices { sums[place % count] += numbers[place] }
    let transposed: [Double] = (0..<count).map { place in -sums[place % rows * columns + place / rows] }
    for (name, executor) in judged(reference: rows == 1) {
      let y = try tensor([rows, columns]) { _ in 3 }
      let t = try Tensor(zeros: .float32, [columns, rows])
      try executor.compile(kernel).run([x, y, t])
      #expect(values(y) == sums.map { $0 + 3 }, "\(name)")
      #expect(values(t) == transposed, "\(name)")
    }
  }

  /// Columns from memory, from reductions and with gaps become rows; the row keeps what the column held then.
  @Test(arguments: [1, 2, 63, 64, 65]) func columnsBecomeRows(count: Int) throws {
    let kernel = try Kernel("transposes") { k in
      let n = k.extent("N")
      let x = k.input("x", .float32, [n, 3])
      let y = k.output("y", .float32, [n, n])
      let total = k.output("total", .float32, [1])
      k.grid([1]) { _ in
        let column = k.load(x, at: [0, 1], rows: 80, columns: 1, rowAxis: 0)
        let sums = k.rowSum(k.load(x, at: [0, 0], rows: 80, columns: 3))
        let row = k.transposed(sums)
        k.assign(sums, k.map(.add, sums, 1.0))
        k.when(1, lessThan: n) { k.assign(sums, k.map(.multiply, sums, k.rowMax(k.transposed(column)))) }
        k.store(k.map(.subtract, sums, row), to: y, at: [0, 0])
        k.store(k.rowSum(row), to: total, at: [0], rowAxis: 0)
      }
    }
    // Multiples of 1/8, so that all is exact.
    let x = try tensor([count, 3]) { Float($0 * 31 % 37 - 18) / 8 }
    let numbers = values(x)
    var sums = [Double](repeating: 0, count: count)
    for place in numbers.indices { sums[place / 3] += numbers[place] }
    let top = count > 1 ? (0..<count).map { numbers[3 * $0 + 1] }.max() ?? 0 : 1
    let exact: [Double] = (0..<count * count).map { (sums[$0 / count] + 1) * top - sums[$0 % count] }
    for run in try runs(
      kernel, [x], outputs: [(.float32, [count, count]), (.float32, [1])], portable: true)
    {
      #expect(run.outputs[0] == exact, "\(run.executor)")
      #expect(run.outputs[1] == [sums.reduce(0, +)], "\(run.executor)")
    }
  }
}
