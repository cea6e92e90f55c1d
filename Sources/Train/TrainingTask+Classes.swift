internal import Formats
internal import Tasks

extension ListOps {
  /// Its name in recipes, and its keys.
  static let form = SettingForm(
    "listops", "Nested lists of digits under MIN, MAX, MED and SM are worked out; ten classes.",
    keys: [
      SettingKey("depth", .integer(1...64), default: 10, "Deepest nesting."),
      SettingKey(
        "operator_odds", .number(from: .including(0), to: .including(1)), default: 0.25,
        "How likely an operator stands where there may be one."),
      SettingKey(
        "arguments", .words("two integers from 1, the least and the most", example: [2, 4]),
        default: [2, 10],
        "Arguments of an operator."),
      SettingKey(
        "tokens", .words("two integers from 1, the least and the most", example: [4, 31]),
        default: [501, 1999],
        "Tokens of a list."),
      SettingKey(
        "width", .integer(2...1 << 29), otherwise: "the most `tokens` and 1",
        "Positions of an input, with the end and what fills it up; more than the most `tokens`."),
    ])

  /// - Parameter settings: an object with no keys but the form's.
  init(_ settings: JSONNode?) throws {
    var own = Settings()
    guard let settings else {
      try self.init(own)
      return
    }
    own.maximumDepth = try settings.optional("depth")?.positiveInteger() ?? own.maximumDepth
    own.operatorOdds = try settings.optional("operator_odds")?.number() ?? own.operatorOdds
    own.arguments = try settings.optional("arguments")?.range() ?? own.arguments
    own.lengths = try settings.optional("tokens")?.range() ?? own.lengths
    own.width = try settings.optional("width")?.positiveInteger() ?? own.lengths.upperBound + 1
    try self.init(own)
  }
}

extension Pathfinder {
  /// Its name in recipes, and its keys.
  static let form = SettingForm(
    "pathfinder", "Are two discs at the ends of one dashed snake? Two classes, a pixel a position.",
    keys: [
      SettingKey("size", .integer(16...1 << 14), default: 32, "Pixels of a picture's side."),
      SettingKey("contour", .integer(2...1 << 12), default: 14, "Dashes of a long snake."),
    ])

  /// - Parameter settings: an object with no keys but the form's.
  init(_ settings: JSONNode?) throws {
    let size = try settings?.optional("size")?.positiveInteger() ?? 32
    guard let contour = try settings?.optional("contour") else {
      try self.init(size: size)
      return
    }
    _ = try Pathfinder(size: size)
    var own = PathfinderSettings(size: size)
    own.contourLength = try contour.positiveInteger()
    own.distractorLength = max(1, own.contourLength / 3)
    try self.init(own)
  }
}

extension JSONNode {
  /// Two positive integers that ascend.
  fileprivate func range() throws(FormatError) -> ClosedRange<Int> {
    let bounds = try elements()
    guard bounds.count == 2 else { throw wrong("two numbers, the least and the most") }
    let (least, most) = (try bounds[0].positiveInteger(), try bounds[1].positiveInteger())
    guard least <= most else { throw wrong("two numbers that ascend") }
    return least...most
  }
}
