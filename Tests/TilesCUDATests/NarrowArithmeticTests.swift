import Foundation
import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

/// Elementwise steps on pairs of 16-bit numbers.
@Suite struct NarrowArithmeticTests {
  /// Two products by b, between which a is multiplied in, 2 added, and halves of the columns subtracted and added, in 16 bits.
  private func kernel(_ type: ElementType, valid: Int = 64, storesBetween: Bool = false) throws -> Kernel {
    try Kernel("narrow") { k in
      let inputs = ["a", "b"].map { k.input($0, type, [64, 64]) }
      let between = storesBetween ? k.output("z", .float32, [64, 64]) : nil
      let y = k.output("y", type, [64, 64])
      var schedule = Kernel.Schedule()
      schedule.bringsOperands = true
      k.grid([1], schedule: schedule) { _ in
        let a = k.load(inputs[0], at: [0, 0], rows: 64, columns: 64, validRows: Index(valid))
        let b = k.load(inputs[1], at: [0, 0], rows: 64, columns: 64)
        let product = k.cast(k.matmul(a, b), to: type)
        let scaled = k.map(.fma, product, a, 2, in: type)
        if let between { k.store(scaled, to: between, at: [0, 0]) }
        let halves = [0, 32].map { k.columns(of: scaled, from: $0, count: 32) }
        let turned = k.beside(
          k.map(.subtract, halves[0], halves[1], in: type), k.map(.add, halves[0], halves[1], in: type))
        k.store(k.cast(k.matmul(turned, b), to: type), to: y, at: [0, 0])
      }
    }
  }

  @Test(arguments: [(ElementType.float16, "f16x2"), (.bfloat16, "bf16x2")])
  func stepsArePrintedOnPairs(type: ElementType, form: String) throws {
    let source = try PipelinedLowering.emit(kernel(type)).source
    for stem in ["fma", "sub", "add"] { #expect(source.contains("= \(stem)_\(form)(v")) }
    // Two, in both halves.
    #expect(source.contains("0x40004000u"))
    // The left factor of the last product is the very pairs.
    _ = try #require(
      source.range(of: #"p\d+\[b\]\[c\]\[i\] = q\d+\[b\]\[4 \* c \+ i\];"#, options: .regularExpression))
  }

  /// Products clear what lies beyond the valid part, and stores of another type convert: both need a register a number.
  @Test func otherTilesAreComputedInFloat32() throws {
    for kernel in [try kernel(.float16, valid: 60), try kernel(.float16, storesBetween: true)] {
      let source = try PipelinedLowering.emit(kernel).source
      #expect(!source.contains("f16x2(v"), "\(source.count)")
      #expect(source.contains("fmaf(v"))
    }
  }

  /// Without a ring, threads read a tile's numbers one by one.
  @Test func whatThreadsReadIsNoPair() throws {
    let kernel = try Kernel("read") { k in
      let inputs = ["a", "b"].map { k.input($0, .float16, [64, 64]) }
      let y = k.output("y", .float16, [64, 64])
      k.grid([1]) { _ in
        let a = k.load(inputs[0], at: [0, 0], rows: 64, columns: 64)
        let b = k.load(inputs[1], at: [0, 0], rows: 64, columns: 64)
        let product = k.cast(k.matmul(a, a), to: .float16)
        k.store(k.map(.multiply, product, b, in: .float16), to: y, at: [0, 0])
      }
    }
    let source = try PipelinedLowering.emit(kernel).source
    let loaded = kernel.body.compactMap { statement -> Int? in
      guard case .load(let tile, let reference) = statement.operation else { return nil }
      return reference.tensor.name == "b" ? tile.id : nil
    }
    let number = try #require(loaded.first)
    #expect(source.contains("float t\(number)[1][32]"))
    #expect(!source.contains("q\(number)["))
  }

  @Test func stepsOfBothKindsAreNotJoined() throws {
    let kernel = try Kernel("kinds") { k in
      let x = k.input("x", .float16, [8, 8])
      let z = k.input("z", .bfloat16, [8, 8])
      let y = k.output("y", .float16, [8, 8])
      let w = k.output("w", .bfloat16, [8, 8])
      k.grid([1]) { _ in
        let tile = k.load(x, at: [0, 0], rows: 8, columns: 8)
        let wide = k.cast(k.map(.add, tile, 1), to: .float16)
        let narrow = k.map(.multiply, wide, 2, in: .float16)
        let negative = k.map(.negate, narrow, in: .float16)
        let other = k.map(.negate, k.load(z, at: [0, 0], rows: 8, columns: 8), in: .bfloat16)
        k.store(negative, to: y, at: [0, 0])
        k.store(other, to: w, at: [0, 0])
      }
    }
    let maps = kernel.body.compactMap { statement -> MapProgram? in
      if case .map(let program) = statement.operation { program } else { nil }
    }
    #expect(maps.map(\.narrowType) == [nil, .float16, .bfloat16])
    // The two in 16 bits are one pass, and what stood between them is gone.
    #expect(maps[1].tilesWritten.count == 1)
  }

  @Test func messagesNameOtherTypes() {
    func record(_ body: @escaping (Recorder, Tile, Tile) -> Void) -> String {
      message {
        _ = try Kernel("bad") { k in
          let (x, z) = (k.input("x", .float32, [8, 8]), k.input("z", .float16, [8, 8]))
          k.grid([1]) { _ in
            body(k, k.load(x, at: [0, 0], rows: 8, columns: 8), k.load(z, at: [0, 0], rows: 8, columns: 8))
          }
        }
      }
    }
    let expected = "16-bit arithmetic takes tiles of one 16-bit float type"
    #expect(record { k, x, z in _ = k.map(.add, x, z, in: .float16) }.contains(expected))
    #expect(record { k, x, _ in _ = k.map(.negate, x, in: .float32) }.contains(expected))
    #expect(record { k, _, z in _ = k.map(.add, z, Index(3), in: .float16) }.contains(expected))
    #expect(record { k, x, z in k.assign(z, x, in: .float16) }.contains(expected))
    #expect(record { k, _, z in _ = k.map(.add, z, 70_000, in: .float16) }.contains("numbers that it has"))
  }
}
