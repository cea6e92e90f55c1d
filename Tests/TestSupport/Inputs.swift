import Memory

/// SplitMix64: the same numbers on every machine for a seed.
public struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Float32 numbers in −1…1.
public func uniform(_ shape: [Int], seed: UInt64) throws -> Tensor {
  var generator = SeededGenerator(seed: seed)
  return try tensor(shape) { _ in Float.random(in: -1...1, using: &generator) }
}

/// Float32 numbers given by their flat index.
public func tensor(_ shape: [Int], _ value: (Int) -> Float) throws -> Tensor {
  let result = try Tensor(zeros: .float32, shape)
  result.withMutableElements(as: Float.self) { span in
    for index in span.indices { span[index] = value(index) }
  }
  return result
}

/// Int32 numbers.
public func integers(_ values: [Int], _ shape: [Int]) throws -> Tensor {
  let result = try Tensor(zeros: .int32, shape)
  result.withMutableElements(as: Int32.self) { span in
    for index in span.indices { span[index] = Int32(values[index]) }
  }
  return result
}

/// Outputs full of NaN: an element that a kernel forgets cannot pass.
public func poisoned(_ shape: [Int]) throws -> Tensor { try tensor(shape) { _ in .nan } }

/// A tensor of any type filled with bytes that make sense for it: random quants, scales near 1/64.
public func quantized(_ type: ElementType, _ shape: [Int], seed: UInt64) throws -> Tensor {
  let result = try Tensor(zeros: type, shape)
  var generator = SeededGenerator(seed: seed)
  let halves: [Int: Bool] =
    switch type {
    case .q4_0, .q5_0, .q8_0: [0: true]
    case .q4_1, .q5_1, .q4_K, .q5_K: [0: true, 2: false]
    case .q6_K: [208: true]
    default: [:]
    }
  let size = type.blockBytes
  result.withMutableElements(as: UInt8.self) { span in
    for index in span.indices { span[index] = UInt8.random(in: 0...255, using: &generator) }
    for block in stride(from: 0, to: span.count, by: size) {
      for offset in halves.keys {
        let bits = UInt16.random(in: 0x2000...0x2800, using: &generator)  // 2⁻⁷ … 2⁻⁵
        span[block + offset] = UInt8(bits & 255)
        span[block + offset + 1] = UInt8(bits >> 8)
      }
      if type == .float16 || type == .bfloat16 { span[block + 1] = type == .float16 ? 0x38 : 0x3F }
    }
  }
  return result
}

/// The elements of a dense float32 tensor.
public func values(_ tensor: Tensor) -> [Double] {
  tensor.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
}
