/// Examples of a task on tokens: sequences, and what is asked at each of their positions.
public struct TokenExamples: Sendable, Equatable {
  /// The target of a position where nothing is asked.
  public static let ignored: Int32 = -100

  /// Tokens of an input.
  public let length: Int
  /// How many examples there are.
  public private(set) var count = 0
  /// Token ids, `[count, length]`.
  public private(set) var inputs: [Int32] = []
  /// The token after each position, `[count, length]`, or ``ignored``.
  public private(set) var targets: [Int32] = []

  /// No example yet.
  init(length: Int) { self.length = length }

  /// Adds a sequence of `length + 1` tokens: all but the last are the input, all but the first what comes next.
  mutating func append(_ sequence: [Int32], scored: Range<Int>) {
    inputs.append(contentsOf: sequence.dropLast())
    for position in 0..<length {
      targets.append(scored.contains(position) ? sequence[position + 1] : Self.ignored)
    }
    count += 1
  }

  /// The input of an example.
  public func input(_ example: Int) -> ArraySlice<Int32> {
    inputs[example * length..<(example + 1) * length]
  }

  /// The targets of an example.
  public func target(_ example: Int) -> ArraySlice<Int32> {
    targets[example * length..<(example + 1) * length]
  }

  /// Some of the examples. Parts that do not overlap have no example in common.
  public func part(_ examples: Range<Int>) -> TokenExamples {
    var part = TokenExamples(length: length)
    part.count = examples.count
    part.inputs = Array(inputs[examples.lowerBound * length..<examples.upperBound * length])
    part.targets = Array(targets[examples.lowerBound * length..<examples.upperBound * length])
    return part
  }
}
