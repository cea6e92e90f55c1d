import CMicrokernels
import TestSupport
import Testing

/// Rows quantised by a table: two bytes a number, a scale and a scaled sum for each 32.
private func quantized(_ x: [Float], rows m: Int, _ k: Int, on index: Int32) -> Fenced<UInt8> {
  let out = Fenced<UInt8>(m * gw_q16_row_bytes(k), 0xFF)
  let source = Fenced(x)
  withExtendedLifetime(source) {
    table(index).quantize_rows(m, k, source.base, k, out.base, gw_q16_row_bytes(k))
  }
  return out
}

/// One call of matmul_q16 on fenced memory, weights of `format`.
private func product(
  _ format: BlockFormat, _ m: Int, _ n: Int, _ k: Int, _ x: Fenced<UInt8>, _ w: Fenced<UInt8>,
  start: [Float]? = nil,
  on index: Int32
) -> [Float] {
  let out = Fenced<Float>((m - 1) * (n + 3) + n, .nan)
  if let start { for i in 0..<m * n { out.base[i / n * (n + 3) + i % n] = start[i] } }
  let workspace = Fenced<UInt8>((gw_matmul_q16_workspace(k) + 63) / 64 * 64, 0xFF, aligned: true)
  withExtendedLifetime((x, w, workspace)) {
    table(index).matmul_q16(
      format.type, m, n, k, x.base, gw_q16_row_bytes(k), w.base, k / format.elements * format.bytes, out.base,
      n + 3,
      start == nil ? 0 : 1, workspace.base)
  }
  let found = out.array
  for index in found.indices where index % (n + 3) >= n { #expect(found[index].isNaN) }
  return (0..<m * n).map { found[$0 / n * (n + 3) + $0 % n] }
}

@Suite struct QuantizeRowsTests {
  @Test(arguments: tables) func halfAStepAtMost(index: Int32) {
    let (m, k) = (5, 96)
    let x = numbers(m * k, seed: 6).enumerated().map {
      $0.offset % 96 < 32 ? 0 : $0.element * Float($0.offset)
    }
    let rows = quantized(x, rows: m, k, on: index)
    defer { withExtendedLifetime(rows) {} }
    for i in 0..<m {
      let row = UnsafeRawPointer(rows.base + i * gw_q16_row_bytes(k))
      for g in 0..<k / 32 {
        let group = x[i * k + g * 32..<i * k + g * 32 + 32]
        let scale = row.loadUnaligned(fromByteOffset: 2 * k + 4 * g, as: Float.self)
        #expect(scale == group.map(abs).max()! / 32767)
        var sum = 0
        for (e, value) in group.enumerated() {
          let place = (g * 32 + gw_pair_order(e)) * 2
          let q = Int(row.loadUnaligned(fromByteOffset: place, as: Int16.self))
          #expect(abs(q) <= 32767)
          // Half a step, and the roundings of the scale, its inverse and their product: 3 units of 2^-24 of 32,767.
          #expect(abs(Double(value) - Double(scale) * Double(q)) <= Double(scale) * 0.506)
          sum += q
        }
        let total = row.loadUnaligned(fromByteOffset: 2 * k + k / 8 + 4 * g, as: Float.self)
        #expect(total == scale * Float(sum))
      }
    }
  }

  /// Subnormal groups, which count as zero, infinities and NaN included.
  @Test(arguments: tables) func everyFormGivesTheSameBits(index: Int32) {
    var generator = SeededGenerator(seed: 11)
    for k in [32, 160] {
      var x = (0..<7 * k).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator)) }
      x[..<32] = ArraySlice(
        (0..<32).map { Float(bitPattern: UInt32(8 * $0) | ($0 % 2 == 0 ? 0 : 0x8000_0000)) })
      x = x.map { $0.isNaN ? .nan : $0 }
      x[k..<2 * k] = ArraySlice((0..<k).map { Float($0 - k / 2) })
      let found = quantized(x, rows: 7, k, on: index), plain = quantized(x, rows: 7, k, on: tables.last!)
      #expect(found.array == plain.array)
      plain.array.withUnsafeBytes { bytes in
        for i in 0..<7 * k {
          let place = i / k * gw_q16_row_bytes(k) + i % k * 2
          #expect(bytes.loadUnaligned(fromByteOffset: place, as: Int16.self) >= -32767)
        }
      }
    }
  }

  @Test(arguments: tables) func notANumberStaysOne(index: Int32) {
    for bad in [Float.nan, .infinity] {
      var x = numbers(64, seed: 2)
      x[40] = bad
      let format = BlockFormat.all[1]
      let w = Fenced(format.random(blocks: 2, seed: 2))
      #expect(!product(format, 1, 1, 64, quantized(x, rows: 1, 64, on: index), w, on: index)[0].isFinite)
    }
  }
}

