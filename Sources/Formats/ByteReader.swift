internal import Memory

/// Little-endian numbers out of a file, each read checked against what is left of it.
struct ByteReader: ~Escapable {
  private let bytes: Span<UInt8>
  private let file: String
  /// The next byte to be read.
  private(set) var position: Int

  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>, file: String, position: Int = 0) {
    self.bytes = bytes
    self.file = file
    self.position = position
  }

  /// Bytes not read yet.
  var remaining: Int { bytes.count - position }

  /// Steps over `count` bytes and returns where they are; `item` names them in the error.
  mutating func take(_ count: UInt64, _ item: @autoclosure () -> String) throws(FormatError) -> Range<Int> {
    guard count <= UInt64(remaining) else {
      throw .truncated(file: file, item: item(), needed: count, available: remaining)
    }
    let start = position
    position += Int(count)
    return start..<position
  }

  /// An unsigned number of `T`'s width.
  mutating func number<T: FixedWidthInteger & UnsignedInteger>(
    _: T.Type, _ item: @autoclosure () -> String
  ) throws(FormatError) -> T {
    let range = try take(UInt64(T.bitWidth / 8), item())
    var value: T = 0
    for index in range.reversed() { value = (value &<< 8) | T(truncatingIfNeeded: bytes[index]) }
    return value
  }

  /// A reader of the same bytes at another place.
  @_lifetime(copy self)
  func rewound(to position: Int) -> ByteReader { ByteReader(bytes, file: file, position: position) }

  /// Text of `count` bytes.
  mutating func text(_ count: UInt64, _ item: @autoclosure () -> String) throws(FormatError) -> String {
    let range = try take(count, item())
    return try utf8Text(bytes.extracting(range), file: file, item: item())
  }
}

/// The text that `bytes` are in UTF-8; `item` names it in the error.
func utf8Text(
  _ bytes: Span<UInt8>, file: String, item: @autoclosure () -> String
) throws(FormatError) -> String {
  do throws(UTF8.ValidationError) {
    return String(copying: try UTF8Span(validating: bytes))
  } catch {
    throw .malformed(file: file, item: item(), reason: "it is not valid UTF-8")
  }
}

/// Maps a file, with failures in this module's words.
func mapped(_ path: String) throws(FormatError) -> MappedFile {
  do throws(MemoryError) {
    return try MappedFile(path: path)
  } catch {
    throw FormatError(error, file: path)
  }
}

/// A dense tensor over `storage` whose first byte is where its elements may start.
func view(
  _ storage: TensorStorage, file: String, name: String, byteOffset: Int, type: ElementType, shape: [Int]
) throws(FormatError) -> Tensor {
  // Blocks hold float16 scales; plain scalars are read as themselves.
  let alignment = type.isBlocked ? 2 : type.blockBytes
  guard byteOffset % alignment == 0 else {
    throw .misaligned(file: file, tensor: name, offset: byteOffset, alignment: alignment)
  }
  do throws(MemoryError) {
    return try Tensor(storage, byteOffset: byteOffset, type: type, shape: shape)
  } catch {
    throw FormatError(error, file: file)
  }
}
