/// BERT's reading of text: controls dropped, accents stripped, letters lowered, and what stands alone as a word.
struct BertNormalizer: Sendable {
  /// Whether controls are dropped and every white space is a space.
  var cleansText = true
  /// Whether each Chinese character is a word.
  var isolatesChinese = true
  /// Whether characters are decomposed and their marks dropped.
  var stripsAccents = true
  /// Whether letters are lowered.
  var lowercases = true

  /// What a character is to the cutting of words.
  enum Kind { case space, alone, letter }

  /// Calls `body` with each character of valid UTF-8 after normalization, in order.
  func forEachScalar(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (Unicode.Scalar, Kind) -> Void) {
    var iterator = unsafe bytes.makeIterator()
    var decoder = UTF8()
    while case .scalarValue(let scalar) = unsafe decoder.decode(&iterator) {
      if scalar.isASCII { ascii(scalar, body) } else { other(scalar, body) }
    }
  }

  private func ascii(_ scalar: Unicode.Scalar, _ body: (Unicode.Scalar, Kind) -> Void) {
    switch scalar.value {
    case 0x09, 0x0A, 0x0D, 0x20: body(" ", .space)
    case 0x0B, 0x0C: if !cleansText { body(" ", .space) }
    case 0..<0x20, 0x7F: if !cleansText { body(scalar, .letter) }
    case 0x41...0x5A:
      body(lowercases ? Unicode.Scalar(UInt8(scalar.value + 0x20)) : scalar, .letter)
    case 0x30...0x39, 0x61...0x7A: body(scalar, .letter)
    default: body(scalar, .alone)
    }
  }

  private func other(_ scalar: Unicode.Scalar, _ body: (Unicode.Scalar, Kind) -> Void) {
    if cleansText, scalar.value == 0xFFFD || Self.isControl(scalar) { return }
    if scalar.properties.isWhitespace { return body(" ", .space) }
    let isolated = isolatesChinese && Self.isChinese(scalar)
    if isolated { body(" ", .space) }
    if !stripsAccents {
      lower(scalar, body)
    } else {
      Decompositions.forEach(scalar) { part in
        if !Self.isMark(part) { lower(part, body) }
      }
    }
    if isolated { body(" ", .space) }
  }

  private func lower(_ scalar: Unicode.Scalar, _ body: (Unicode.Scalar, Kind) -> Void) {
    guard lowercases else { return body(scalar, Self.kind(scalar)) }
    for lowered in scalar.properties.lowercaseMapping.unicodeScalars { body(lowered, Self.kind(lowered)) }
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch category(scalar) {
    case .control, .format, .privateUse: true
    default: false
    }
  }

  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    // Letters, a vowel sign and a punctuation mark in Unicode 8, nonspacing marks since; the next two the other way.
    case 0x1885, 0x1886, 0xA9BD, 0x111C9: false
    case 0x1734, 0x1171E: true
    default: category(scalar) == .nonspacingMark
    }
  }

  /// The category in Unicode 8, where later characters are unassigned: the tokenizers of published models are made
  /// with its tables.
  private static func category(_ scalar: Unicode.Scalar) -> Unicode.GeneralCategory {
    guard let age = scalar.properties.age, age.major <= 8 else { return .unassigned }
    return scalar.properties.generalCategory
  }

  private static func kind(_ scalar: Unicode.Scalar) -> Kind {
    switch scalar.value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E, 0x166D, 0x111C9: return .alone
    default: break
    }
    if scalar.properties.isWhitespace { return .space }
    switch category(scalar) {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      return .alone
    default: return .letter
    }
  }

  private static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }
}
