import Foundation
import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

/// Tiles that threads read from global memory two numbers at a time.
@Suite struct WholeReadTests {
  /// A product, and numbers that are added to it.
  private func program(
    _ type: ElementType = .float32, valid: Int = 64, column: Int = 0, isTransposed: Bool = false,
    readsPairs: Bool = true
  ) throws -> CUDAProgram {
    let kernel = try Kernel("read") { k in
      let a = k.input("a", .bfloat16, [64, 64])
      let b = k.input("b", type, [3, 128, 128])
      let y = k.output("y", .float32, [64, 64])
      var schedule = Kernel.Schedule()
      schedule.readsPairs = readsPairs
      k.grid([1], schedule: schedule) { _ in
        let factors = [valid, 64].map {
          k.load(a, at: [0, 0], rows: 64, columns: 64, validRows: Index($0), validColumns: 64)
        }
        let product = k.matmul(factors[0], factors[1])
        let terms = k.load(
          b, at: [1, Index(column), Index(column)], rows: 64, columns: 64, rowAxis: isTransposed ? 2 : 1,
          columnAxis: isTransposed ? 1 : 2, validRows: Index(valid), validColumns: 64)
        k.store(k.map(.add, product, terms), to: y, at: [0, 0])
      }
    }
    return try PipelinedLowering.emit(kernel)
  }

  @Test(arguments: [
    (ElementType.float32, "const float2 two = *(const float2 *)("), (.float16, "low_f16(two)"),
  ])
  func wholeTilesAreReadInPairs(type: ElementType, text: String) throws {
    let program = try program(type)
    #expect(program.pairedReads == [1])
    #expect(program.source.contains(text))
    #expect(!program.source.contains("row < rows"))
  }

  @Test func othersAreReadNumberByNumber() throws {
    for program in [
      try program(valid: 63), try program(column: 1), try program(isTransposed: true),
      try program(readsPairs: false),
    ] {
      #expect(program.pairedReads.isEmpty)
      #expect(program.source.contains("row < rows"))
    }
    #expect(try program(column: 2).pairedReads == [1])
  }

  private func refusal(
    at address: UInt = 1 << 40, _ shape: [Int] = [3, 128, 128], strides: [Int]? = nil
  ) throws -> String {
    let program = try program()
    let (a, y) = (try fakeTensor([64, 64], type: .bfloat16), try fakeTensor([64, 64]))
    let b = try fakeTensor(at: address, shape, strides: strides)
    return message { _ = try DeviceArguments.tensorMaps(program, [a, b, y]) }
  }

  /// What cannot be read in pairs is for another form of the kernel.
  @Test func tensorsOutOfStepAreRefused() throws {
    #expect(try refusal() == "")
    #expect(try refusal(at: 1 << 40 | 8) == "")
    #expect(
      try refusal(at: 1 << 40 | 4) == "kernel read: b: it starts 4 bytes past a multiple of 8.")
    #expect(
      try refusal(strides: [128 * 129, 129, 1])
        == "kernel read: b: axis 1 has stride 129, which is not even.")
    #expect(
      try refusal(strides: [128 * 256, 256, 2]) == "kernel read: b: axis 2 has stride 2, which is not 1.")
    // An axis of one element is never stepped along.
    #expect(try refusal([1, 128, 128], strides: [5, 128, 1]) == "")
  }

  /// Vectors of which all is there need no condition; others do, whose strides are found out as the kernel runs.
  @Test(arguments: [true, false]) func wholeVectorsAreReadInPairs(readsPairs: Bool) throws {
    let kernel = try Kernel("vectors") { k in
      let a = k.input("a", .bfloat16, [64, 64])
      let bias = k.input("bias", .float32, [k.extent("N")])
      let y = k.output("y", .float32, [64, 64])
      var schedule = Kernel.Schedule()
      schedule.readsPairs = readsPairs
      k.grid([1], schedule: schedule) { _ in
        let factor = k.load(a, at: [0, 0], rows: 64, columns: 64)
        let terms = k.load(bias, at: [0], columns: 64, validColumns: 64)
        k.store(k.map(.add, k.matmul(factor, factor), terms), to: y, at: [0, 0])
      }
    }
    let program = try PipelinedLowering.emit(kernel)
    #expect(program.pairedReads == (readsPairs ? [1] : []))
    #expect(program.source.contains("[column >> 1].y"))
    #expect(program.source.contains("% 8 == 0") == !readsPairs)
  }

  /// Factors of rows are one register each, which both numbers of a pair are multiplied by.
  @Test func rowsOfNumbersMultiplyPairs() throws {
    let kernel = try Kernel("rows") { k in
      let a = k.input("a", .float16, [64, 64])
      let y = k.output("y", .float16, [64, 64])
      k.grid([1]) { _ in
        let factor = k.load(a, at: [0, 0], rows: 64, columns: 64)
        let product = k.matmul(factor, factor)
        let scale = k.cast(k.rowMax(product), to: .float16)
        let scaled = k.map(.multiply, k.cast(product, to: .float16), scale, in: .float16)
        let wide = k.map(.add, scaled, k.map(.multiply, scale, 2))
        k.store(k.cast(k.matmul(k.cast(wide, to: .float16), factor), to: .float16), to: y, at: [0, 0])
      }
    }
    let source = try PipelinedLowering.emit(kernel).source
    _ = try #require(
      source.range(of: #"pack_f16\(t\d+\[b\]\[h\], t\d+\[b\]\[h\]\)"#, options: .regularExpression))
    // Elsewhere a number is what its type holds of it.
    _ = try #require(source.range(of: #"round_f16\(t\d+\[b\]\[h\]\)"#, options: .regularExpression))
  }
}
