internal import Memory

/// ListOps: nested lists of digits under MIN, MAX, MED and SM, whose value, a digit, is the label.
///
/// `[MAX 2 9 [MIN 4 7 X 0 X` is 9: X closes a list. SM is the sum modulo 10; MED is the median, the mean of the middle
/// two rounded down where the arguments are even in number. Expressions are drawn until one has a wanted length; the ten
/// values are not equally likely.
///
/// Nangia and Bowman, “ListOps”, 2018, arXiv:1804.06028, with the settings of Tay et al., “Long Range Arena”, 2020,
/// arXiv:2011.04006.
public struct ListOps: Sendable {
  /// How expressions are drawn.
  public struct Settings: Sendable, Equatable {
    /// Deepest nesting; the whole expression is at depth 1, and at this depth there are only digits.
    public var maximumDepth = 10
    /// The odds that what is less deep is an operator and not a digit.
    public var operatorOdds = 0.25
    /// How many arguments an operator may have, all equally likely.
    public var arguments = 2...10
    /// Tokens that an expression may have, without the end.
    public var lengths = 501...1999
    /// Tokens of an input with the end and what pads it.
    public var width = 2048

    /// The settings of Long Range Arena.
    public init() {}
  }

  /// The text of every token, by id: "<pad>" 0, "<unk>" 1, "<eos>" 2, then digits, operators and X.
  public static let names =
    ["<pad>", "<unk>", "<eos>"] + (0...9).map(String.init) + ["[MIN", "[MAX", "[MED", "[SM", "X"]

  /// The token that pads inputs.
  static let pad: Int32 = 0
  /// The token that ends every expression.
  static let end: Int32 = 2

  /// How expressions are drawn.
  public let settings: Settings

  /// Expressions drawn so.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a setting that no expression can have.
  public init(_ settings: Settings = Settings()) throws(TaskError) {
    let task = "ListOps"
    // Each level of nesting is a call on the stack.
    try TaskError.require("the maximum depth", settings.maximumDepth, in: 1...64, of: task)
    try TaskError.require("the odds of an operator", settings.operatorOdds, in: 0...1, of: task)
    for bound in [settings.arguments.lowerBound, settings.arguments.upperBound] {
      try TaskError.require("a number of arguments", bound, in: 1...1 << 20, of: task)
    }
    for bound in [settings.lengths.lowerBound, settings.lengths.upperBound] {
      try TaskError.require("a length", bound, in: 1...1 << 28, of: task)
    }
    try TaskError.require(
      "the width", settings.width, in: settings.lengths.upperBound + 1...1 << 29, of: task,
      because: "the longest expression and its end must fit")
    self.settings = settings
  }

  /// How many token ids there are.
  public var vocabularySize: Int { Self.names.count }

  /// `count` different expressions with "<eos>" behind, padded with "<pad>", and their values.
  ///
  /// They are the same on every machine for a seed; fewer of them are the first of more.
  ///
  /// - Throws: ``TaskError/unreachable(task:goal:draws:remedy:)`` when drawing does not come to a wanted length,
  ///   ``TaskError/tooFewDistinct(task:wanted:found:duplicates:)`` when there are not so many expressions, and
  ///   ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func examples(_ count: Int, seed: UInt64) throws(TaskError) -> LabelledExamples<Int32> {
    var draws = try draws(count, seed: seed)
    return try draws.next(count)
  }

  /// The same examples, some at a time.
  ///
  /// - Parameter count: how many there will be in all.
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func draws(_ count: Int, seed: UInt64) throws(TaskError) -> ListOpsDraws {
    try TaskError.requireCount(count, of: settings.width, task: "ListOps")
    return ListOpsDraws(self, count, seed: seed)
  }

  /// At the defaults 1 draw in 12 has a wanted length; settings where 1 in 1000 has one fail once in e²⁰.
  private static let mostDraws = 20_000

  fileprivate func draw(
    _ expression: inout ListOpsExpression, using generator: inout some RandomNumberGenerator
  ) throws(TaskError) {
    for _ in 0..<Self.mostDraws {
      if expression.draw(using: &generator) { return }
    }
    throw .unreachable(
      task: "ListOps", goal: "\(settings.lengths.lowerBound) to \(settings.lengths.upperBound) tokens",
      draws: Self.mostDraws, remedy: "Allow other lengths, more depth, more arguments or more operators.")
  }
}

/// Expressions in the order in which a seed draws them, of which fingerprints are kept.
public struct ListOpsDraws: Sendable {
  private let task: ListOps
  private var generator: SeededNumbers
  private var distinct: DistinctSequences
  private var expression: ListOpsExpression

  fileprivate init(_ task: ListOps, _ count: Int, seed: UInt64) {
    self.task = task
    generator = SeededNumbers(seed: seed)
    distinct = DistinctSequences(task: "ListOps", wanted: count)
    expression = ListOpsExpression(task.settings)
  }

  /// The next `count` expressions with their values.
  ///
  /// - Throws: ``TaskError/unreachable(task:goal:draws:remedy:)`` and
  ///   ``TaskError/tooFewDistinct(task:wanted:found:duplicates:)``, as ``ListOps/examples(_:seed:)``.
  public mutating func next(_ count: Int) throws(TaskError) -> LabelledExamples<Int32> {
    var examples = LabelledExamples<Int32>(width: task.settings.width, classes: 10)
    while examples.count < count {
      try draw()
      examples.append(
        expression.tokens + [ListOps.end], label: expression.value, padding: ListOps.pad)
    }
    return examples
  }

  /// Leaves out the next `count` expressions.
  ///
  /// - Throws: as ``next(_:)``.
  public mutating func skip(_ count: Int) throws(TaskError) {
    for _ in 0..<count { try draw() }
  }

  /// Draws until an expression is new.
  private mutating func draw() throws(TaskError) {
    repeat { try task.draw(&expression, using: &generator) } while try !distinct.insert(expression.tokens)
  }
}
