/// A word of a template.
struct TemplateToken: Sendable {
  /// What the word is.
  enum Kind: Sendable, Equatable {
    case text(String)
    case outputBegin, outputEnd, blockBegin, blockEnd
    case name(String)
    case string(String)
    case integer(Int)
    case number(Double)
    case symbol(String)
    case end
  }

  /// What the word is.
  var kind: Kind
  /// Where it starts.
  var place: TemplatePlace
}

/// Cuts a template into words, with `trim_blocks` and `lstrip_blocks` on and one final newline dropped.
struct TemplateLexer {
  private let source: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private var lineStart = 0
  private var counted = 0
  private var tokens: [TemplateToken] = []
  /// Whether what was read last ended a line: only then may spaces before a block go.
  private var atLineStart = true

  /// Words of `text`.
  static func tokens(of text: String) throws(TemplateError) -> [TemplateToken] {
    var lexer = TemplateLexer(text)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ text: String) {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(text.utf8.count)
    var afterReturn = false
    for scalar in text.unicodeScalars {
      if scalar == "\r" {
        scalars.append("\n")
      } else if scalar != "\n" || !afterReturn {
        scalars.append(scalar)
      }
      afterReturn = scalar == "\r"
    }
    if scalars.last == "\n" { scalars.removeLast() }
    source = scalars
  }

  private mutating func place(_ index: Int) -> TemplatePlace {
    while counted < index {
      if source[counted] == "\n" {
        line += 1
        lineStart = counted + 1
      }
      counted += 1
    }
    return TemplatePlace(line: line, column: index - lineStart + 1)
  }

  private func matches(_ text: StaticString, at index: Int) -> Bool {
    var at = index
    for scalar in text.description.unicodeScalars {
      guard at < source.count, source[at] == scalar else { return false }
      at += 1
    }
    return true
  }

  private func skippingSpace(_ index: Int) -> Int {
    var at = index
    while at < source.count, source[at].isPythonSpace { at += 1 }
    return at
  }

  private mutating func emit(_ kind: TemplateToken.Kind, at index: Int) {
    tokens.append(TemplateToken(kind: kind, place: place(index)))
  }

  private func opening(from index: Int) -> Int? {
    var at = index
    while at + 1 < source.count {
      if source[at] == "{", source[at + 1] == "{" || source[at + 1] == "%" || source[at + 1] == "#" {
        return at
      }
      at += 1
    }
    return nil
  }

  private mutating func run() throws(TemplateError) {
    while let start = opening(from: position) {
      let kind = source[start + 1]
      let after = start + 2
      let sign = after < source.count ? source[after] : " "
      emitText(position, start, sign: sign, isOutput: kind == "{")
      let signed = sign == "-" || sign == "+"
      let inside = signed ? after + 1 : after
      if kind == "#" {
        try skipComment(from: inside, start: start)
      } else if kind == "%", let body = rawBegin(inside) {
        try readRaw(from: body, start: start)
      } else {
        emit(kind == "{" ? .outputBegin : .blockBegin, at: start)
        position = inside
        try readTag(isOutput: kind == "{", start: start)
      }
    }
    emitText(position, source.count, sign: "+", isOutput: true)
    emit(.end, at: source.count)
  }

  private mutating func emitText(_ from: Int, _ to: Int, sign: Unicode.Scalar, isOutput: Bool) {
    var end = to
    if sign == "-" {
      while end > from, source[end - 1].isPythonSpace { end -= 1 }
    } else if sign != "+", !isOutput {
      var at = to
      while at > from, source[at - 1] != "\n", source[at - 1].isPythonSpace { at -= 1 }
      if at > from ? source[at - 1] == "\n" : atLineStart { end = at }
    }
    guard end > from else { return }
    var text = ""
    text.unicodeScalars.append(contentsOf: source[from..<end])
    emit(.text(text), at: from)
  }

  private mutating func advance(to index: Int) {
    position = index
    atLineStart = index > 0 && source[index - 1] == "\n"
  }

  /// After a block's or comment's end at `index`: what its sign and `trim_blocks` swallow.
  private func trimmed(_ index: Int, sign: Unicode.Scalar) -> Int {
    if sign == "-" { return skippingSpace(index) }
    if sign != "+", index < source.count, source[index] == "\n" { return index + 1 }
    return index
  }

