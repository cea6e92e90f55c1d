internal import Memory

/// Which positions of an example have a target.
public enum Scoring: Sendable, Hashable {
  /// Every position that the task trains on: for most tasks each token predicts the next.
  case all
  /// Only the answer, by which the task is judged.
  case answer
}

/// A task that draws sequences of tokens whose end is an answer to what stands before.
public protocol TokenTask: Sendable {
  /// What errors call the task.
  var name: String { get }
  /// How many token ids there are, from 0 on.
  var vocabularySize: Int { get }
  /// Tokens of an input, one less than of a sequence.
  var length: Int { get }
  /// The input positions whose targets are the answer.
  var answer: Range<Int> { get }
  /// The input positions that are trained on.
  var trained: Range<Int> { get }
  /// Adds a sequence of `length + 1` tokens.
  func append(to sequence: inout [Int32], using generator: inout some RandomNumberGenerator)
}

extension TokenTask {
  /// The last position, where nothing else is said.
  public var answer: Range<Int> { length - 1..<length }
  /// All positions, where nothing else is said.
  public var trained: Range<Int> { 0..<length }

  /// `count` examples, no two of which are the same sequence.
  ///
  /// The examples are the same on every machine for a seed; fewer of them are the first of more, and `scored` changes
  /// the targets alone. For a training and a test set without a common example draw both with one seed and count, and
  /// take a ``TokenExamples/part(_:)`` of each.
  ///
  /// - Throws: ``TaskError/tooFewDistinct(task:wanted:found:duplicates:)`` when the task cannot give so many, and
  ///   ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func examples(_ count: Int, seed: UInt64, scored: Scoring) throws(TaskError) -> TokenExamples {
    try TaskError.requireCount(count, of: length + 1, task: name)
    let positions =
      switch scored {
      case .all: trained
      case .answer: answer
      }
    var generator = SeededNumbers(seed: seed)
    var examples = TokenExamples(length: length)
    var distinct = DistinctSequences(task: name, wanted: count)
    var sequence: [Int32] = []
    while examples.count < count {
      sequence.removeAll(keepingCapacity: true)
      append(to: &sequence, using: &generator)
      if try distinct.insert(sequence) { examples.append(sequence, scored: positions) }
    }
    return examples
  }
}
