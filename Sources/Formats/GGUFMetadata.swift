internal import Memory

/// The keys and values of a GGUF file.
///
/// Values stay in the file until asked for: opening a model with a vocabulary of 100,000 strings makes none of them.
/// Accessors are strict: a value declared as another type than asked for is an error, never reinterpreted.
public struct GGUFMetadata: Sendable {
  /// Where a value lies and what it was declared to be.
  struct Entry: Sendable {
    var key: String
    var type: GGUFValueType
    /// Of an array.
    var elementType: GGUFValueType?
    /// Elements of an array, else 1.
    var count: Int
    /// The first byte of the value, behind the array's header.
    var offset: Int
  }

  let entries: [Entry]
  private let positions: [String: Int]
  private let storage: TensorStorage
  private let file: String

  /// - Precondition: every entry's bytes were checked to lie within `storage`, and no key occurs twice.
  init(_ entries: [Entry], positions: [String: Int], storage: TensorStorage, file: String) {
    self.entries = entries
    self.positions = positions
    self.storage = storage
    self.file = file
  }

  /// All keys, in the file's order.
  public var keys: [String] { entries.map(\.key) }

  /// Whether the file has a value for `key`.
  public func contains(_ key: String) -> Bool { positions[key] != nil }

  /// The declared type of a value and, for an array, of its elements; `nil` when there is no such key.
  public func type(of key: String) -> (type: GGUFValueType, element: GGUFValueType?, count: Int)? {
    positions[key].map { (entries[$0].type, entries[$0].elementType, entries[$0].count) }
  }
}

extension GGUFMetadata {
  /// An integer of any width.
  ///
  /// - Throws: ``FormatError/missingKey(file:key:)``, ``FormatError/wrongValue(file:key:expected:found:)``, as do
  ///   all accessors.
  public func integer(_ key: String) throws(FormatError) -> Int {
    try integer(entry(key), at: entry(key).offset)
  }

  /// An integer of any width, or `nil` when the key is absent.
  public func integerIfPresent(_ key: String) throws(FormatError) -> Int? {
    contains(key) ? try integer(key) : nil
  }

  /// A float32 or float64.
  public func number(_ key: String) throws(FormatError) -> Double {
    let entry = try entry(key)
    switch entry.type {
    case .float32: return Double(Float(bitPattern: UInt32(truncatingIfNeeded: raw(entry.offset, 4))))
    case .float64: return Double(bitPattern: raw(entry.offset, 8))
    default: throw wrong(entry, "a floating-point number")
    }
  }

  /// A float32 or float64, or `nil` when the key is absent.
  public func numberIfPresent(_ key: String) throws(FormatError) -> Double? {
    contains(key) ? try number(key) : nil
  }

  /// A truth value.
  public func bool(_ key: String) throws(FormatError) -> Bool {
    let entry = try entry(key)
    guard entry.type == .bool else { throw wrong(entry, "true or false") }
    return try bool(entry, at: entry.offset)
  }

  /// A truth value, or `nil` when the key is absent.
  public func boolIfPresent(_ key: String) throws(FormatError) -> Bool? {
    contains(key) ? try bool(key) : nil
  }

  /// A string.
  public func string(_ key: String) throws(FormatError) -> String {
    let entry = try entry(key)
    guard entry.type == .string else { throw wrong(entry, "a string") }
    let length = Int(truncatingIfNeeded: raw(entry.offset, 8))
    let start = entry.offset + 8
    return try utf8Text(
      storage.bytes.extracting(start..<start + length), file: file, item: "the value of \(key)")
  }

  /// A string, or `nil` when the key is absent.
  public func stringIfPresent(_ key: String) throws(FormatError) -> String? {
    contains(key) ? try string(key) : nil
  }
}

extension GGUFMetadata {
  /// An array of integers of any width.
  public func integers(_ key: String) throws(FormatError) -> [Int] {
    let entry = try arrayEntry(key)
    guard let element = entry.elementType, element.isInteger, let width = element.byteCount else {
      throw wrong(entry, "an array of integers")
    }
    var values: [Int] = []
    values.reserveCapacity(entry.count)
    for index in 0..<entry.count {
      values.append(try integer(entry, element: element, at: entry.offset + index * width))
    }
    return values
  }

  /// An array of float32.
  public func floats(_ key: String) throws(FormatError) -> [Float] {
    let entry = try arrayEntry(key)
    guard entry.elementType == .float32 else { throw wrong(entry, "an array of float32") }
    return (0..<entry.count).map {
      Float(bitPattern: UInt32(truncatingIfNeeded: raw(entry.offset + $0 * 4, 4)))
    }
  }

