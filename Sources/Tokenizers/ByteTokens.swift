/// The tokens of single bytes, written <0x00> to <0xFF>.
struct ByteTokens {
  /// Token of each byte; empty where the vocabulary has no byte tokens.
  private(set) var tokens: [Int32] = []
  /// Byte of each byte token.
  private(set) var values: [Int32: UInt8] = [:]

  /// None.
  init() {}

  /// The byte tokens among `names`, by their types.
  ///
  /// - Throws: ``TokenizerError/malformed(reason:)`` for a name that is no byte, and for some but not all bytes.
  init(_ names: ByteMap, _ types: [TokenType]) throws(TokenizerError) {
    for number in 0..<names.count where types[number] == .byte {
      guard let value = Self.value(names[number]) else {
        let name = String(decoding: names[number].prefix(60), as: UTF8.self)
        throw .malformed(reason: "byte token \(number) is \"\(name)\"; byte tokens are <0x00> to <0xFF>")
      }
      values[Int32(number)] = value
    }
    try index()
  }

  /// The byte tokens among `names`, all or none.
  init(_ names: ByteMap) throws(TokenizerError) {
    for number in 0..<names.count {
      if let value = Self.value(names[number]) { values[Int32(number)] = value }
    }
    try index()
  }

  private mutating func index() throws(TokenizerError) {
    guard !values.isEmpty else { return }
    var tokens = [Int32](repeating: -1, count: 256)
    for (token, value) in values { tokens[Int(value)] = token }
    guard let missing = tokens.firstIndex(of: -1) else {
      self.tokens = tokens
      return
    }
    throw .malformed(reason: "it has \(values.count) byte tokens but none for byte \(missing)")
  }

  /// The byte of a name with exactly two hexadecimal digits, capital as its makers write them.
  private static func value(_ name: ArraySlice<UInt8>) -> UInt8? {
    let bytes = Array(name)
    guard bytes.count == 6, bytes.starts(with: Array("<0x".utf8)), bytes[5] == UInt8(ascii: ">"),
      let high = digit(bytes[3]), let low = digit(bytes[4])
    else { return nil }
    return high << 4 | low
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    default: nil
    }
  }
}
