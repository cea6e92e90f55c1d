extension JSON {
  /// Arrays and objects may be nested this deep: the parser recurses, and the stack is finite.
  public static let maximumDepth = 64
  /// Longest literal of one number, in bytes: exact conversion of longer ones costs time without adding precision.
  public static let maximumNumberBytes = 1024
  /// Longest text, in bytes: member positions are 32 bits wide.
  public static let maximumBytes = 1 << 30

  /// What a key that occurs twice in one object means.
  public enum DuplicateKeys: Sendable {
    /// An error.
    case refused
    /// The last value counts and stands where the first stood, as in Python.
    case lastWins
  }

  /// Parses a whole text: UTF-8 without byte-order mark, one value, only white space after it.
  ///
  /// - Parameters:
  ///   - bytes: the text.
  ///   - file: what error messages call it.
  /// - Throws: ``FormatError/syntax(file:line:column:reason:)``, ``FormatError/duplicate(file:item:name:)``,
  ///   ``FormatError/tooLarge(file:item:limit:found:)``.
  /// - Complexity: O(bytes) in time and memory.
  public static func parse(
    _ bytes: Span<UInt8>, file: String, duplicateKeys: DuplicateKeys = .refused
  ) throws(FormatError) -> JSON {
    guard bytes.count <= maximumBytes else {
      throw .tooLarge(
        file: file, item: "the JSON text's length", limit: maximumBytes, found: UInt64(bytes.count))
    }
    var parser = JSONParser(bytes, file: file, duplicateKeys: duplicateKeys)
    return try parser.document()
  }

  /// Parses a whole text.
  public static func parse(
    _ text: String, file: String, duplicateKeys: DuplicateKeys = .refused
  ) throws(FormatError) -> JSON {
    try parse(text.utf8Span.span, file: file, duplicateKeys: duplicateKeys)
  }
}

