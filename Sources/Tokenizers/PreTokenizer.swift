/// How text is cut into words before byte pairs are merged; each follows a published pattern.
public enum PreTokenizer: String, Sendable, Hashable, CaseIterable {
  /// `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  case gpt2
  /// Numerals split off one by one, then GPT-2's pattern on what lies between.
  case smollm
  /// Llama 3: letters with one leading mark, numerals by up to three, line ends together.
  case llama3
  /// Qwen 2: as Llama 3 with single numerals.
  case qwen2

  /// Calls `word` with the byte range of each word of valid UTF-8, in order.
  func forEachWord(_ text: UnsafeBufferPointer<UInt8>, _ word: (Range<Int>) -> Void) {
    var classes = ScalarClasses()
    switch self {
    case .gpt2: unsafe scan(text, 0..<text.count, &classes, Self.gpt2Word, word)
    case .llama3, .qwen2:
      let digits = self == .llama3 ? 3 : 1
      unsafe scan(text, 0..<text.count, &classes, { Self.llamaWord(&$0, $1, digits) }, word)
    case .smollm:
      var start = 0
      var position = 0
      while position < text.count {
        let (kind, length) = unsafe classes.classify(text, position)
        if kind == .number || kind == .laterNumeral {
          unsafe scan(text, start..<position, &classes, Self.gpt2Word, word)
          unsafe scan(text, position..<(position + length), &classes, Self.gpt2Word, word)
          start = position + length
        }
        position += length
      }
      unsafe scan(text, start..<text.count, &classes, Self.gpt2Word, word)
    }
  }

  private func scan(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ classes: inout ScalarClasses,
    _ next: (inout Scanner, Int) -> Int, _ word: (Range<Int>) -> Void
  ) {
    var scanner = unsafe Scanner(text: text, end: range.upperBound, classes: classes)
    var position = range.lowerBound
    while position < range.upperBound {
      let end = next(&scanner, position)
      word(position..<end)
      position = end
    }
    classes = scanner.classes
  }

  private static func gpt2Word(_ s: inout Scanner, _ start: Int) -> Int {
    if let end = s.contraction(start, ignoringCase: false) { return end }
    let afterSpace = s.byte(start) == 0x20 ? start + 1 : start
    if afterSpace < s.end {
      let kind = s.kind(afterSpace)
      if kind == .letter || kind == .number || kind == .other { return s.run(of: kind, from: afterSpace) }
    }
    return s.whitespace(start)
  }

  private static func llamaWord(_ s: inout Scanner, _ start: Int, _ digits: Int) -> Int {
    if let end = s.contraction(start, ignoringCase: true) { return end }
    let (kind, length) = s.classify(start)
    if kind == .letter { return s.run(of: .letter, from: start) }
    let isLineEnd = s.byte(start) == 0x0A || s.byte(start) == 0x0D
    if kind != .number, !isLineEnd, start + length < s.end, s.kind(start + length) == .letter {
      return s.run(of: .letter, from: start + length)
    }
    if kind == .number { return s.run(of: .number, from: start, limit: digits) }
    let afterSpace = s.byte(start) == 0x20 ? start + 1 : start
    if afterSpace < s.end, s.kind(afterSpace) == .other {
      var end = s.run(of: .other, from: afterSpace)
      while end < s.end, s.byte(end) == 0x0A || s.byte(end) == 0x0D { end += 1 }
      return end
    }
    return s.lineEnds(start) ?? s.whitespace(start)
  }
}

/// Moves over UTF-8 by classes of characters.
@safe private struct Scanner {
  let text: UnsafeBufferPointer<UInt8>
  let end: Int
  var classes: ScalarClasses

  func byte(_ position: Int) -> UInt8 { unsafe text[position] }

  mutating func classify(_ position: Int) -> (kind: ScalarClass, length: Int) {
    let (kind, length) = unsafe classes.classify(text, position)
    return (kind == .laterNumeral ? .other : kind, length)
  }

  mutating func kind(_ position: Int) -> ScalarClass { classify(position).kind }

