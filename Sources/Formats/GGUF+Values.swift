internal import Memory

extension GGUF {
  private func wrong(_ key: String, _ expected: String, _ found: GGUFValue) -> FormatError {
    .wrongType(file: name, key: key, expected: expected, found: found.typeName)
  }

  private func required(_ key: String) throws(FormatError) -> GGUFValue {
    guard let value = self[key] else { throw .missing(file: name, key: key) }
    return value
  }

  /// An integer; missing or of another type is an error.
  public func integer(_ key: String) throws(FormatError) -> Int {
    let value = try required(key)
    guard case .integer(let number) = value else { throw wrong(key, "an integer", value) }
    return number
  }

  /// An integer, or `nil` where the key is absent.
  public func optionalInteger(_ key: String) throws(FormatError) -> Int? {
    self[key] == nil ? nil : try integer(key)
  }

  /// A float (integers are widened).
  public func float(_ key: String) throws(FormatError) -> Double {
    let value = try required(key)
    switch value {
    case .float(let number): return number
    case .integer(let number): return Double(number)
    default: throw wrong(key, "a number", value)
    }
  }

  /// A float, or `nil` where the key is absent.
  public func optionalFloat(_ key: String) throws(FormatError) -> Double? {
    self[key] == nil ? nil : try float(key)
  }

  /// A bool, or `nil` where the key is absent.
  public func optionalBool(_ key: String) throws(FormatError) -> Bool? {
    guard let value = self[key] else { return nil }
    guard case .bool(let flag) = value else { throw wrong(key, "a bool", value) }
    return flag
  }

  /// A string.
  public func string(_ key: String) throws(FormatError) -> String {
    let value = try required(key)
    guard case .string(let text) = value else { throw wrong(key, "a string", value) }
    return text
  }

  /// A string, or `nil` where the key is absent.
  public func optionalString(_ key: String) throws(FormatError) -> String? {
    self[key] == nil ? nil : try string(key)
  }

  private func array(_ key: String, of wanted: GGUFType) throws(FormatError) -> (count: Int, offset: Int) {
    let value = try required(key)
    guard case .array(let element, let count, let offset) = value, element == wanted else {
      throw wrong(key, "an array of \(wanted)", value)
    }
    return (count, offset)
  }

  /// Calls `body` with the bytes of each string of an array, in order; the bytes need not be UTF-8.
  public func forEachString(
    _ key: String, _ body: (UnsafeRawBufferPointer) throws(FormatError) -> Void
  ) throws(FormatError) {
    let (count, start) = try array(key, of: .string)
    var position = start
    for _ in 0..<count {
      // The parser walked the same lengths, so they are known to stay inside the file.
      let length = unsafe Int(UInt64(littleEndian: (storage.baseAddress + position).loadUnaligned(as: UInt64.self)))
      unsafe try body(UnsafeRawBufferPointer(start: storage.baseAddress + position + 8, count: length))
      position += 8 + length
    }
  }

  /// Elements of a string array.
  public func stringCount(_ key: String) throws(FormatError) -> Int { try array(key, of: .string).count }

  /// A float32 array.
  public func floats(_ key: String) throws(FormatError) -> [Float] {
    let (count, offset) = try array(key, of: .float32)
    return (0..<count).map { unsafe (storage.baseAddress + offset + $0 * 4).loadUnaligned(as: Float.self) }
  }

  /// An int32 array.
  public func integers(_ key: String) throws(FormatError) -> [Int32] {
    let (count, offset) = try array(key, of: .int32)
    return (0..<count).map { unsafe (storage.baseAddress + offset + $0 * 4).loadUnaligned(as: Int32.self) }
  }
}