  private mutating func skipComment(from inside: Int, start: Int) throws(TemplateError) {
    var at = inside
    while at + 1 < source.count {
      if source[at] == "#", source[at + 1] == "}" {
        advance(to: trimmed(at + 2, sign: at > inside ? source[at - 1] : " "))
        return
      }
      at += 1
    }
    throw .syntax(at: place(start), problem: "this comment has no '#}'")
  }

  private func rawBegin(_ inside: Int) -> Int? {
    let word = skippingSpace(inside)
    guard matches("raw", at: word) else { return nil }
    let end = skippingSpace(word + 3)
    if matches("%}", at: end) { return end + 2 }
    return matches("-%}", at: end) ? skippingSpace(end + 3) : nil
  }

  private mutating func readRaw(from body: Int, start: Int) throws(TemplateError) {
    advance(to: body)
    var at = body
    while at + 1 < source.count {
      defer { at += 1 }
      guard source[at] == "{", source[at + 1] == "%" else { continue }
      let sign = at + 2 < source.count ? source[at + 2] : " "
      let word = skippingSpace(sign == "-" || sign == "+" ? at + 3 : at + 2)
      guard matches("endraw", at: word) else { continue }
      let end = skippingSpace(word + 6)
      let endSign = end < source.count ? source[end] : " "
      let close = endSign == "-" || endSign == "+" ? end + 1 : end
      guard matches("%}", at: close) else { continue }
      emitText(body, at, sign: sign, isOutput: false)
      advance(to: trimmed(close + 2, sign: endSign))
      return
    }
    throw .syntax(at: place(start), problem: "this raw block has no '{% endraw %}'")
  }

