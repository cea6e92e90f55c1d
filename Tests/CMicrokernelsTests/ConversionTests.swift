// Golden vectors: Scripts/golden/quants.py, by the `gguf` library.
import CMicrokernels
import Foundation
import TestSupport
import Testing

/// Blocks of one format and the numbers in them, as the `gguf` library reads them.
private struct GoldenBlocks {
  var type: gw_type
  var blocks: [UInt8]
  var expected: [UInt32]

  static func read() throws -> [GoldenBlocks] {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("quants.txt")
    return try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { line in
      let fields = line.split(separator: " ")
      let floats = bytes(fields[2])
      return GoldenBlocks(
        type: gw_type(rawValue: UInt32(fields[0])!), blocks: bytes(fields[1]),
        expected: stride(from: 0, to: floats.count, by: 4).map { at in
          (0..<4).reduce(0) { $0 | UInt32(floats[at + $1]) << UInt32(8 * $1) }
        })
    }
  }

  private static func bytes(_ hex: Substring) -> [UInt8] {
    let digits = hex.utf8.map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

@Suite struct ConversionTests {
  @Test(arguments: tables) func blocksAreWhatTheGGUFLibraryReads(index: Int32) throws {
    let golden = try GoldenBlocks.read()
    #expect(golden.count == BlockFormat.all.count)
    for blocks in golden {
      let out = Fenced<Float>(blocks.expected.count, .nan)
      let source = Fenced(blocks.blocks)
      withExtendedLifetime(source) { table(index).to_float(blocks.type, out.count, source.base, out.base) }
      #expect(bits(out.array) == blocks.expected, "type \(blocks.type.rawValue)")
    }
  }

  @Test(arguments: tables) func everyFloat16AndBFloat16(index: Int32) {
    let all = Fenced((0...UInt16.max).map { $0 })
    let out = Fenced<Float>(all.count, 0)
    table(index).to_float(GW_F16, all.count, all.base, out.base)
    for (pattern, found) in zip(all.array, out.array) {
      let exact = Float(Float16(bitPattern: pattern))
      #expect(found.bitPattern == exact.bitPattern || found.isNaN && exact.isNaN, "\(pattern)")
    }
    table(index).to_float(GW_BF16, all.count, all.base, out.base)
    #expect(bits(out.array) == all.array.map { UInt32($0) << 16 })
  }

  @Test(arguments: tables) func roundingToFloat16AndBFloat16IsToNearestEven(index: Int32) {
    var generator = SeededGenerator(seed: 4)
    var patterns = (0..<50_003).map { _ in UInt32.random(in: 0...UInt32.max, using: &generator) }
    // Near what float16 holds, ties among them.
    patterns += (0..<50_000).map { _ in
      0x3280_0000 + UInt32.random(in: 0...0x1500_0000, using: &generator) & ~0xFFF
    }
    let values = Fenced(patterns.map { Float(bitPattern: $0) })
    let out = Fenced<UInt16>(values.count, 0)
    table(index).from_float(GW_F16, values.count, values.base, out.base)
    for (value, found) in zip(values.array, out.array) {
      let exact = Float16(value)
      #expect(found == exact.bitPattern || exact.isNaN && Float16(bitPattern: found).isNaN, "\(value)")
    }
    table(index).from_float(GW_BF16, values.count, values.base, out.base)
    for (value, found) in zip(values.array, out.array) {
      let (low, near) = (UInt64(value.bitPattern) & 0xFFFF, UInt64(value.bitPattern) >> 16)
      let up = low > 0x8000 || low == 0x8000 && near & 1 == 1
      let exact = near + (up ? 1 : 0)
      #expect(value.isNaN ? found & 0x7FFF > 0x7F80 : UInt64(found) == exact, "\(value)")
    }
  }

  @Test(arguments: tables) func integers(index: Int32) {
    let values = Fenced<Float>([0.5, 1.5, -2.5, 127.4, 128, 1e9, -127.6, -.infinity, .infinity, .nan, -0.4])
    let bytes = Fenced<Int8>(values.count, 99)
    table(index).from_float(GW_I8, values.count, values.base, bytes.base)
    #expect(bytes.array == [0, 2, -2, 127, 127, 127, -127, -127, 127, 0, 0])
    let back = Fenced<Float>(values.count, .nan)
    table(index).to_float(GW_I8, values.count, bytes.base, back.base)
    #expect(back.array == bytes.array.map { Float($0) })
    let words = Fenced<Int32>([Int32.min, -1, 0, 16_777_217, Int32.max])
    table(index).to_float(GW_I32, 5, words.base, back.base)
    #expect(Array(back.array.prefix(5)) == words.array.map { Float($0) })
    let wide = Fenced<Int32>(values.count, 9)
    table(index).from_float(GW_I32, values.count, values.base, wide.base)
    #expect(
      wide.array
        == values.array.map { value in
          value.isNaN ? 0 : Int32(clamping: Int(max(-0x1p40, min(0x1p40, value)).rounded(.toNearestOrEven)))
        })
  }
}

@Suite struct PackTests {
  private func expectPanels(_ packed: [Float], n: Int, k: Int, _ value: (_ j: Int, _ p: Int) -> Float) {
    for j in 0..<(n + 15) / 16 * 16 {
      for p in 0..<k {
        let found = packed[j / 16 * 16 * k + p * 16 + j % 16]
        guard found.bitPattern != (j < n ? value(j, p) : 0).bitPattern else { continue }
        Issue.record("n \(n), k \(k): element \(j), \(p) is \(found)")
        return
      }
    }
  }

