/// The bytes of a small GGUF file whose numbers are all 0.
struct GGUFBytes {
  /// A value of the metadata.
  enum Value {
    case text(String)
    case integer(UInt32)
    case number(Float)
  }

  /// What a tensor's header says, dimensions in the file's order.
  struct Tensor {
    let name: String
    let dimensions: [UInt64]
    let type: UInt32

    /// A tensor of 32 bytes of data, whatever its header says.
    init(_ name: String, _ dimensions: [UInt64], type: UInt32 = 0) {
      (self.name, self.dimensions, self.type) = (name, dimensions, type)
    }
  }

  /// The file.
  private(set) var bytes = Array("GGUF".utf8)

  /// A file of version 3.
  init(_ values: KeyValuePairs<String, Value>, _ tensors: [Tensor]) {
    put(UInt32(3))
    put(UInt64(tensors.count))
    put(UInt64(values.count))
    for (key, value) in values {
      put(key)
      switch value {
      case .text(let text):
        put(UInt32(8))
        put(text)
      case .integer(let integer):
        put(UInt32(4))
        put(integer)
      case .number(let number):
        put(UInt32(6))
        put(number.bitPattern)
      }
    }
    for (index, tensor) in tensors.enumerated() {
      put(tensor.name)
      put(UInt32(tensor.dimensions.count))
      for dimension in tensor.dimensions { put(dimension) }
      put(tensor.type)
      put(UInt64(32 * index))
    }
    while bytes.count % 32 != 0 { bytes.append(0) }
    bytes += [UInt8](repeating: 0, count: 32 * tensors.count)
  }

  private mutating func put(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }

  private mutating func put(_ text: String) {
    put(UInt64(text.utf8.count))
    bytes += text.utf8
  }
}
