/// GPT-2's printable stand-ins for bytes: every byte is written as one character of a fixed alphabet.
///
/// Radford et al., “Language Models are Unsupervised Multitask Learners”, 2019.
enum ByteAlphabet {
  /// Scalar that stands for each byte.
  static let scalars: [UInt32] = {
    var result = [UInt32](repeating: 0, count: 256)
    var next: UInt32 = 256
    for byte in UInt32(0)..<256 {
      let isPrintable = (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte)
      result[Int(byte)] = isPrintable ? byte : next
      if !isPrintable { next += 1 }
    }
    return result
  }()

  /// Byte that a scalar stands for, by scalar; scalars end at 323.
  static let bytes: [UInt8?] = {
    var result = [UInt8?](repeating: nil, count: 324)
    for (byte, scalar) in scalars.enumerated() { result[Int(scalar)] = UInt8(byte) }
    return result
  }()

  /// Bytes of a token written in the alphabet; `nil` where it holds another character.
  static func decode(_ token: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(token.count)
    var position = token.startIndex
    while position < token.endIndex {
      let first = token[position]
      var scalar = UInt32(first)
      position += 1
      if first >= 0x80 {
        // The alphabet ends at U+0143: two bytes of UTF-8 at most.
        guard first & 0xE0 == 0xC0, position < token.endIndex else { return nil }
        scalar = UInt32(first & 0x1F) << 6 | UInt32(token[position] & 0x3F)
        position += 1
      }
      guard Int(scalar) < bytes.count, let byte = bytes[Int(scalar)] else { return nil }
      result.append(byte)
    }
    return result
  }

  /// The alphabet's character for a byte, in UTF-8.
  static func character(_ byte: UInt8) -> [UInt8] {
    Array(String(Unicode.Scalar(scalars[Int(byte)]) ?? " ").utf8)
  }
}
