/// What may stand at a key of settings.
public enum SettingValues: Sendable, Equatable {
  /// Which integers of a range.
  public enum Parity: Sendable, Equatable {
    /// All.
    case any
    /// Those that two divides.
    case even
    /// The others.
    case odd
  }

  /// An end of a range of numbers.
  public enum Bound: Sendable, Equatable {
    /// The number may stand there.
    case including(Double)
    /// It may not.
    case excluding(Double)
  }

  /// An integer of a range.
  case integer(ClosedRange<Int>, Parity = .any)
  /// A number between two ends, where there are ends.
  case number(from: Bound?, to: Bound?)
  /// `true` or `false`.
  case truth
  /// Any text.
  case text
  /// One of these names.
  case choice([String])
  /// What the words say, and one that may stand there.
  case words(String, example: JSON)
  /// An object with these keys.
  case object([SettingKey])
  /// The name of a form, or an object of the name and the form's keys: `name` or `{name: {…}}`.
  case named([SettingForm])
  /// An object of one of several forms; which of them is said elsewhere.
  case oneOf([SettingForm])

  /// An integer that ``JSONNode/positiveInteger()`` takes.
  public static let count = SettingValues.integer(1...Int(Int32.max))
  /// A number of at least 0 and below 1.
  public static let share = SettingValues.number(from: .including(0), to: .excluding(1))
  /// A number above 0.
  public static let positive = SettingValues.number(from: .excluding(0), to: nil)
  /// A number of at least 0.
  public static let nonNegative = SettingValues.number(from: .including(0), to: nil)
}

extension SettingValues: CustomStringConvertible {
  /// What may stand there, in a few words.
  public var description: String {
    switch self {
    case .integer(let range, let parity):
      let kind = parity == .any ? "integer" : parity == .odd ? "odd integer" : "even integer"
      // A reader knows that some number is too large for a count.
      return range.upperBound >= Int(Int32.max)
        ? "\(kind) from \(range.lowerBound)" : "\(kind) from \(range.lowerBound) to \(range.upperBound)"
    case .number(let least, let most):
      switch (least, most) {
      case (nil, nil): return "number"
      case (let least?, nil): return "number \(least.isIncluded ? "from" : "above") \(least.text)"
      case (nil, let most?): return "number \(most.isIncluded ? "up to" : "below") \(most.text)"
      case (let least?, let most?):
        let start = least.isIncluded ? "from \(least.text) to" : "above \(least.text) and"
        let end = most.isIncluded ? (least.isIncluded ? "" : "up to ") : "below "
        return "number \(start) \(end)\(most.text)"
      }
    case .truth: return "true or false"
    case .text: return "text"
    case .choice(let names): return names.joined(separator: ", ")
    case .words(let words, _): return words
    case .object: return "object"
    case .named: return "name, or object of one"
    case .oneOf: return "object"
    }
  }
}

extension SettingValues.Bound {
  /// Where it is.
  public var number: Double {
    switch self {
    case .including(let number), .excluding(let number): number
    }
  }

  /// Whether the number may stand there.
  public var isIncluded: Bool { if case .including = self { true } else { false } }

  /// The number without a fraction that is 0.
  fileprivate var text: String { Int(exactly: number).map { "\($0)" } ?? "\(number)" }
}
