import CMicrokernels
import Glibc
import TestSupport
import Testing

/// One operation of a program.
private func op(
  _ code: gw_map_opcode, _ target: UInt16 = 0, _ a: UInt16 = 0, _ b: UInt16 = 0, _ c: UInt16 = 0,
  operand: UInt16 = 0, imm: Float = 0
) -> gw_map_op {
  gw_map_op(op: UInt16(code.rawValue), dst: target, a: a, b: b, c: c, operand: operand, imm: imm)
}

/// A dense operand of `columns` a row.
private func dense(_ base: UnsafeMutableRawPointer, columns: Int, type: gw_type = GW_F32) -> gw_operand {
  gw_operand(base: base, row_stride: columns, column_stride: 1, type: Int32(type.rawValue))
}

/// Results of a function of one number, on fenced memory.
private func apply(_ code: gw_map_opcode, _ x: [Float], on index: Int32) -> [Float] {
  let (input, output) = (Fenced(x), Fenced<Float>(x.count, .nan))
  withExtendedLifetime((input, output)) {
    let operands = [dense(input.base, columns: x.count), dense(output.base, columns: x.count)]
    let ops = [op(GW_LOAD), op(code, 1, 0), op(GW_STORE, 0, 1, operand: 1)]
    table(index).map(ops, ops.count, operands, 1, x.count)
  }
  return output.array
}

@Suite struct MapFunctionTests {
  struct Function: Sendable, CustomTestStringConvertible {
    let code: gw_map_opcode
    let name: String
    let range: ClosedRange<Float>
    /// Units in the last place that the result may be off.
    let ulps: Double
    let exact: @Sendable (Double) -> Double
    var testDescription: String { name }
  }

  static let functions: [Function] = [
    Function(code: GW_NEG, name: "neg", range: -9...9, ulps: 0) { -$0 },
    Function(code: GW_ABS, name: "abs", range: -9...9, ulps: 0) { abs($0) },
    Function(code: GW_SQRT, name: "sqrt", range: 0...1e30, ulps: 0.5) { $0.squareRoot() },
    Function(code: GW_RSQRT, name: "rsqrt", range: 1e-30...1e30, ulps: 1.5) { 1 / $0.squareRoot() },
    Function(code: GW_RECIP, name: "recip", range: 1e-30...1e30, ulps: 0.5) { 1 / $0 },
    Function(code: GW_EXP, name: "exp", range: -86...88, ulps: 2) { exp($0) },
    Function(code: GW_EXP2, name: "exp2", range: -125...127, ulps: 2) { exp2($0) },
    // The denominator carries the error of the exponential and one rounding.
    Function(code: GW_SIGMOID, name: "sigmoid", range: -80...80, ulps: 3) { 1 / (1 + exp(-$0)) },
    Function(code: GW_LOG, name: "log", range: 1e-30...1e30, ulps: 1) { log($0) },
    Function(code: GW_TANH, name: "tanh", range: -12...12, ulps: 2.5) { tanh($0) },
    Function(code: GW_ERF, name: "erf", range: -5...5, ulps: 2) { erf($0) },
    // Within half a quarter turn; further out they are judged by `sinesOfLargeAngles`.
    Function(code: GW_SIN, name: "sin", range: -0.8...0.8, ulps: 1) { sin($0) },
    Function(code: GW_COS, name: "cos", range: -0.8...0.8, ulps: 1) { cos($0) },
  ]

  @Test(arguments: tables, functions) func withinItsUnits(index: Int32, function: Function) {
    var generator = SeededGenerator(seed: 7)
    let steps = 20_000
    let width = function.range.upperBound - function.range.lowerBound
    let x = (0...steps).map { step in
      step % 2 == 0
        ? function.range.lowerBound + width * Float(step) / Float(steps)
        : Float.random(in: function.range, using: &generator)
    }
    let found = apply(function.code, x, on: index)
    var worst = 0.0
    for (x, y) in zip(x, found) {
      let exact = function.exact(Double(x))
      let unit = Double(max(Float(exact).ulp, Float.leastNormalMagnitude.ulp))
      worst = max(worst, abs(Double(y) - exact) / unit)
    }
    #expect(worst <= function.ulps, "\(worst) units")
    #expect(bits(found) == bits(apply(function.code, x, on: tables.last!)), "tables differ")
  }

