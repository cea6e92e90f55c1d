internal import Formats
internal import Glibc

/// Writes to the standard streams, and JSON by hand.
enum Output {
  /// Text to standard error.
  static func note(_ text: String) { send(text, to: STDERR_FILENO) }

  /// Text to standard output at once.
  static func write(_ text: String) { send(text, to: STDOUT_FILENO) }

  /// The text with its control and format characters written out, such as `\u{1B}`, so that a file cannot steer the
  /// terminal that shows it.
  static func visible(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Writes all bytes; a reader that has gone away ends the program quietly.
  private static func send(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var sent = 0
      while sent < bytes.count {
        guard let base = bytes.baseAddress else { return }
        let count = unsafe Glibc.write(descriptor, base + sent, bytes.count - sent)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { exit(1) }
        sent += count
      }
    }
  }

  /// Says what is under way where the progress line will be; nothing where standard error is no terminal.
  static func hint(_ text: String) { if showsProgress { note("\r\(text) \u{1B}[K") } }

  /// Whether standard error is a terminal.
  static var showsProgress: Bool { isatty(STDERR_FILENO) == 1 }

  /// One JSON object on a line of its own.
  static func json(_ members: KeyValuePairs<String, JSONField?>) { write(line(members)) }

  /// One JSON object and the line's end.
  static func line(_ members: KeyValuePairs<String, JSONField?>) -> String {
    let parts = members.compactMap { key, value in value.map { "\"\(key)\": \($0.text)" } }
    return "{" + parts.joined(separator: ", ") + "}\n"
  }

  /// A number with so many decimals; as it is where it has not so many, or is no finite number.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    // Beyond, doubles have no such decimals.
    guard abs(value) * scale < 0x1p53 else { return "\(value)" }
    let scaled = Int((abs(value) * scale).rounded())
    let whole = scaled / Int(scale)
    let rest = String(scaled % Int(scale))
    let sign = value < 0 && scaled > 0 ? "-" : ""
    if decimals == 0 { return "\(sign)\(whole)" }
    return "\(sign)\(whole)." + String(repeating: "0", count: decimals - rest.count) + rest
  }
}

/// A value of a JSON line.
struct JSONField: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
  let text: String

  init(stringLiteral value: String) { self.init(value) }
  init(integerLiteral value: Int) { text = "\(value)" }
  init(_ value: Int) { text = "\(value)" }
  init(_ value: Bool) { text = "\(value)" }

  /// A number with so many decimals; null where it is not finite.
  init(_ value: Double, decimals: Int) { text = value.isFinite ? Output.fixed(value, decimals) : "null" }

  /// A value that is JSON already.
  init(_ json: JSON) throws { text = try json.serialized() }

  init(_ values: [Int32]) { text = "[" + values.map { "\($0)" }.joined(separator: ", ") + "]" }

  init(_ string: String) {
    var result = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{0}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    text = result + "\""
  }
}

/// A progress line on standard error with the time left, where that is a terminal.
struct Progress {
  private let label: String
  /// What is done in the end.
  var total: Int
  private let start = ContinuousClock.now
  private var last = ContinuousClock.now

  init(_ label: String, total: Int) {
    self.label = label
    self.total = max(1, total)
  }

  /// Shows how much is done, at most ten times a second.
  mutating func update(_ done: Int) {
    guard Output.showsProgress, done > 0, ContinuousClock.now - last > .milliseconds(100) else { return }
    last = .now
    let elapsed = seconds(since: start)
    let left = Int(elapsed / Double(done) * Double(max(0, total - done)))
    Output.note("\r\(label): \(done)/\(total), \(left) s left \u{1B}[K")
  }

  /// Clears the line.
  func finish() { if Output.showsProgress { Output.note("\r\u{1B}[K") } }
}

/// Seconds from `start` to now.
func seconds(since start: ContinuousClock.Instant) -> Double {
  let (whole, rest) = (ContinuousClock.now - start).components
  return Double(whole) + Double(rest) * 1e-18
}
