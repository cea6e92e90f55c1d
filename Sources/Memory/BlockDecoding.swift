/// Definitions of the block formats: what number each element of a block stands for.
///
/// Slow and plain: they define the formats, and the fast routines are tested against them.
extension ElementType {
  /// The numbers of the block (or scalar) at `bytes`, in float32; empty for types without a number (`q2_K`, `q3_K`).
  package func decode(_ bytes: UnsafeRawPointer) -> [Float] {
    let block = unsafe BlockReader(bytes: bytes)
    switch self {
    case .float64: return [Float(unsafe bytes.loadUnaligned(as: Double.self))]
    case .float32: return [unsafe bytes.loadUnaligned(as: Float.self)]
    case .float16: return [block.half(0)]
    case .bfloat16: return [Float(BFloat16(bitPattern: unsafe bytes.loadUnaligned(as: UInt16.self)))]
    case .int64: return [Float(unsafe bytes.loadUnaligned(as: Int64.self))]
    case .int32: return [Float(unsafe bytes.loadUnaligned(as: Int32.self))]
    case .int16: return [Float(unsafe bytes.loadUnaligned(as: Int16.self))]
    case .int8: return [Float(block.signed(0))]
    case .uint8, .boolean: return [Float(block[0])]
    case .q4_0: return nibbles(block, at: 2).map { block.half(0) * Float($0 - 8) }
    case .q4_1: return nibbles(block, at: 4).map { block.half(0) * Float($0) + block.half(2) }
    case .q5_0: return fiveBits(block, high: 2).map { block.half(0) * Float($0 - 16) }
    case .q5_1: return fiveBits(block, high: 4).map { block.half(0) * Float($0) + block.half(2) }
    case .q8_0: return (0..<32).map { block.half(0) * Float(block.signed(2 + $0)) }
    case .q4_K: return fourOrFiveBitSuper(block, hasHighBits: false)
    case .q5_K: return fourOrFiveBitSuper(block, hasHighBits: true)
    case .q6_K: return sixBitSuper(block)
    case .q2_K, .q3_K, .q16_rows: return []
    }
  }

  /// 32 numbers of 4 bits: low halves of 16 bytes, then high halves.
  private func nibbles(_ block: BlockReader, at offset: Int) -> [Int] {
    (0..<32).map { Int($0 < 16 ? block[offset + $0] & 15 : block[offset + $0 - 16] >> 4) }
  }

  /// As ``nibbles(_:at:)`` with a fifth bit each from the 32-bit word at `high`.
  private func fiveBits(_ block: BlockReader, high: Int) -> [Int] {
    let low = nibbles(block, at: high + 4)
    return (0..<32).map { low[$0] | Int(block[high + $0 / 8] >> UInt8($0 % 8) & 1) << 4 }
  }

  /// Q4_K and Q5_K: 8 groups of 32, scale and minimum of 6 bits each packed in 12 bytes.
  private func fourOrFiveBitSuper(_ block: BlockReader, hasHighBits: Bool) -> [Float] {
    let low = hasHighBits ? 48 : 16
    var result: [Float] = []
    for group in 0..<8 {
      let (scale, minimum) = packedScale(block, group)
      let d = block.half(0) * Float(scale)
      let m = block.half(2) * Float(minimum)
      for element in 0..<32 {
        let byte = block[low + group / 2 * 32 + element]
        var q = Int(group % 2 == 0 ? byte & 15 : byte >> 4)
        if hasHighBits { q |= Int(block[16 + element] >> UInt8(group) & 1) << 4 }
        result.append(d * Float(q) - m)
      }
    }
    return result
  }

  private func packedScale(_ block: BlockReader, _ group: Int) -> (scale: UInt8, minimum: UInt8) {
    if group < 4 { return (block[4 + group] & 63, block[8 + group] & 63) }
    return (
      (block[8 + group] & 15) | ((block[group] >> 6) << 4),
      (block[8 + group] >> 4) | ((block[4 + group] >> 6) << 4)
    )
  }

  /// Q6_K: 16 groups of 16 with an int8 scale each; 4 low bits and 2 high bits stored apart.
  private func sixBitSuper(_ block: BlockReader) -> [Float] {
    let d = block.half(208)
    return (0..<256).map { element in
      let (half, within) = (element / 128, element % 128)
      let (quarter, column) = (within / 32, within % 32)
      let byte = block[half * 64 + column + (quarter % 2) * 32]
      let low = quarter < 2 ? byte & 15 : byte >> 4
      let high = block[128 + half * 32 + column] >> UInt8(2 * quarter) & 3
      let scale = block.signed(192 + half * 8 + quarter * 2 + column / 16)
      return d * Float(scale) * Float(Int(low | high << 4) - 32)
    }
  }
}

/// Bytes of one block.
@safe private struct BlockReader {
  let bytes: UnsafeRawPointer

  subscript(_ offset: Int) -> UInt8 { unsafe bytes.load(fromByteOffset: offset, as: UInt8.self) }

  func signed(_ offset: Int) -> Int8 { Int8(bitPattern: self[offset]) }

  func half(_ offset: Int) -> Float {
    float16(unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
}

/// Value of a float16 with these bits, without relying on hardware for it.
package func float16(_ bits: UInt16) -> Float {
  let sign = UInt32(bits >> 15) << 31
  let exponent = UInt32(bits >> 10 & 31)
  let mantissa = UInt32(bits & 1023)
  if exponent == 31 { return Float(bitPattern: sign | 0x7F80_0000 | mantissa << 13) }
  if exponent == 0 {
    let magnitude = Float(mantissa) * 0x1p-24
    return sign == 0 ? magnitude : -magnitude
  }
  return Float(bitPattern: sign | (exponent + 112) << 23 | mantissa << 13)
}

/// Bits of the float16 nearest to a number, ties to even.
package func float16Bits(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
  let magnitude = bits & 0x7FFF_FFFF
  if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
  if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
  if magnitude < 0x3880_0000 {
    // Below the normal range the spacing is 2⁻²⁴: adding 0.5 aligns the mantissa so that the hardware rounds there.
    let shifted = Float(bitPattern: magnitude) + 0.5
    return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- Float(0.5).bitPattern)
  }
  let odd = magnitude >> 13 & 1
  return sign | UInt16(truncatingIfNeeded: (magnitude &+ 0xC800_0FFF &+ odd) >> 13)
}
