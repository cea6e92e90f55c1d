/// Python's view of text: scalars, its own notion of space, and how values print.
enum PythonText {
  /// Decimal form of a float as `repr` gives it.
  static func float(_ value: Double) -> String {
    // Both languages print the shortest digits that read back, but Swift turns to exponents at 2⁵³, Python at 10¹⁶.
    let text = value.description
    guard text.hasSuffix("e+15") else { return text }
    let sign = value < 0 ? "-" : ""
    let digits = String(text.dropLast(4).filter { $0 != "." && $0 != "-" })
    return sign + digits + String(repeating: "0", count: max(0, 16 - digits.count)) + ".0"
  }

  /// `repr` of a string.
  static func quoted(_ text: String) -> String {
    let quote: Unicode.Scalar =
      text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
    var out = String.UnicodeScalarView()
    out.append(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case quote, "\\":
        out.append("\\")
        out.append(scalar)
      case "\n": out.append(contentsOf: "\\n".unicodeScalars)
      case "\r": out.append(contentsOf: "\\r".unicodeScalars)
      case "\t": out.append(contentsOf: "\\t".unicodeScalars)
      default:
        if isPrintable(scalar) {
          out.append(scalar)
        } else {
          out.append(contentsOf: escape(scalar).unicodeScalars)
        }
      }
    }
    out.append(quote)
    return String(out)
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    let value = scalar.value
    if value < 0x100 { return "\\x" + hexadecimal(value, width: 2) }
    return value < 0x10000 ? "\\u" + hexadecimal(value, width: 4) : "\\U" + hexadecimal(value, width: 8)
  }

  /// Lower-case hexadecimal digits, padded with zeros.
  static func hexadecimal(_ value: UInt32, width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if (32..<127).contains(scalar.value) { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
      .spaceSeparator:
      return false
    default: return true
    }
  }

  /// Text from scalars.
  static func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  /// Without the scalars of `set` (spaces when `nil`) at the chosen ends.
  static func stripped(_ text: String, _ set: String?, left: Bool, right: Bool) -> String {
    let scalars = text.unicodeScalars
    let drop = set.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool { drop?.contains(scalar) ?? scalar.isPythonSpace }
    var start = scalars.startIndex
    var end = scalars.endIndex
    if left { while start < end, goes(scalars[start]) { start = scalars.index(after: start) } }
    if right {
      while start < end, goes(scalars[scalars.index(before: end)]) { end = scalars.index(before: end) }
    }
    return String(scalars[start..<end])
  }

  /// Offsets where `part` occurs, at most `limit` of them; linear in both lengths (Knuth, Morris and Pratt, 1977).
  static func occurrences<Unit: Equatable>(
    of part: [Unit], in text: [Unit], limit: Int = .max, overlapping: Bool = false
  ) -> [Int] {
    guard !part.isEmpty, part.count <= text.count else { return [] }
    var borders = [Int](repeating: 0, count: part.count)
    var length = 0
    for at in 1..<max(1, part.count) {
      while length > 0, part[at] != part[length] { length = borders[length - 1] }
      if part[at] == part[length] { length += 1 }
      borders[at] = length
    }
    var found: [Int] = []
    length = 0
    for at in text.indices where found.count < limit {
      while length > 0, text[at] != part[length] { length = borders[length - 1] }
      if text[at] == part[length] { length += 1 }
      guard length == part.count else { continue }
      found.append(at + 1 - part.count)
      length = overlapping ? borders[length - 1] : 0
    }
    return found
  }

  /// Pieces between occurrences of a separator; with `fromRight` the last `limit` occurrences count.
  static func split(_ text: String, by separator: String, limit: Int, fromRight: Bool) -> [String] {
    let bytes = Array(text.utf8)
    let part = Array(separator.utf8)
    var cuts: [Int]
    if fromRight {
      cuts = occurrences(of: part.reversed(), in: bytes.reversed(), limit: limit)
        .map { bytes.count - $0 - part.count }
      cuts.reverse()
    } else {
      cuts = occurrences(of: part, in: bytes, limit: limit)
    }
    var pieces: [String] = []
    var start = 0
    for cut in cuts {
      pieces.append(String(decoding: bytes[start..<cut], as: UTF8.self))
      start = cut + part.count
    }
    pieces.append(String(decoding: bytes[start...], as: UTF8.self))
    return pieces
  }

  /// Runs of scalars that are no spaces; what is left after `limit` cuts stays whole.
  static func words(_ text: String, limit: Int, fromRight: Bool) -> [String] {
    let scalars = fromRight ? Array(text.unicodeScalars.reversed()) : Array(text.unicodeScalars)
    var pieces: [[Unicode.Scalar]] = []
    var at = 0
    while true {
      while at < scalars.count, scalars[at].isPythonSpace { at += 1 }
      guard at < scalars.count else { break }
      var end = at
      if pieces.count == limit {
        end = scalars.count
        pieces.append(Array(scalars[at..<end]))
        break
      }
      while end < scalars.count, !scalars[end].isPythonSpace { end += 1 }
      pieces.append(Array(scalars[at..<end]))
      at = end
    }
    return fromRight ? pieces.reversed().map { self.text($0.reversed()) } : pieces.map { self.text($0) }
  }

  /// Lines as `str.splitlines` cuts them.
  static func lines(_ text: String, keepsEnds: Bool) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var lines: [String] = []
    var start = 0
    var at = 0
    while at < scalars.count {
      switch scalars[at].value {
      case 10...13, 28...30, 0x85, 0x2028, 0x2029:
        let end = at
        if scalars[at] == "\r", at + 1 < scalars.count, scalars[at + 1] == "\n" { at += 1 }
        lines.append(self.text(scalars[start..<(keepsEnds ? at + 1 : end)]))
        start = at + 1
      default: break
      }
      at += 1
    }
    if start < scalars.count { lines.append(self.text(scalars[start...])) }
    return lines
  }

  /// First scalar in title case, the rest in lower case.
  static func capitalized(_ text: some StringProtocol) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + self.text(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// `str.title`: a capital after every scalar that has no case.
  static func title(_ text: String) -> String {
    var out = ""
    var inWord = false
    for scalar in text.unicodeScalars {
      out += inWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      inWord = scalar.properties.isCased
    }
    return out
  }

  /// Whether `a` stands before `b` by code points.
  static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
}
