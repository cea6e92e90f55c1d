/// SplitMix64: the same numbers on every machine for a seed.
package struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64

  /// Numbers that depend on `seed` alone.
  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension Tensor {
  /// Host memory filled with numbers that make sense for the type: floats in `range`, any integers, random quants with
  /// scales from 2⁻⁷ to 2⁻⁵.
  package init(
    random type: ElementType, _ shape: [Int], seed: UInt64, in range: ClosedRange<Float> = -1...1
  ) throws(MemoryError) {
    try self.init(zeros: type, shape)
    var generator = SeededNumbers(seed: seed)
    switch type {
    case .float32:
      withMutableElements(as: Float.self) { span in
        for index in span.indices { span[index] = Float.random(in: range, using: &generator) }
      }
    case .bfloat16, .float16:
      withMutableElements(as: UInt16.self) { span in
        for index in span.indices {
          let value = Float.random(in: range, using: &generator)
          span[index] = type == .float16 ? float16Bits(value) : BFloat16(value).bitPattern
        }
      }
    case .q16_rows: fillGroups(&generator)
    default: fillBlocks(&generator)
    }
  }

  private func fillBlocks(_ generator: inout SeededNumbers) {
    // Where a block keeps its float16 scales and offsets.
    let halves: [Int] =
      switch type {
      case .q4_0, .q5_0, .q8_0: [0]
      case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
      case .q2_K: [80, 82]
      case .q3_K: [108]
      case .q6_K: [208]
      default: []
      }
    let size = type.blockBytes
    withMutableElements(as: UInt8.self) { span in
      for index in span.indices { span[index] = UInt8.random(in: 0...255, using: &generator) }
      for block in stride(from: 0, to: span.count, by: size) {
        for offset in halves {
          let bits = UInt16.random(in: 0x2000...0x2800, using: &generator)
          span[block + offset] = UInt8(bits & 255)
          span[block + offset + 1] = UInt8(bits >> 8)
        }
      }
    }
  }

  /// Rows of integers, scales and scaled sums, as `q16_rows` lays them out.
  private func fillGroups(_ generator: inout SeededNumbers) {
    let width = shape[shape.count - 1]
    let rowBytes = width / 32 * 72
    withMutableElements(as: UInt8.self) { span in
      func put(_ bits: some FixedWidthInteger, _ place: Int) {
        for byte in 0..<bits.bitWidth / 8 {
          span[place + byte] = UInt8(truncatingIfNeeded: bits >> (8 * byte))
        }
      }
      for row in stride(from: 0, to: span.count, by: rowBytes) {
        for group in 0..<width / 32 {
          var sum = 0
          for member in 0..<32 {
            let value = Int16.random(in: -32767...32767, using: &generator)
            sum += Int(value)
            put(value, row + 2 * (group * 32 + member))
          }
          let scale = Float.random(in: 0.5...1, using: &generator) / 32767
          put(scale.bitPattern, row + 2 * width + 4 * group)
          put((scale * Float(sum)).bitPattern, row + 2 * width + width / 8 + 4 * group)
        }
      }
    }
  }
}