  @Test(arguments: tables) func sinesOfLargeAngles(index: Int32) {
    var generator = SeededGenerator(seed: 11)
    for limit: Float in [10, 1e3, 1e5, 1e6] {
      let x = (0..<5_000).map { _ in Float.random(in: -limit...limit, using: &generator) }
      for (code, exact) in [(GW_SIN, sin as (Double) -> Double), (GW_COS, cos)] {
        let found = apply(code, x, on: index)
        let worst = zip(x, found).map { abs(Double($1) - exact(Double($0))) }.max() ?? .infinity
        #expect(worst <= 0x1p-24, "\(worst) within \(limit)")
      }
    }
    for code in [GW_SIN, GW_COS] {
      let found = apply(code, [.infinity, -.infinity, .nan, 1e7, -1e30], on: index)
      #expect(found.filter(\.isNaN).count == 5)
    }
  }

  /// A program of two operands, every octant and both axes.
  @Test(arguments: tables) func anglesOfPoints(index: Int32) {
    var generator = SeededGenerator(seed: 3)
    let sides: [Float] = [0, 1, -1, 1e-30, -1e30, 3, -2]
    let special = sides.flatMap { y in sides.map { (y, $0) } }
    let points =
      special
      + (0..<4_000).map { _ in
        (Float.random(in: -2...2, using: &generator), Float.random(in: -2...2, using: &generator))
      }
    let (y, x) = (Fenced(points.map(\.0)), Fenced(points.map(\.1)))
    let out = Fenced<Float>(points.count, .nan)
    let operands = [y, x, out].map { dense($0.base, columns: points.count) }
    let ops = [
      op(GW_LOAD), op(GW_LOAD, 1, operand: 1), op(GW_ATAN2, 2, 0, 1), op(GW_STORE, 0, 2, operand: 2),
    ]
    table(index).map(ops, ops.count, operands, 1, points.count)
    let found = out.array
    withExtendedLifetime((x, y)) {}
    var worst = 0.0
    for (value, point) in zip(found, points) {
      let exact = atan2(Double(point.0), Double(point.1))
      let unit = Double(max(abs(Float(exact)).ulp, Float.leastNormalMagnitude.ulp))
      worst = max(worst, abs(Double(value) - exact) / unit)
    }
    #expect(worst <= 3, "\(worst) units")
  }

  @Test(arguments: tables) func endsOfSigmoids(index: Int32) {
    for code in [GW_TANH, GW_ERF] {
      let found = apply(code, [-.infinity, -1e30, -0.0, 0, 1e30, .infinity, .nan], on: index)
      #expect(found[0] == -1 && found[1] == -1 && found[4] == 1 && found[5] == 1 && found[6].isNaN)
      #expect(found[2].sign == .minus && found[3] == 0)
    }
  }

  @Test(arguments: tables) func endsOfExponentials(index: Int32) {
    let x: [Float] = [-.infinity, -1e30, -200, -127, -126, 0, -0.0, 127.5, 128, 200, 1e30, .infinity, .nan]
    let powers = apply(GW_EXP2, x, on: index)
    #expect(powers[0..<4].allSatisfy { $0 == 0 } && powers[4] <= Float.leastNormalMagnitude)
    #expect(powers[5] == 1 && powers[6] == 1 && powers[7].isFinite)
    #expect(powers[8..<12].allSatisfy { $0 == .infinity } && powers[12].isNaN)
    let exponentials = apply(GW_EXP, x, on: index)
    #expect(exponentials[0..<5].allSatisfy { $0 == 0 } && exponentials[5] == 1 && exponentials[6] == 1)
    #expect(exponentials[7..<12].allSatisfy { $0 == .infinity } && exponentials[12].isNaN)
    #expect(apply(GW_EXP, [88.7], on: index)[0].isFinite)
    let sigmoids = apply(GW_SIGMOID, x, on: index)
    #expect(sigmoids[0] == 0 && sigmoids[5] == 0.5 && sigmoids[11] == 1 && sigmoids[12].isNaN)
  }
}

