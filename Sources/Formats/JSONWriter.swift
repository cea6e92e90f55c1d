extension JSON {
  /// The value as one line of JSON text, without line breaks or spare spaces; members keep their order.
  ///
  /// - Throws: ``FormatError/cannotExpress(item:reason:)`` for a number that is infinite or NaN, and for nesting
  ///   deeper than ``maximumDepth``.
  public func serialized() throws(FormatError) -> String {
    var text: [UInt8] = []
    try write(into: &text, depth: 0)
    return String(decoding: text, as: UTF8.self)
  }

  /// Appends the UTF-8 of ``serialized()``.
  public func write(into text: inout [UInt8]) throws(FormatError) { try write(into: &text, depth: 0) }

  private func write(into text: inout [UInt8], depth: Int) throws(FormatError) {
    switch self {
    case .null: text.append(contentsOf: "null".utf8)
    case .bool(let value): text.append(contentsOf: (value ? "true" : "false").utf8)
    case .integer(let value): text.append(contentsOf: String(value).utf8)
    case .number(let value):
      guard value.isFinite else {
        throw .cannotExpress(item: "the number \(value)", reason: "JSON has only finite numbers")
      }
      text.append(contentsOf: value.description.utf8)
    case .string(let value): JSON.quote(value, into: &text)
    case .array(let elements):
      try JSON.requireDepth(depth)
      text.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        try element.write(into: &text, depth: depth + 1)
      }
      text.append(UInt8(ascii: "]"))
    case .object(let object):
      try JSON.requireDepth(depth)
      text.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        JSON.quote(member.key, into: &text)
        text.append(UInt8(ascii: ":"))
        try member.value.write(into: &text, depth: depth + 1)
      }
      text.append(UInt8(ascii: "}"))
    }
  }

  private static func requireDepth(_ depth: Int) throws(FormatError) {
    guard depth < maximumDepth else {
      throw .cannotExpress(item: "a JSON value", reason: "it is nested deeper than \(maximumDepth)")
    }
  }

  private static func quote(_ value: String, into text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\""): text.append(contentsOf: #"\""#.utf8)
      case UInt8(ascii: "\\"): text.append(contentsOf: #"\\"#.utf8)
      case 0x0A: text.append(contentsOf: #"\n"#.utf8)
      case 0x0D: text.append(contentsOf: #"\r"#.utf8)
      case 0x09: text.append(contentsOf: #"\t"#.utf8)
      case 0x00..<0x20:
        text.append(contentsOf: byte < 0x10 ? #"\u000"#.utf8 : #"\u00"#.utf8)
        text.append(contentsOf: String(byte, radix: 16).utf8)
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }
}
