internal import Foundation

/// Canonical composition (NFC).
enum Composition {
  /// Characters just outside the vowels and ends of Hangul, which Swift's own composition (6.3) takes for such:
  /// U+1176 would join the beginning before it to another syllable, U+11A7 would vanish. Nothing composes with what
  /// stands before them, so text is composed in parts that they begin.
  private static let outsiders: [[UInt8]] = [Array("\u{1176}".utf8), Array("\u{11A7}".utf8)]

  /// Valid UTF-8 with characters and their marks composed.
  static func composed(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var start = 0
    for position in bytes.indices.dropLast(2) where unsafe bytes[position] == 0xE1 {
      let character = unsafe bytes[position..<(position + 3)]
      guard outsiders.contains(where: { unsafe character.elementsEqual($0) }) else { continue }
      unsafe append(bytes[start..<position], to: &result)
      start = position
    }
    unsafe append(bytes[start...], to: &result)
    return result
  }

  private static func append(_ part: Slice<UnsafeBufferPointer<UInt8>>, to result: inout [UInt8]) {
    result += unsafe String(decoding: part, as: UTF8.self).precomposedStringWithCanonicalMapping.utf8
  }
}
