internal import Memory

/// Walks a GGUF header once, checking as it goes.
struct GGUFParser {
  var reader: ByteReader
  var version = 0
  var metadata: [(key: String, value: GGUFValue)] = []
  var keys: [String: Int] = [:]
  var tensors: [GGUF.TensorInfo] = []
  var names: [String: Int] = [:]

  init(_ storage: TensorStorage, file: String) { reader = ByteReader(storage, file: file) }

  private func malformed(_ reason: String) -> FormatError { .malformed(file: reader.file, reason: reason) }

  mutating func parse() throws(FormatError) {
    let magic: UInt32 = try reader.integer()
    guard magic == GGUF.magic else { throw malformed("it does not start with GGUF; it is no GGUF file.") }
    let number: UInt32 = try reader.integer()
    guard (2...3).contains(number) else {
      throw .unsupported(file: reader.file, what: "GGUF version \(number) (2 and 3 are)")
    }
    version = Int(number)
    // The least a tensor's description takes is 32 bytes, a key with its value 13.
    let tensorCount = try reader.count(of: "the number of tensors", unit: 32)
    let keyCount = try reader.count(of: "the number of keys", unit: 13)
    for _ in 0..<keyCount { try parsePair() }
    let alignment = try alignment()
    var described: [(name: String, shape: [Int], type: UInt32, offset: UInt64)] = []
    for _ in 0..<tensorCount { described.append(try parseDescription()) }
    try place(described, alignment)
  }

  private mutating func parsePair() throws(FormatError) {
    let key = try reader.string("a key")
    guard !key.isEmpty, key.utf8.count <= GGUF.maximumNameBytes else {
      throw malformed("a key has \(key.utf8.count) bytes; 1 to \(GGUF.maximumNameBytes) are allowed.")
    }
    let type = try valueType(of: key)
    let value = try value(type, of: key)
    guard keys.updateValue(metadata.count, forKey: key) == nil else {
      throw malformed("key \(key) occurs twice.")
    }
    metadata.append((key, value))
  }

  private mutating func valueType(of key: String) throws(FormatError) -> GGUFType {
    let number: UInt32 = try reader.integer()
    guard let type = GGUFType(rawValue: number) else {
      throw malformed("key \(key) has value type \(number); 0 to 12 exist.")
    }
    return type
  }

  private mutating func value(_ type: GGUFType, of key: String) throws(FormatError) -> GGUFValue {
    switch type {
    case .uint8: return .integer(Int(try reader.integer(UInt8.self)))
    case .int8: return .integer(Int(try reader.integer(Int8.self)))
    case .uint16: return .integer(Int(try reader.integer(UInt16.self)))
    case .int16: return .integer(Int(try reader.integer(Int16.self)))
    case .uint32: return .integer(Int(try reader.integer(UInt32.self)))
    case .int32: return .integer(Int(try reader.integer(Int32.self)))
    case .int64: return .integer(Int(try reader.integer(Int64.self)))
    case .uint64:
      let value: UInt64 = try reader.integer()
      return Int(exactly: value).map { .integer($0) } ?? .unsigned(value)
    case .float32: return .float(Double(Float(bitPattern: try reader.integer())))
    case .float64: return .float(Double(bitPattern: try reader.integer()))
    case .bool:
      let byte: UInt8 = try reader.integer()
      guard byte <= 1 else { throw malformed("key \(key) is a bool of value \(byte); 0 or 1 are allowed.") }
      return .bool(byte == 1)
    case .string: return .string(try reader.string("the value of \(key)"))
    case .array: return try array(of: key)
    }
  }

  private mutating func array(of key: String) throws(FormatError) -> GGUFValue {
    let element = try valueType(of: key)
    guard element != .array else { throw .unsupported(file: reader.file, what: "the nested array in key \(key)") }
    let count = try reader.count(of: "the length of array \(key)", unit: element.leastBytes)
    let offset = reader.position
    if element == .string {
      for _ in 0..<count { try reader.skip(try reader.count(of: "a string's length in \(key)", unit: 1)) }
    } else {
      try reader.skip(count * element.leastBytes)
    }
    return .array(element: element, count: count, offset: offset)
  }

