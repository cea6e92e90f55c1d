internal import Memory

/// Linear functions in context: from x₁, w·x₁, x₂, w·x₂, … tell w·x of the last x.
///
/// Every example has its own w. All numbers of x and w are of the normal distribution with mean 0 and variance 1, so
/// w·x has mean 0 and variance `dimension`, which is the squared error of answering 0. The layout is ours, none is
/// published: see ``LinearFunctionExamples``.
public struct LinearFunctions: Sendable {
  /// Numbers of x.
  public let dimension: Int
  /// Values of x, with the one whose w·x is asked.
  public let pairs: Int

  /// Functions of `dimension` numbers, of which `pairs` values of x are seen or asked.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there are no numbers.
  public init(dimension: Int = 5, pairs: Int = 11) throws(TaskError) {
    try TaskError.require("the dimension", dimension, in: 1...1 << 20, of: "linear functions")
    try TaskError.require("the number of pairs", pairs, in: 1...1 << 28, of: "linear functions")
    (self.dimension, self.pairs) = (dimension, pairs)
  }

  /// `count` examples, the same on every machine for a seed; fewer of them are the first of more.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func examples(_ count: Int, seed: UInt64) throws(TaskError) -> LinearFunctionExamples {
    let (width, overflow) = (2 * pairs).multipliedReportingOverflow(by: dimension)
    try TaskError.requireCount(count, of: overflow ? Int.max : width, task: "linear functions")
    var generator = SeededNumbers(seed: seed)
    var examples = LinearFunctionExamples(dimension: dimension, pairs: pairs)
    for _ in 0..<count {
      let weights = (0..<dimension).map { _ in Float(generator.normal()) }
      examples.append(weights: weights) { Float(generator.normal()) }
    }
    return examples
  }
}
