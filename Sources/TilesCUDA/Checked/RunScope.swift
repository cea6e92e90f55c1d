internal import Tiles

/// Values of what indices name while a task runs: parameters, coordinates of the task, steps of loops.
struct RunScope {
  /// The kernel's integer parameters, by number.
  let parameters: [Int]
  /// Element of an int32 tensor at some coordinates.
  let element: (Int, [Int]) -> Int
  /// Position of the task among those that the block works on.
  var ordinal = 0
  /// Coordinates of the task.
  var task: [Int] = []
  /// Steps of the enclosing loops, by number.
  var steps: [Int: Int] = [:]

  /// Value of an index; `nil` where it names a step of no enclosing loop.
  func value(_ index: Index) -> Int? {
    switch index {
    case .constant(let value): return value
    case .parameter(let number): return parameters[number]
    case .task(let axis): return task.indices.contains(axis) ? task[axis] : 0
    case .step(let number): return steps[number]
    case .element(let tensor, let at):
      let place = at.compactMap { value($0) }
      return place.count == at.count ? element(tensor, place) : nil
    case .binary(let operation, let a, let b):
      guard let a = value(a), let b = value(b) else { return nil }
      return operation(a, b)
    }
  }

  /// What tells one execution of a statement from the others: the task and the enclosing loops' steps.
  var moment: Moment {
    Moment(
      ordinal: ordinal,
      steps: steps.sorted { $0.key < $1.key }.map { Moment.Step(loop: $0.key, value: $0.value) })
  }
}

/// When something happens: in which task, at which steps.
struct Moment: Hashable, CustomStringConvertible {
  /// One loop's step.
  struct Step: Hashable {
    var loop: Int
    var value: Int
  }

  /// Position of the task among those that the block works on.
  var ordinal: Int
  /// Steps of the enclosing loops, by loop.
  var steps: [Step]

  var description: String {
    (["task \(ordinal)"] + steps.map { "step\($0.loop) = \($0.value)" }).joined(separator: ", ")
  }
}
