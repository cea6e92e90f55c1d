internal import Glibc

/// Passes over a row of logits that every token takes, eight numbers at a time.
enum LogitScan {
  /// Eight consecutive numbers.
  @inline(__always)
  private static func lanes(_ values: Span<Float>, _ i: Int) -> SIMD8<Float> {
    SIMD8(
      values[i], values[i + 1], values[i + 2], values[i + 3], values[i + 4], values[i + 5], values[i + 6],
      values[i + 7])
  }

  /// Index of the largest number, the first of equals.
  static func largest(_ values: Span<Float>, _ position: Int) throws(EngineError) -> Int {
    var tops = SIMD8<Float>(repeating: -.infinity)
    // Only NaN differs from itself.
    var numbers = SIMDMask<SIMD8<Int32>>(repeating: true)
    let whole = values.count / 8 * 8
    for index in stride(from: 0, to: whole, by: 8) {
      let block = lanes(values, index)
      numbers .&= block .== block
      tops = tops.replacing(with: block, where: block .> tops)
    }
    var top = tops.max()
    var isNumber = all(numbers)
    for index in whole..<values.count {
      isNumber = isNumber && values[index] == values[index]
      top = max(top, values[index])
    }
    guard isNumber, top.isFinite else { throw .notANumber(position: position) }
    var best = 0
    while values[best] != top { best += 1 }
    return best
  }

  /// log Σ exp(x − top): terms in float32, added up in blocks of 64 in float32 and then in float64.
  static func logSum(_ logits: Span<Float>, _ top: Float) -> Double {
    var sum = 0.0
    let whole = logits.count / 64 * 64
    for start in stride(from: 0, to: whole, by: 64) {
      var block = SIMD8<Float>()
      for index in stride(from: start, to: start + 64, by: 8) { block += exp(lanes(logits, index) - top) }
      sum += Double(block.sum())
    }
    for index in whole..<logits.count { sum += Double(expf(logits[index] - top)) }
    return log(sum)
  }

  /// e^x for x ≤ 0 with a relative error below (3 + |x|) · 10⁻⁷; what is below e^−87 counts as that.
  @inline(__always)
  private static func exp(_ x: SIMD8<Float>) -> SIMD8<Float> {
    let low = SIMD8<Float>(repeating: -87)
    let t = x.replacing(with: low, where: x .< low) * 1.4426950408889634
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
    let shifted = t + 12_582_912
    let f = t - (shifted - 12_582_912)  // in −½...½
    // Taylor's series of 2^f to the sixth power; the next term is at most (½ ln 2)⁷ / 7! = 1.2·10⁻⁷.
    var p = f * 1.5403530e-4 + 1.3333558e-3
    p = p * f + 9.6181291e-3
    p = p * f + 5.5504109e-2
    p = p * f + 2.4022651e-1
    p = p * f + 6.9314718e-1
    p = p * f + 1
    var scale = SIMD8<Float>()
    for lane in 0..<8 { scale[lane] = Float(bitPattern: (shifted[lane].bitPattern &+ 127) &<< 23) }
    return p * scale
  }
}
