/// Canonical decompositions of characters without their nonspacing marks.
enum Decompositions {
  /// Calls `body` with the parts of a character, or with the character itself where it has none.
  static func forEach(_ scalar: Unicode.Scalar, _ body: (Unicode.Scalar) -> Void) {
    let value = scalar.value
    if (0xAC00...0xD7A3).contains(value) { return hangul(value - 0xAC00, body) }
    // Published tokenizers decompose by Unicode 12.
    guard let range = parts[value], scalar.properties.age?.major ?? 99 <= 12 else { return body(scalar) }
    for part in range { body(part) }
  }

  /// Hangul syllables follow from their number: 21 vowels and 28 ends (the first is none) to each beginning.
  private static func hangul(_ index: UInt32, _ body: (Unicode.Scalar) -> Void) {
    for value in [0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28] where value != 0x11A7
    {
      if let part = Unicode.Scalar(value) { body(part) }
    }
  }

  private static let parts: [UInt32: [Unicode.Scalar]] = {
    var result: [UInt32: [Unicode.Scalar]] = [:]
    for row in DecompositionTable.text.description.split(separator: " ") {
      let values = row.split(separator: ",").compactMap { UInt32($0, radix: 16) }
      if let first = values.first { result[first] = values.dropFirst().compactMap(Unicode.Scalar.init) }
    }
    return result
  }()
}