@Suite struct MatmulIntegerTests {
  @Test(arguments: tables, BlockFormat.all) func everyFormGivesTheSameBits(index: Int32, format: BlockFormat)
  {
    for (m, n) in [(1, 1), (2, 15), (3, 16), (4, 17), (5, 33), (7, 63), (17, 5)] {
      for k in Set([format.elements, 256, 2304]).sorted() {
        let x = quantized(numbers(m * k, seed: 1), rows: m, k, on: tables.last!)
        let w = Fenced(format.random(blocks: n * k / format.elements, seed: 2))
        for start in [nil, numbers(m * n, seed: 3)] {
          let found = product(format, m, n, k, x, w, start: start, on: index)
          let plain = product(format, m, n, k, x, w, start: start, on: tables.last!)
          #expect(bits(found) == bits(plain), "m \(m), n \(n), k \(k)")
        }
      }
    }
  }

  @Test(arguments: tables, BlockFormat.all) func rowsAndColumnsDoNotDependOnTheBatch(
    index: Int32, format: BlockFormat
  ) {
    let (m, n, k) = (37, 35, 512)
    let w = Fenced(format.random(blocks: n * k / format.elements, seed: 2))
    let values = numbers(m * k, seed: 1)
    let all = product(format, m, n, k, quantized(values, rows: m, k, on: index), w, on: index)
    let blocks = k / format.elements * format.bytes
    for (i, j) in [(0, 0), (1, 34), (35, 16), (36, 15), (20, 31)] {
      let row = quantized(Array(values[i * k..<(i + 1) * k]), rows: 1, k, on: index)
      let column = Fenced(Array(w.array[j * blocks..<(j + 1) * blocks]))
      #expect(bits(product(format, 1, 1, k, row, column, on: index)) == bits([all[i * n + j]]))
      let whole = product(format, 1, n, k, row, w, on: index)
      #expect(bits(whole) == bits(Array(all[i * n..<(i + 1) * n])))
    }
  }

  /// The error against the exact product of the float activations: half a quantisation step for each number, and the
  /// roundings of the chain.
  @Test(arguments: tables, BlockFormat.all) func errorIsHalfAStepOfTheActivations(
    index: Int32, format: BlockFormat
  ) {
    let (m, n, k) = (3, 21, 768)
    let x = numbers(m * k, seed: 1)
    let rows = quantized(x, rows: m, k, on: index)
    let w = Fenced(format.random(blocks: n * k / format.elements, seed: 2))
    let dense = Fenced<Float>(n * k, .nan)
    table(index).to_float(format.type, n * k, w.base, dense.base)
    let found = product(format, m, n, k, rows, w, on: index)
    for i in 0..<m {
      for j in 0..<n {
        var (exact, bound, size) = (0.0, 0.0, 0.0)
        for p in 0..<k {
          let weight = Double(dense.base[j * k + p])
          let scale = Double(x[i * k + p / 32 * 32..<i * k + p / 32 * 32 + 32].map(abs).max()!) / 32767
          exact += weight * Double(x[i * k + p])
          bound += abs(weight) * scale * 0.506
          // The offset form adds and takes off up to 32 steps of a weight before sums cancel.
          size += (abs(weight) + 1) * scale * 32767
        }
        bound += Double(k) * 0x1p-22 * size
        #expect(abs(Double(found[i * n + j]) - exact) <= bound, "\(i), \(j)")
      }
    }
  }

  /// −128 in Q8_0 and the largest sums of every format reach the ends of the 16-bit intermediates.
  @Test(arguments: tables, BlockFormat.all) func extremeIntegersAreExact(index: Int32, format: BlockFormat) {
    for fill in [UInt8(0x80), 0xFF, 0x7F, 0x00] {
      var w = format.random(blocks: 16 * 512 / format.elements, seed: 2)
      let scales = Set(format.halves.flatMap { [$0, $0 + 1] })
      for at in w.indices where !scales.contains(at % format.bytes) { w[at] = fill }
      for sign in [Float(1), -1] {
        let x = quantized([Float](repeating: sign, count: 512), rows: 1, 512, on: index)
        let found = product(format, 1, 16, 512, x, Fenced(w), on: index)
        #expect(bits(found) == bits(product(format, 1, 16, 512, x, Fenced(w), on: tables.last!)))
      }
    }
  }
}