  mutating func run(of kind: ScalarClass, from start: Int, limit: Int = .max) -> Int {
    var position = start
    var count = 0
    while position < end, count < limit {
      let (next, length) = classify(position)
      guard next == kind else { break }
      position += length
      count += 1
    }
    return position
  }

  /// End of an English contraction such as 's or 'll.
  func contraction(_ start: Int, ignoringCase: Bool) -> Int? {
    guard byte(start) == 0x27, start + 1 < end else { return nil }
    func lower(_ position: Int) -> UInt8 {
      guard position < end else { return 0 }
      let value = byte(position)
      return ignoringCase && (0x41...0x5A).contains(value) ? value + 0x20 : value
    }
    let (a, b) = (lower(start + 1), lower(start + 2))
    // ſ (U+017F) folds to s.
    if ignoringCase, a == 0xC5, b == 0xBF { return start + 3 }
    if a == UInt8(ascii: "s") || a == UInt8(ascii: "d") || a == UInt8(ascii: "m") || a == UInt8(ascii: "t") {
      return start + 2
    }
    let isLong =
      a == UInt8(ascii: "l") && b == UInt8(ascii: "l") || a == UInt8(ascii: "v") && b == UInt8(ascii: "e")
      || a == UInt8(ascii: "r") && b == UInt8(ascii: "e")
    return isLong ? start + 3 : nil
  }

  /// End of `\s*[\r\n]+` where the white space at `start` holds a line end.
  mutating func lineEnds(_ start: Int) -> Int? {
    var last: Int?
    var position = start
    while position < end {
      let (kind, length) = classify(position)
      guard kind == .space else { break }
      position += length
      if byte(position - 1) == 0x0A || byte(position - 1) == 0x0D { last = position }
    }
    return last
  }

  /// End of `\s+(?!\S)|\s+`: white space up to, but without, the last before other text.
  mutating func whitespace(_ start: Int) -> Int {
    var position = start
    var previous = start
    while position < end {
      let (kind, length) = classify(position)
      guard kind == .space else { break }
      previous = position
      position += length
    }
    return position == end || previous == start ? position : previous
  }
}

/// What a character is to the patterns.
enum ScalarClass: UInt8 { case letter, number, space, other, laterNumeral }

/// Classes of characters, looked up in blocks of 256 that are made when first met.
struct ScalarClasses {
  private var blocks = [[ScalarClass]](repeating: [], count: 0x1100)

  /// Class and bytes of the character at `position` of valid UTF-8.
  mutating func classify(
    _ text: UnsafeBufferPointer<UInt8>, _ position: Int
  ) -> (kind: ScalarClass, length: Int) {
    let first = unsafe UInt32(text[position])
    if first < 0x80 { return (self[first], 1) }
    func more(_ offset: Int) -> UInt32 { unsafe UInt32(text[position + offset]) & 0x3F }
    if first < 0xE0 { return (self[(first & 0x1F) << 6 | more(1)], 2) }
    if first < 0xF0 { return (self[(first & 0x0F) << 12 | more(1) << 6 | more(2)], 3) }
    return (self[(first & 0x07) << 18 | more(1) << 12 | more(2) << 6 | more(3)], 4)
  }

  private subscript(scalar: UInt32) -> ScalarClass {
    mutating get {
      let block = Int(scalar >> 8)
      if blocks[block].isEmpty { blocks[block] = (0..<256).map { Self.kind(scalar & ~255 | $0) } }
      return blocks[block][Int(scalar & 255)]
    }
  }

  private static func kind(_ value: UInt32) -> ScalarClass {
    guard let scalar = Unicode.Scalar(value) else { return .other }
    // The patterns are matched with tables up to Unicode 16, where later characters are unassigned; numerals are split
    // off with newer ones.
    if let age = scalar.properties.age, age.major > 16 {
      return scalar.properties.numericType == nil ? .other : .laterNumeral
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return .letter
    case .decimalNumber, .letterNumber, .otherNumber: return .number
    default: return scalar.properties.isWhitespace ? .space : .other
    }
  }
}
