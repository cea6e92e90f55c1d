internal import Memory

/// Reads little-endian numbers from bytes; every step is checked against what is left.
struct ByteReader {
  let storage: TensorStorage
  let file: String
  private(set) var position = 0

  init(_ storage: TensorStorage, file: String) {
    self.storage = storage
    self.file = file
  }

  var remaining: Int { storage.byteCount - position }

  /// Moves past `count` bytes and returns where they started.
  @discardableResult
  mutating func skip(_ count: Int) throws(FormatError) -> Int {
    guard count >= 0, count <= remaining else {
      throw .truncated(file: file, at: position, wanted: count, available: remaining)
    }
    let start = position
    position += count
    return start
  }

  /// The next number of a fixed-width integer type.
  mutating func integer<Number: FixedWidthInteger>(_: Number.Type = Number.self) throws(FormatError) -> Number {
    let start = try skip(MemoryLayout<Number>.size)
    var value: Number = 0
    for offset in (0..<MemoryLayout<Number>.size).reversed() {
      value = (MemoryLayout<Number>.size > 1 ? value << 8 : 0) | Number(truncatingIfNeeded: byte(start + offset))
    }
    return value
  }

  /// A count or length of 64 bits that must fit what is left when each unit takes at least `unit` bytes.
  mutating func count(of what: String, unit: Int) throws(FormatError) -> Int {
    let at = position
    let value: UInt64 = try integer()
    guard let count = Int(exactly: value), count <= remaining / max(1, unit) else {
      throw .malformed(
        file: file,
        reason: "\(what) at byte \(at) is \(value), but only \(remaining) bytes follow. The file is damaged.")
    }
    return count
  }

  /// A length and that many bytes of UTF-8.
  mutating func string(_ what: String) throws(FormatError) -> String {
    let length = try count(of: "the length of \(what)", unit: 1)
    let start = try skip(length)
    guard let text = text(start, length) else {
      throw .malformed(file: file, reason: "\(what) at byte \(start) is not UTF-8.")
    }
    return text
  }

  func byte(_ offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < storage.byteCount, "byte \(offset) of \(storage.byteCount)")
    return unsafe storage.baseAddress.load(fromByteOffset: offset, as: UInt8.self)
  }

  /// Bytes as text, `nil` where they are not UTF-8.
  func text(_ start: Int, _ length: Int) -> String? {
    precondition(start >= 0 && length >= 0 && start + length <= storage.byteCount, "text leaves the file")
    let bytes = unsafe UnsafeRawBufferPointer(start: storage.baseAddress + start, count: length)
    return unsafe String(validating: bytes, as: UTF8.self)
  }
}