  private mutating func readTag(isOutput: Bool, start: Int) throws(TemplateError) {
    var brackets: [Unicode.Scalar] = []
    while true {
      position = skippingSpace(position)
      guard position < source.count else {
        throw .syntax(at: place(start), problem: "this tag has no '\(isOutput ? "}}" : "%}")'")
      }
      if brackets.isEmpty, endTag(isOutput: isOutput) { return }
      try readWord(&brackets)
    }
  }

  private mutating func endTag(isOutput: Bool) -> Bool {
    let sign = source[position]
    let close = sign == "-" || (sign == "+" && !isOutput) ? position + 1 : position
    guard isOutput ? matches("}}", at: close) : matches("%}", at: close) else { return false }
    emit(isOutput ? .outputEnd : .blockEnd, at: position)
    if isOutput {
      advance(to: sign == "-" ? skippingSpace(close + 2) : close + 2)
    } else {
      advance(to: trimmed(close + 2, sign: sign))
    }
    return true
  }

  private mutating func readWord(_ brackets: inout [Unicode.Scalar]) throws(TemplateError) {
    let start = position
    let first = source[start]
    if ("0"..."9").contains(first) { return try readNumber() }
    if first == "_" || first.properties.isXIDStart { return readName() }
    if first == "'" || first == "\"" { return try readString() }
    for symbol in ["//", "**", "==", "!=", ">=", "<="]
    where source[start...].starts(with: symbol.unicodeScalars) {
      position += 2
      return emit(.symbol(symbol), at: start)
    }
    guard "+-/*%~[](){}=<>.:|,;".unicodeScalars.contains(first) else {
      throw .syntax(at: place(start), problem: "unexpected character '\(first)'")
    }
    switch first {
    case "(": brackets.append(")")
    case "[": brackets.append("]")
    case "{": brackets.append("}")
    case ")", "]", "}":
      guard let expected = brackets.popLast() else {
        throw .syntax(at: place(start), problem: "'\(first)' closes nothing")
      }
      guard expected == first else {
        throw .syntax(at: place(start), problem: "'\(first)' stands where '\(expected)' must close a bracket")
      }
    default: break
    }
    position += 1
    emit(.symbol(String(Character(first))), at: start)
  }

  private mutating func readName() {
    let start = position
    while position < source.count, source[position] == "_" || source[position].properties.isXIDContinue {
      position += 1
    }
    var name = ""
    name.unicodeScalars.append(contentsOf: source[start..<position])
    emit(.name(name), at: start)
  }

  private func digits(from index: Int) -> Int {
    var at = index
    while at < source.count, ("0"..."9").contains(source[at]) || (source[at] == "_" && at > index) { at += 1 }
    while at > index, source[at - 1] == "_" { at -= 1 }
    return at
  }

  private mutating func readNumber() throws(TemplateError) {
    let start = position
    let afterDot = start > 0 && source[start - 1] == "."
    var end = digits(from: start)
    var isFloat = false
    var radix = 10
    if source[start] == "0", end == start + 1, end + 1 < source.count, let base = Self.radices[source[end]],
      source[end + 1].hexDigit ?? 99 < base
    {
      radix = base
      end += 1
      while end < source.count, source[end] == "_" || source[end].hexDigit ?? 99 < base { end += 1 }
    } else if !afterDot {
      if end + 1 < source.count, source[end] == ".", ("0"..."9").contains(source[end + 1]) {
        end = digits(from: end + 1)
        isFloat = true
      }
      if end + 1 < source.count, source[end] == "e" || source[end] == "E" {
        let signed = source[end + 1] == "+" || source[end + 1] == "-"
        let power = signed ? end + 2 : end + 1
        let last = digits(from: power)
        if last > power {
          end = last
          isFloat = true
        }
      }
    }
    var text = ""
    text.unicodeScalars.append(contentsOf: source[start..<end].filter { $0 != "_" })
    position = end
    if isFloat {
      emit(.number(Double(text) ?? .infinity), at: start)
    } else if let value = Int(radix == 10 ? text : String(text.dropFirst(2)), radix: radix) {
      emit(.integer(value), at: start)
    } else {
      throw .syntax(at: place(start), problem: "the number \(text) does not fit 64 bits")
    }
  }

  private static let radices: [Unicode.Scalar: Int] = ["x": 16, "X": 16, "o": 8, "O": 8, "b": 2, "B": 2]

  private mutating func readString() throws(TemplateError) {
    let start = position
    let quote = source[start]
    var text = String.UnicodeScalarView()
    position += 1
    while position < source.count, source[position] != quote {
      if source[position] == "\\" {
        try readEscape(into: &text)
      } else {
        text.append(source[position])
        position += 1
      }
    }
    guard position < source.count else {
      throw .syntax(at: place(start), problem: "this string does not end")
    }
    position += 1
    emit(.string(String(text)), at: start)
  }

  private static let escapes: [Unicode.Scalar: Unicode.Scalar] = [
    "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"",
    "a": "\u{7}", "b": "\u{8}", "f": "\u{C}", "v": "\u{B}",
  ]

  private mutating func readEscape(into text: inout String.UnicodeScalarView) throws(TemplateError) {
    let start = position
    guard start + 1 < source.count else {
      throw .syntax(at: place(start), problem: "this string does not end")
    }
    let letter = source[start + 1]
    position = start + 2
    if let plain = Self.escapes[letter] { return text.append(plain) }
    if letter == "\n" { return }
    if let octal = letter.hexDigit, octal < 8 {
      var value = octal
      while position < start + 4, position < source.count, let digit = source[position].hexDigit, digit < 8 {
        value = value * 8 + digit
        position += 1
      }
      if let scalar = Unicode.Scalar(UInt32(value)) { text.append(scalar) }
      return
    }
    let widths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
    guard let width = widths[letter] else {
      guard letter != "N" else {
        throw .syntax(at: place(start), problem: "'\\N{…}' is not read here; write the character itself")
      }
      text.append("\\")
      return text.append(letter)
    }
    var value: UInt32 = 0
    for _ in 0..<width {
      guard position < source.count, let digit = source[position].hexDigit else {
        throw .syntax(at: place(start), problem: "'\\\(letter)' needs \(width) hexadecimal digits")
      }
      value = value &* 16 &+ UInt32(digit)
      position += 1
    }
    guard let scalar = Unicode.Scalar(value) else {
      throw .syntax(at: place(start), problem: "'\\\(letter)' names \(value), which is no Unicode scalar")
    }
    text.append(scalar)
  }
}

extension Unicode.Scalar {
  /// Whether Python's `str.isspace` holds.
  var isPythonSpace: Bool {
    switch value {
    case 9...13, 28...32, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// Value of an ASCII hexadecimal digit.
  var hexDigit: Int? {
    switch value {
    case 48...57: Int(value) - 48
    case 65...70: Int(value) - 55
    case 97...102: Int(value) - 87
    default: nil
    }
  }
}