  private func alignment() throws(FormatError) -> Int {
    guard let number = keys["general.alignment"] else { return 32 }
    guard case .integer(let value) = metadata[number].value else {
      throw .wrongType(
        file: reader.file, key: "general.alignment", expected: "an integer",
        found: metadata[number].value.typeName)
    }
    guard value > 0, value <= 1 << 20, value & (value - 1) == 0 else {
      throw malformed("general.alignment is \(value); it must be a power of two up to 1048576.")
    }
    return value
  }

  private mutating func parseDescription() throws(FormatError) -> (
    name: String, shape: [Int], type: UInt32, offset: UInt64
  ) {
    let name = try reader.string("a tensor name")
    guard !name.isEmpty, name.utf8.count <= GGUF.maximumNameBytes else {
      throw malformed("a tensor name has \(name.utf8.count) bytes; 1 to \(GGUF.maximumNameBytes) are allowed.")
    }
    let dimensions: UInt32 = try reader.integer()
    guard dimensions >= 1, dimensions <= UInt32(GGUF.maximumDimensions) else {
      throw malformed("tensor \(name) has \(dimensions) dimensions; 1 to \(GGUF.maximumDimensions) are allowed.")
    }
    var shape: [Int] = []
    for _ in 0..<dimensions {
      let extent: Int64 = try reader.integer()
      guard extent > 0 else { throw malformed("tensor \(name) has an extent of \(extent); at least 1 is needed.") }
      shape.insert(Int(extent), at: 0)
    }
    return (name, shape, try reader.integer(), try reader.integer())
  }

  private mutating func place(
    _ described: [(name: String, shape: [Int], type: UInt32, offset: UInt64)], _ alignment: Int
  ) throws(FormatError) {
    let (padded, overflow) = reader.position.addingReportingOverflow(alignment - 1)
    guard !overflow else { throw malformed("the header's size overflows.") }
    let start = padded / alignment * alignment
    var ranges: [(start: Int, end: Int, name: String)] = []
    for tensor in described {
      let bytes = try byteCount(tensor.name, tensor.shape, tensor.type)
      guard let offset = Int(exactly: tensor.offset), offset % alignment == 0 else {
        throw malformed("tensor \(tensor.name) starts at \(tensor.offset), no multiple of \(alignment).")
      }
      let (from, overflow) = start.addingReportingOverflow(offset)
      let (to, beyond) = from.addingReportingOverflow(bytes)
      guard !overflow, !beyond, to <= reader.storage.byteCount else {
        throw malformed(
          "tensor \(tensor.name) needs \(bytes) bytes from offset \(tensor.offset) of the data, the file has "
            + "\(reader.storage.byteCount) in all. Copy the file again.")
      }
      guard names.updateValue(tensors.count, forKey: tensor.name) == nil else {
        throw malformed("tensor \(tensor.name) occurs twice.")
      }
      ranges.append((from, to, tensor.name))
      tensors.append(
        GGUF.TensorInfo(
          name: tensor.name, shape: tensor.shape, typeNumber: tensor.type,
          type: ElementType(ggufNumber: tensor.type), offset: from, byteCount: bytes))
    }
    ranges.sort { ($0.start, $0.end) < ($1.start, $1.end) }
    for (a, b) in zip(ranges, ranges.dropFirst()) where a.end > b.start {
      throw malformed("tensors \(a.name) and \(b.name) overlap.")
    }
  }

  private func byteCount(_ name: String, _ shape: [Int], _ number: UInt32) throws(FormatError) -> Int {
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw malformed("tensor \(name) of shape \(shape) has more elements than fit 63 bits.") }
      count = product
    }
    guard let type = ElementType(ggufNumber: number) else { return 0 }
    guard let row = shape.last, row % type.blockElements == 0, let bytes = type.byteCount(of: count) else {
      throw malformed(
        "tensor \(name) has rows of \(shape.last ?? 0), no whole blocks of \(type.blockElements) (\(type.rawValue)).")
    }
    return bytes
  }
}

extension ElementType {
  /// The type of that number in GGUF files; `nil` for those Godwit does not know.
  init?(ggufNumber number: UInt32) {
    let known: [UInt32: ElementType] = [
      0: .float32, 1: .float16, 2: .q4_0, 3: .q4_1, 6: .q5_0, 7: .q5_1, 8: .q8_0, 10: .q2_K, 11: .q3_K,
      12: .q4_K, 13: .q5_K, 14: .q6_K, 24: .int8, 25: .int16, 26: .int32, 27: .int64, 28: .float64,
      30: .bfloat16,
    ]
    guard let type = known[number] else { return nil }
    self = type
  }
}