@Suite struct MapProgramTests {
  /// Binary and ternary operations against Swift's, on specials too, at every length to 67.
  @Test(arguments: tables) func arithmeticIsThatOfTheLanguage(index: Int32) {
    let special: [Float] = [0, -0.0, 1, -1, .infinity, -.infinity, .nan, 1e-40, 3e38, -2.5]
    let cases: [(gw_map_opcode, @Sendable (Float, Float, Float) -> Float)] = [
      (GW_ADD, { x, y, _ in x + y }), (GW_SUB, { x, y, _ in x - y }), (GW_MUL, { x, y, _ in x * y }),
      (GW_DIV, { x, y, _ in x / y }), (GW_FMA, { x, y, z in z.addingProduct(x, y) }),
      (GW_MIN, { x, y, _ in x.isNaN || y.isNaN ? .nan : x < y ? x : y }),
      (GW_MAX, { x, y, _ in x.isNaN || y.isNaN ? .nan : x > y ? x : y }),
    ]
    for count in 1...67 {
      let a = (0..<count).map { special[$0 % 10] }
      let b = (0..<count).map { special[($0 / 10 + $0) % 10] }
      let c = (0..<count).map { special[($0 * 7 + 3) % 10] }
      let (x, y, z) = (Fenced(a), Fenced(b), Fenced(c))
      for (code, exact) in cases {
        let out = Fenced<Float>(count, -7)
        let operands = [
          dense(x.base, columns: count), dense(y.base, columns: count), dense(z.base, columns: count),
          dense(out.base, columns: count),
        ]
        let ops = [
          op(GW_LOAD, 0), op(GW_LOAD, 1, operand: 1), op(GW_LOAD, 2, operand: 2), op(code, 3, 0, 1, 2),
          op(GW_STORE, 0, 3, operand: 3),
        ]
        table(index).map(ops, ops.count, operands, 1, count)
        for (place, value) in out.array.enumerated() {
          let wanted = exact(a[place], b[place], c[place])
          #expect(wanted.isNaN ? value.isNaN : value == wanted, "\(code) of \(a[place]), \(b[place])")
        }
      }
      withExtendedLifetime((x, y, z)) {}
    }
  }

  @Test(arguments: tables) func selectsByComparison(index: Int32) {
    let (x, y) = (Fenced<Float>([1, 2, 3, .nan, -0.0]), Fenced<Float>([2, 2, 2, 2, 0]))
    let out = Fenced<Float>(5, .nan)
    let operands = [dense(x.base, columns: 5), dense(y.base, columns: 5), dense(out.base, columns: 5)]
    let ops = [
      op(GW_LOAD, 0), op(GW_LOAD, 1, operand: 1), op(GW_CONST, 2, imm: 10), op(GW_CONST, 3, imm: 20),
      op(GW_SELECT_GE, 4, 0, 1, 2, operand: 3), op(GW_STORE, 0, 4, operand: 2),
    ]
    table(index).map(ops, ops.count, operands, 1, 5)
    #expect(out.array == [20, 10, 10, 20, 10])
  }