/// A position in a text, moving forward value by value.
struct JSONParser: ~Escapable {
  private let bytes: Span<UInt8>
  private let file: String
  private let duplicateKeys: JSON.DuplicateKeys
  private var position = 0
  private var depth = 0

  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>, file: String, duplicateKeys: JSON.DuplicateKeys) {
    self.bytes = bytes
    self.file = file
    self.duplicateKeys = duplicateKeys
  }

  mutating func document() throws(FormatError) -> JSON {
    if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF {
      throw syntax("a byte-order mark is not allowed in JSON; save the file as plain UTF-8")
    }
    skipSpace()
    let value = try value()
    skipSpace()
    guard position == bytes.count else { throw syntax("\(shown()) follows the end of the value") }
    return value
  }

  private mutating func value() throws(FormatError) -> JSON {
    guard position < bytes.count else { throw syntax("the text ends where a value must stand") }
    let byte = bytes[position]
    switch byte {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: throw syntax("a value must stand here, not \(shown())")
    }
  }

  private mutating func literal(_ word: StaticString, _ value: JSON) throws(FormatError) -> JSON {
    for byte in "\(word)".utf8 {
      guard position < bytes.count, bytes[position] == byte else {
        throw syntax("\"\(word)\" is cut or misspelt")
      }
      position += 1
    }
    return value
  }

  private mutating func array() throws(FormatError) -> JSON {
    try descend()
    var elements: [JSON] = []
    if !closes(UInt8(ascii: "]")) {
      // A tokenizer's merges are pairs by the hundred thousand.
      elements.reserveCapacity(2)
      repeat {
        skipSpace()
        elements.append(try value())
      } while try continues(until: UInt8(ascii: "]"))
    }
    depth -= 1
    return .array(elements)
  }

  private mutating func object() throws(FormatError) -> JSON {
    try descend()
    var members: [JSONObject.Member] = []
    if !closes(UInt8(ascii: "}")) {
      repeat {
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
          throw syntax("a key in quotes must stand here, not \(shown())")
        }
        let key = try string()
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: ":") else {
          throw syntax("a colon must follow the key, not \(shown())")
        }
        position += 1
        skipSpace()
        members.append(JSONObject.Member(key: key, value: try value()))
      } while try continues(until: UInt8(ascii: "}"))
    }
    depth -= 1
    return .object(try indexed(members))
  }

  private func indexed(_ members: [JSONObject.Member]) throws(FormatError) -> JSONObject {
    switch JSONObject.indexed(members) {
    case .success(let object): return object
    case .duplicate(let position):
      guard duplicateKeys == .lastWins else {
        throw .duplicate(file: file, item: "key", name: members[position].key)
      }
      return lastWins(members)
    }
  }

  private func lastWins(_ members: [JSONObject.Member]) -> JSONObject {
    var places: [[UInt8]: Int] = [:]
    var kept: [JSONObject.Member] = []
    for member in members {
      if let place = places.updateValue(kept.count, forKey: Array(member.key.utf8)) {
        kept[place].value = member.value
        places[Array(member.key.utf8)] = place
      } else {
        kept.append(member)
      }
    }
    return JSONObject(kept) ?? JSONObject()
  }

  /// Enters an array or object.
  private mutating func descend() throws(FormatError) {
    depth += 1
    guard depth <= JSON.maximumDepth else {
      throw syntax("arrays and objects are nested deeper than the limit of \(JSON.maximumDepth)")
    }
    position += 1
  }

  /// Steps over `end` if the array or object has no elements.
  private mutating func closes(_ end: UInt8) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == end else { return false }
    position += 1
    return true
  }

  /// Steps over a comma (`true`) or `end` (`false`).
  private mutating func continues(until end: UInt8) throws(FormatError) -> Bool {
    skipSpace()
    guard position < bytes.count else { throw syntax("the text ends inside an array or object") }
    let byte = bytes[position]
    guard byte == UInt8(ascii: ",") || byte == end else {
      throw syntax("a comma or \"\(Character(Unicode.Scalar(end)))\" must stand here, not \(shown())")
    }
    position += 1
    return byte != end
  }

  private mutating func skipSpace() {
    while position < bytes.count {
      let byte = bytes[position]
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      position += 1
    }
  }
}

extension JSONParser {
  /// A number: integral and in range as `Int`, else rounded to the nearest `Double`.
  private mutating func number() throws(FormatError) -> JSON {
    let start = position
    let negative = bytes[position] == UInt8(ascii: "-")
    if negative { position += 1 }
    var magnitude: Int? = 0
    let firstDigit = position
    while position < bytes.count, let digit = digit(at: position) {
      // Towards the negative, which reaches one further: Int.min parses too.
      if let held = magnitude {
        let (tens, over) = held.multipliedReportingOverflow(by: 10)
        let (sum, under) = tens.subtractingReportingOverflow(digit)
        magnitude = over || under ? nil : sum
      }
      position += 1
    }
    guard position > firstDigit else { throw syntax("a digit must follow the minus sign") }
    if bytes[firstDigit] == UInt8(ascii: "0"), position > firstDigit + 1 {
      throw syntax("a number must not start with 0")
    }
    let integral = try !fractionOrExponent()
    if integral, let value = magnitude {
      if negative, value != 0 { return .integer(value) }
      if !negative, value != .min { return .integer(-value) }
    }
    return .number(try double(start))
  }

