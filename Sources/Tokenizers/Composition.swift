internal import Foundation

/// Canonical composition (NFC).
enum Composition {
  /// Valid UTF-8 with characters and their marks composed.
  ///
  /// Swift's own composition (6.3) takes the characters next to the Hangul letters for letters, and characters past
  /// U+20000 for those 17 bits below. None of them composes with anything, so text is composed in parts cut there.
  static func composed(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var start = 0
    for position in bytes.indices {
      guard let cut = unsafe cut(bytes, position), cut > start else { continue }
      unsafe append(bytes[start..<cut], to: &result)
      start = cut
    }
    unsafe append(bytes[start...], to: &result)
    return result
  }

  /// Where to cut because of the character at `position`, if at all.
  private static func cut(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> Int? {
    let first = unsafe bytes[position]
    if first >= 0xF1 { return position + 4 }
    if first == 0xF0 { return unsafe bytes[position + 1] >= 0xA0 ? position + 4 : nil }
    guard first == 0xE1 else { return nil }
    switch unsafe (bytes[position + 1], bytes[position + 2]) {
    // U+1113, after the beginnings.
    case (0x84, 0x93): return position + 3
    // U+1176, after the vowels; U+11A7 and U+11C3, before and after the ends.
    case (0x85, 0xB6), (0x86, 0xA7), (0x87, 0x83): return position
    default: return nil
    }
  }

  private static func append(_ part: Slice<UnsafeBufferPointer<UInt8>>, to result: inout [UInt8]) {
    result += unsafe String(decoding: part, as: UTF8.self).precomposedStringWithCanonicalMapping.utf8
  }
}