  @Test(arguments: tables) func columns(index: Int32) {
    for n in [1, 7, 16, 17, 47, 64, 129] {
      for k in [1, 5, 33] {
        let source = Fenced(Array(numbers(k * (n + 2), seed: 3).dropLast(2)))
        let out = Fenced<Float>((n + 15) / 16 * 16 * k, .nan)
        table(index).pack_columns(GW_F32, k, n, source.base, 4 * (n + 2), out.base)
        expectPanels(out.array, n: n, k: k) { source.base[$1 * (n + 2) + $0] }
        let halves = Fenced(source.array.map { Float16($0) })
        table(index).pack_columns(GW_F16, k, n, halves.base, 2 * (n + 2), out.base)
        expectPanels(out.array, n: n, k: k) { Float(halves.base[$1 * (n + 2) + $0]) }
        let bytes = Fenced(source.array.map { Int8($0 * 127) })
        table(index).pack_columns(GW_I8, k, n, bytes.base, n + 2, out.base)
        expectPanels(out.array, n: n, k: k) { Float(bytes.base[$1 * (n + 2) + $0]) }
      }
    }
  }

  @Test(arguments: tables) func rowsOfScalars(index: Int32) {
    for n in [1, 7, 8, 9, 16, 17, 31] {
      for k in [1, 7, 8, 9, 63, 64, 65, 257] {
        let source = Fenced(numbers(n * k, seed: 3))
        let out = Fenced<Float>((n + 15) / 16 * 16 * k, .nan)
        table(index).pack_rows(GW_F32, n, k, source.base, 4 * k, out.base)
        expectPanels(out.array, n: n, k: k) { source.base[$0 * k + $1] }
        let halves = Fenced(source.array.map { Float16($0) })
        table(index).pack_rows(GW_F16, n, k, halves.base, 2 * k, out.base)
        expectPanels(out.array, n: n, k: k) { Float(halves.base[$0 * k + $1]) }
        let brains = Fenced(source.array.map { UInt16($0.bitPattern >> 16) })
        table(index).pack_rows(GW_BF16, n, k, brains.base, 2 * k, out.base)
        expectPanels(out.array, n: n, k: k) { Float(bitPattern: UInt32(brains.base[$0 * k + $1]) << 16) }
      }
    }
  }

  @Test(arguments: tables, BlockFormat.all) func rowsOfBlocks(index: Int32, format: BlockFormat) {
    for n in [1, 9, 16, 23] {
      let k = 3 * format.elements
      let source = Fenced(format.random(blocks: 3 * n, seed: 8))
      let exact = Fenced<Float>(n * k, .nan)
      table(tables.last!).to_float(format.type, n * k, source.base, exact.base)
      let out = Fenced<Float>((n + 15) / 16 * 16 * k, .nan)
      table(index).pack_rows(format.type, n, k, source.base, 3 * format.bytes, out.base)
      expectPanels(out.array, n: n, k: k) { exact.base[$0 * k + $1] }
    }
  }
}
