import Memory

/// The same numbers on every machine for a seed.
package typealias SeededGenerator = SeededNumbers

/// Float32 numbers in −1…1.
public func uniform(_ shape: [Int], seed: UInt64) throws -> Tensor {
  try Tensor(random: .float32, shape, seed: seed)
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

/// A tensor of any type filled with numbers that make sense for it: random quants, scales near 1/64.
public func quantized(_ type: ElementType, _ shape: [Int], seed: UInt64) throws -> Tensor {
  try Tensor(random: type, shape, seed: seed)
}

/// Numbers in −1…1, rounded to a floating-point type.
public func uniform(_ type: ElementType, _ shape: [Int], seed: UInt64) throws -> Tensor {
  try Tensor(random: type, shape, seed: seed)
}

/// Outputs of a floating-point type full of NaN.
public func poisoned(_ type: ElementType, _ shape: [Int]) throws -> Tensor {
  let result = try Tensor(zeros: type, shape)
  result.withMutableElements(as: UInt8.self) { span in
    for index in span.indices { span[index] = 0xFF }
  }
  return result
}

/// The elements of a dense floating-point tensor.
public func values(_ tensor: Tensor) -> [Double] {
  switch tensor.type {
  case .float16:
    tensor.withElements(as: UInt16.self) { span in span.indices.map { Double(float16(span[$0])) } }
  case .bfloat16:
    tensor.withElements(as: UInt16.self) { span in
      span.indices.map { Double(Float(BFloat16(bitPattern: span[$0]))) }
    }
  default: tensor.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
  }
}

/// Largest relative error of a number rounded to the type.
public func roundoff(_ type: ElementType) -> Double {
  switch type {
  case .bfloat16: 0x1p-8
  case .float16: 0x1p-11
  default: 0x1p-24
  }
}

/// Largest error of a small number rounded to the type, where the spacing no longer shrinks.
public func underflow(_ type: ElementType) -> Double { type == .float16 ? 0x1p-25 : 0x1p-127 }
