/// Why a task gives no examples.
public enum TaskError: Error, Equatable {
  /// A parameter with which the task cannot be; `rule` completes “it must be”.
  case parameter(task: String, name: String, value: String, rule: String)
  /// The task has too few different examples, or so few that drawing at random does not find the rest.
  case tooFewDistinct(task: String, wanted: Int, found: Int, duplicates: Int)
  /// Every draw broke a rule that examples must keep.
  case unreachable(task: String, goal: String, draws: Int, remedy: String)
}

extension TaskError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .parameter(let task, let name, let value, let rule):
      "\(task): \(name) is \(value), it must be \(rule)."
    case .tooFewDistinct(let task, let wanted, let found, let duplicates):
      "\(task): \(wanted) different examples are asked for, and after \(found) the next \(duplicates) draws only "
        + "repeated them. Ask for at most \(found), or make the sequences longer or the vocabulary larger."
    case .unreachable(let task, let goal, let draws, let remedy):
      "\(task): none of \(draws) draws had \(goal). \(remedy)"
    }
  }
}

extension TaskError {
  /// Most numbers that one set of examples may hold: 32 GiB of them.
  static let mostNumbers = 1 << 33

  /// - Throws: ``parameter(task:name:value:rule:)`` when `value` is not in `range`; `reason` says why that is the range.
  static func require<Number: Comparable>(
    _ name: String, _ value: Number, in range: ClosedRange<Number>, of task: String,
    because reason: String? = nil
  ) throws(TaskError) {
    // Not a number is in no range, so it is refused too.
    guard !range.contains(value) else { return }
    let why = reason.map { ": \($0)" } ?? ""
    throw .parameter(
      task: task, name: name, value: "\(value)", rule: "in \(range.lowerBound)…\(range.upperBound)\(why)")
  }

  /// - Throws: ``parameter(task:name:value:rule:)`` when nobody can have `count` examples of so many numbers.
  static func requireCount(_ count: Int, of width: Int, task: String) throws(TaskError) {
    try require(
      "the number of examples", count, in: 0...mostNumbers / max(width, 1), of: task,
      because: "an example has \(width) numbers")
  }
}
