/// A value handed to a template: what JSON can say, with members in the order given.
public enum TemplateValue: Sendable {
  /// Python's `None`.
  case null
  /// Python's `True` or `False`.
  case boolean(Bool)
  /// A whole number; arithmetic that leaves 64 bits is an error.
  case integer(Int)
  /// A float.
  case number(Double)
  /// Text; lengths and indices count Unicode scalars, as in Python.
  case string(String)
  /// A list.
  case array([TemplateValue])
  /// A dictionary; of equal keys the last value and the first position hold.
  case object([(key: String, value: TemplateValue)])
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral,
  ExpressibleByFloatLiteral
{
  /// Text.
  public init(stringLiteral value: String) { self = .string(value) }
  /// A whole number.
  public init(integerLiteral value: Int) { self = .integer(value) }
  /// A truth value.
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  /// A float.
  public init(floatLiteral value: Double) { self = .number(value) }
  /// A list.
  public init(arrayLiteral elements: TemplateValue...) { self = .array(elements) }
  /// A dictionary.
  public init(dictionaryLiteral elements: (String, TemplateValue)...) {
    self = .object(elements.map { (key: $0.0, value: $0.1) })
  }
  /// `None`.
  public init(nilLiteral: ()) { self = .null }
}

/// One turn of a conversation.
public struct ChatMessage: Sendable, Hashable {
  /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
  public var role: String
  /// What is said.
  public var content: String

  /// A turn.
  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }

  /// The dictionary that templates read.
  public var value: TemplateValue { ["role": .string(role), "content": .string(content)] }
}

/// The moment `strftime_now` tells; given by the caller, so that a rendering can be repeated.
public struct TemplateDate: Sendable, Hashable {
  /// Year of the Gregorian calendar, 1 to 9999.
  public var year: Int
  /// Month, 1 to 12.
  public var month: Int
  /// Day of the month, from 1.
  public var day: Int
  /// Hour, 0 to 23.
  public var hour: Int
  /// Minute, 0 to 59.
  public var minute: Int
  /// Second, 0 to 59.
  public var second: Int

  /// A moment; midnight when no time is given.
  public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    precondition((1...9999).contains(year) && (1...12).contains(month), "year 1...9999, month 1...12")
    precondition((1...31).contains(day) && (0...23).contains(hour), "day 1...31, hour 0...23")
    precondition((0...59).contains(minute) && (0...59).contains(second), "minute and second 0...59")
    (self.year, self.month, self.day) = (year, month, day)
    (self.hour, self.minute, self.second) = (hour, minute, second)
  }
}