  /// Steps over a fraction and an exponent; `false` when there is neither.
  private mutating func fractionOrExponent() throws(FormatError) -> Bool {
    let start = position
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      position += 1
      try digits("a digit must follow the decimal point")
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-")
      {
        position += 1
      }
      try digits("a digit must follow the exponent sign")
    }
    return position > start
  }

  private mutating func digits(_ complaint: String) throws(FormatError) {
    let start = position
    while position < bytes.count, digit(at: position) != nil { position += 1 }
    guard position > start else { throw syntax(complaint) }
  }

  private func digit(at position: Int) -> Int? {
    let value = bytes[position] &- UInt8(ascii: "0")
    return value <= 9 ? Int(value) : nil
  }

  private func double(_ start: Int) throws(FormatError) -> Double {
    let length = position - start
    guard length <= JSON.maximumNumberBytes else {
      throw .tooLarge(
        file: file, item: "the length of a number", limit: JSON.maximumNumberBytes, found: UInt64(length))
    }
    var text = ""
    for index in start..<position { text.unicodeScalars.append(Unicode.Scalar(bytes[index])) }
    guard let value = Double(text), value.isFinite else { throw syntax("the number \(text) is out of range") }
    return value
  }
}

extension JSONParser {
  /// A string, from its opening quote to behind its closing one.
  private mutating func string() throws(FormatError) -> String {
    position += 1
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        let utf8 = bytes.extracting(start..<position)
        let text = try text(utf8)
        position += 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try stringWithEscapes(from: start) }
      guard byte >= 0x20 else { throw syntax("a control character must be escaped in a string") }
      position += 1
    }
    throw syntax("the text ends inside a string")
  }

  private mutating func stringWithEscapes(from start: Int) throws(FormatError) -> String {
    var unescaped: [UInt8] = []
    unescaped.reserveCapacity(position - start + 16)
    for index in start..<position { unescaped.append(bytes[index]) }
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        let text = try text(unescaped.span)
        position += 1
        return text
      }
      guard byte >= 0x20 else { throw syntax("a control character must be escaped in a string") }
      if byte == UInt8(ascii: "\\") {
        try escape(into: &unescaped)
      } else {
        unescaped.append(byte)
        position += 1
      }
    }
    throw syntax("the text ends inside a string")
  }

  private func text(_ utf8: Span<UInt8>) throws(FormatError) -> String {
    do throws(UTF8.ValidationError) {
      return String(copying: try UTF8Span(validating: utf8))
    } catch {
      throw syntax("the string that ends here is not valid UTF-8")
    }
  }

  private mutating func escape(into text: inout [UInt8]) throws(FormatError) {
    guard position + 1 < bytes.count else { throw syntax("the text ends inside a string") }
    let byte = bytes[position + 1]
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      text.append(contentsOf: "\(try scalar())".utf8)
      return
    default: throw syntax("this escape is not one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
    }
    position += 2
  }

  /// The scalar of `\uXXXX`, or of two of them that form a surrogate pair.
  private mutating func scalar() throws(FormatError) -> Unicode.Scalar {
    let first = try codeUnit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00 else { throw syntax("a low surrogate must follow a high one") }
    guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
      bytes[position + 1] == UInt8(ascii: "u")
    else { throw syntax("a high surrogate stands alone") }
    let second = try codeUnit()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
    else { throw syntax("a high surrogate stands alone") }
    return scalar
  }

  private mutating func codeUnit() throws(FormatError) -> UInt16 {
    guard position + 6 <= bytes.count else { throw syntax("\\u needs four hexadecimal digits") }
    var unit: UInt16 = 0
    for index in position + 2..<position + 6 {
      let byte = bytes[index]
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw syntax("\\u needs four hexadecimal digits")
      }
      unit = unit << 4 | UInt16(digit)
    }
    position += 6
    return unit
  }

  /// What stands at the position, for a message.
  private func shown() -> String {
    guard position < bytes.count else { return "the end of the text" }
    let byte = bytes[position]
    let printable = (0x21..<0x7F).contains(byte)
    return printable ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte \(byte)"
  }

  private func syntax(_ reason: String) -> FormatError {
    var line = 1
    var lineStart = 0
    let end = min(position, bytes.count)
    for index in 0..<end where bytes[index] == 0x0A {
      line += 1
      lineStart = index + 1
    }
    return .syntax(file: file, line: line, column: end - lineStart + 1, reason: reason)
  }
}
