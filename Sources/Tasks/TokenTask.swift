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
    var draws = try draws(count, seed: seed, scored: scored)
    return try draws.next(count)
  }

  /// The same examples, some at a time.
  ///
  /// - Parameter count: how many there will be in all.
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func draws(_ count: Int, seed: UInt64, scored: Scoring) throws(TaskError) -> TokenDraws {
    try TaskError.requireCount(count, of: length + 1, task: name)
    return TokenDraws(self, count, seed: seed, scored: scored)
  }
}

/// Examples of a task on tokens in the order in which a seed draws them, of which fingerprints are kept.
public struct TokenDraws: Sendable {
  private let task: any TokenTask
  private let positions: Range<Int>
  private var generator: SeededNumbers
  private var distinct: DistinctSequences
  private var sequence: [Int32] = []

  fileprivate init(_ task: any TokenTask, _ count: Int, seed: UInt64, scored: Scoring) {
    self.task = task
    positions =
      switch scored {
      case .all: task.trained
      case .answer: task.answer
      }
    generator = SeededNumbers(seed: seed)
    distinct = DistinctSequences(task: task.name, wanted: count)
  }

  /// The next `count` examples.
  ///
  /// - Throws: ``TaskError/tooFewDistinct(task:wanted:found:duplicates:)`` when the task cannot give so many.
  public mutating func next(_ count: Int) throws(TaskError) -> TokenExamples {
    var examples = TokenExamples(length: task.length)
    while examples.count < count {
      try draw()
      examples.append(sequence, scored: positions)
    }
    return examples
  }

  /// Leaves out the next `count` examples.
  ///
  /// - Throws: as ``next(_:)``.
  public mutating func skip(_ count: Int) throws(TaskError) {
    for _ in 0..<count { try draw() }
  }

  /// Draws until a sequence is new.
  private mutating func draw() throws(TaskError) {
    repeat {
      sequence.removeAll(keepingCapacity: true)
      task.append(to: &sequence, using: &generator)
    } while try !distinct.insert(sequence)
  }
}
