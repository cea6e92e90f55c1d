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

/// The elements of a dense float32 tensor.
public func values(_ tensor: Tensor) -> [Double] {
  tensor.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
}