  /// An array of truth values.
  public func bools(_ key: String) throws(FormatError) -> [Bool] {
    let entry = try arrayEntry(key)
    guard entry.elementType == .bool else { throw wrong(entry, "an array of truth values") }
    var values: [Bool] = []
    for index in 0..<entry.count { values.append(try bool(entry, at: entry.offset + index)) }
    return values
  }

  /// An array of strings. Compare them by their UTF-8: `==` takes some distinct tokens for the same.
  public func strings(_ key: String) throws(FormatError) -> [String] {
    var values: [String] = []
    values.reserveCapacity(try arrayEntry(key).count)
    try forEachString(key) { (index, bytes) throws(FormatError) in
      values.append(try utf8Text(bytes, file: file, item: "string \(index) of \(key)"))
    }
    return values
  }

  /// Calls `body` with the index and the bytes of each string of an array, which need not be valid UTF-8.
  public func forEachString(
    _ key: String, _ body: (Int, Span<UInt8>) throws(FormatError) -> Void
  ) throws(FormatError) {
    let entry = try arrayEntry(key)
    guard entry.elementType == .string else { throw wrong(entry, "an array of strings") }
    var offset = entry.offset
    for index in 0..<entry.count {
      let length = Int(truncatingIfNeeded: raw(offset, 8))
      try body(index, storage.bytes.extracting(offset + 8..<offset + 8 + length))
      offset += 8 + length
    }
  }

  /// The value in short, for listings: strings are cut, arrays shown by their length.
  public func summary(_ key: String) throws(FormatError) -> String {
    let entry = try entry(key)
    switch entry.type {
    case .float32, .float64: return "\(try number(key))"
    case .bool: return "\(try bool(key))"
    case .string: return JSON.string(try string(key)).summary
    case .array: return "\(entry.count) × \(entry.elementType.map { "\($0)" } ?? "nothing")"
    case .uint64 where raw(entry.offset, 8) > UInt64(Int.max): return "\(raw(entry.offset, 8))"
    default: return "\(try integer(key))"
    }
  }
}

extension GGUFMetadata {
  private func entry(_ key: String) throws(FormatError) -> Entry {
    guard let position = positions[key] else { throw .missingKey(file: file, key: key) }
    return entries[position]
  }

  private func arrayEntry(_ key: String) throws(FormatError) -> Entry {
    let entry = try entry(key)
    guard entry.type == .array else { throw wrong(entry, "an array") }
    return entry
  }

  private func wrong(_ entry: Entry, _ expected: String) -> FormatError {
    let found = entry.elementType.map { "an array of \($0)" } ?? "\(entry.type)"
    return .wrongValue(file: file, key: entry.key, expected: expected, found: found)
  }

  private func integer(_ entry: Entry, at offset: Int) throws(FormatError) -> Int {
    guard entry.type.isInteger else { throw wrong(entry, "an integer") }
    return try integer(entry, element: entry.type, at: offset)
  }

  private func integer(_ entry: Entry, element: GGUFValueType, at offset: Int) throws(FormatError) -> Int {
    let bits = raw(offset, element.byteCount ?? 0)
    switch element {
    case .int8: return Int(Int8(truncatingIfNeeded: bits))
    case .int16: return Int(Int16(truncatingIfNeeded: bits))
    case .int32: return Int(Int32(truncatingIfNeeded: bits))
    case .int64: return Int(truncatingIfNeeded: bits)
    default:
      guard let value = Int(exactly: bits) else {
        throw .wrongValue(
          file: file, key: entry.key, expected: "an integer of at most \(Int.max)", found: "\(bits)")
      }
      return value
    }
  }

  private func bool(_ entry: Entry, at offset: Int) throws(FormatError) -> Bool {
    let byte = raw(offset, 1)
    guard byte <= 1 else {
      throw .wrongValue(file: file, key: entry.key, expected: "true (1) or false (0)", found: "byte \(byte)")
    }
    return byte == 1
  }

  /// `width` bytes at `offset`, little-endian.
  private func raw(_ offset: Int, _ width: Int) -> UInt64 {
    let bytes = storage.bytes
    var value: UInt64 = 0
    for index in (0..<width).reversed() { value = value << 8 | UInt64(bytes[offset + index]) }
    return value
  }
}

extension GGUFValueType {
  fileprivate var isInteger: Bool {
    switch self {
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: true
    case .float32, .float64, .bool, .string, .array: false
    }
  }
}