  /// Rows, columns, constants that are overwritten, and broadcasts.
  @Test(arguments: tables) func coordinatesAndBroadcasts(index: Int32) {
    for columns in [1, 7, 8, 9, 31, 32, 33, 64, 65, 100, 129] {
      let rows = 3
      let (perRow, perColumn) = (Fenced(numbers(rows, seed: 1)), Fenced(numbers(columns, seed: 2)))
      let out = Fenced<Float>(rows * columns, .nan)
      var operands = [
        gw_operand(base: perRow.base, row_stride: 1, column_stride: 0, type: Int32(GW_F32.rawValue)),
        gw_operand(base: perColumn.base, row_stride: 0, column_stride: 1, type: Int32(GW_F32.rawValue)),
        dense(out.base, columns: columns),
      ]
      // (row + perRow) + (column * 2 + perColumn), register 0 used three times over.
      let ops = [
        op(GW_ROW, 0), op(GW_LOAD, 1, operand: 0), op(GW_ADD, 2, 0, 1), op(GW_CONST, 0, imm: 2),
        op(GW_COLUMN, 1), op(GW_LOAD, 3, operand: 1), op(GW_FMA, 0, 0, 1, 3), op(GW_ADD, 0, 0, 2),
        op(GW_STORE, 0, 0, operand: 2),
      ]
      table(index).map(ops, ops.count, operands, rows, columns)
      operands.removeAll()
      for (place, value) in out.array.enumerated() {
        let (row, column) = (place / columns, place % columns)
        let wanted = perColumn.base[column].addingProduct(2, Float(column)) + (Float(row) + perRow.base[row])
        #expect(value == wanted)
      }
    }
  }

  /// Sums within N roundings, maxima exact and NaN where there is one, into an operand or on top of it.
  @Test(arguments: tables) func reductions(index: Int32) {
    for columns in [0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 127, 200] {
      var x = numbers(2 * max(1, columns), seed: 3)
      if columns > 40 { x[columns + 37] = .nan }
      let input = Fenced(x)
      for continuing in [false, true] {
        let (sums, tops) = (Fenced<Float>(2, 0.25), Fenced<Float>(2, 0.25))
        let operands =
          [dense(input.base, columns: columns)]
          + [sums, tops].map {
            gw_operand(base: $0.base, row_stride: 1, column_stride: 0, type: Int32(GW_F32.rawValue))
          }
        let imm: Float = continuing ? 1 : 0
        let ops = [
          op(GW_LOAD), op(GW_ROW_SUM, 0, 0, operand: 1, imm: imm), op(GW_ROW_MAX, 0, 0, operand: 2, imm: imm),
        ]
        table(index).map(ops, ops.count, operands, 2, columns)
        for row in 0..<2 {
          let part = x[row * columns..<(row + 1) * columns]
          let exact = part.reduce(continuing ? 0.25 : 0.0) { $0 + Double($1) }
          let top = part.reduce(continuing ? Float(0.25) : -.infinity) {
            $1.isNaN || $0.isNaN ? .nan : max($0, $1)
          }
          let (sum, found) = (Double(sums.base[row]), tops.base[row])
          let bound = Double(columns + 1) * Double(columns + 1) * 0x1p-24
          #expect(exact.isNaN ? sum.isNaN : abs(sum - exact) <= bound)
          #expect(top.isNaN ? found.isNaN : found == top)
        }
      }
    }
  }

  /// Strided operands and stored types convert as the conversion routines do, and tables agree on the bits.
  @Test(arguments: tables) func stridesAndTypes(index: Int32) {
    for count in [1, 2, 7, 8, 9, 16, 31, 32, 33, 64, 65, 70] {
      for stride in [1, 2, 3] {
        let input = Fenced(numbers((count - 1) * stride + 1, seed: 5))
        for type in [GW_F32, GW_F16, GW_BF16, GW_I8] {
          let bytes = type == GW_F32 ? 4 : type == GW_I8 ? 1 : 2
          let results = [index, tables.last!].map { table in
            let out = Fenced<UInt8>(((count - 1) * stride + 1) * bytes, 0x55)
            let operands = [
              gw_operand(
                base: input.base, row_stride: 0, column_stride: stride, type: Int32(GW_F32.rawValue)),
              gw_operand(base: out.base, row_stride: 0, column_stride: stride, type: Int32(type.rawValue)),
            ]
            let ops = [
              op(GW_LOAD), op(GW_CONST, 1, imm: 100), op(GW_MUL, 2, 0, 1), op(GW_STORE, 0, 2, operand: 1),
            ]
            CMicrokernelsTests.table(table).map(ops, ops.count, operands, 1, count)
            return out.array
          }
          #expect(results[0] == results[1])
          // What lies between strided elements is not touched.
          for place in results[0].indices where place / bytes % stride != 0 {
            #expect(results[0][place] == 0x55)
          }
        }
      }
    }
  }
}
