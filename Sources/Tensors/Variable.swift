public import Memory
internal import Tiles

/// An array that was computed on a device, and how, so that gradients can be traced back.
///
/// Operations compute at once. With ``Device/recordsGradients`` those on variables that need gradients are noted;
/// ``backward()`` goes through the notes in reverse order. A variable keeps what its gradient needs alive, and nothing else.
public final class Variable {
  /// Where it lives.
  public let device: Device
  /// Its numbers. May be a view with strides.
  public let value: Tensor
  /// Whether it is, or depends on, something whose gradient is wanted.
  public let needsGradient: Bool
  /// Gradient of what ``backward()`` was called on, where this is a leaf that needs one; accumulates until ``clearGradient()``.
  public internal(set) var gradient: Tensor?
  let node: Node?
  /// Which of the node's results it is.
  let output: Int

  /// Extents.
  public var shape: [Int] { value.shape }

  /// A leaf.
  public init(_ value: Tensor, on device: Device, needsGradient: Bool = false) {
    self.value = value
    self.device = device
    self.needsGradient = needsGradient
    node = nil
    output = 0
  }

  init(_ value: Tensor, _ node: Node?, output: Int, on device: Device) {
    self.value = value
    self.device = device
    self.node = node
    self.output = output
    needsGradient = node != nil
  }

  /// Forgets the gradient.
  public func clearGradient() { gradient = nil }

  /// The same numbers, from which no gradient is traced back.
  public var detached: Variable { Variable(value, on: device) }
}

/// A noted operation.
final class Node {
  /// Place in the order of operations.
  let number: Int
  /// Where in the input its one result lies, of an operation that is nothing but a view of a part.
  let part: (axis: Int, range: Range<Int>)?
  var inputs: [Variable]
  let outputs: Int
  /// Gradients of the inputs from those of the outputs that there are.
  private var backward: Backward?

  /// Contributions from the results' gradients and from what there is of those of the inputs.
  typealias Backward = (_ gradients: [Tensor?], _ inputs: InputGradients) throws -> [Contribution?]

  init(
    number: Int, inputs: [Variable], outputs: Int, part: (axis: Int, range: Range<Int>)?,
    _ backward: @escaping Backward
  ) {
    self.number = number
    self.part = part
    self.inputs = inputs
    self.outputs = outputs
    self.backward = backward
  }

  /// Computes the inputs' gradients and lets go of all that was kept for it.
  func finish(_ gradients: [Tensor?], in pending: PendingGradients) throws -> [(Variable, Contribution)] {
    guard let backward else {
      preconditionFailure("backward() went through this operation before, and what it needs is gone")
    }
    let contributions = try backward(gradients, InputGradients(inputs, pending))
    let result = zip(inputs, contributions).compactMap { input, contribution in
      contribution.map { (input, $0) }
    }
    self.backward = nil
    inputs = []
    return result
  }
}

/// What an operation may see of its inputs' gradients.
struct InputGradients {
  private let inputs: [Variable]
  private let pending: PendingGradients

  init(_ inputs: [Variable], _ pending: PendingGradients) { (self.inputs, self.pending) = (inputs, pending) }

  /// What is known so far of an input's gradient, where that is for all of its numbers.
  func known(_ input: Int) -> Tensor? { pending.whole(of: inputs[input]) }

  /// Where to write what the operation adds to an input's gradient, if that is a part of something larger and the first to arrive
  /// there. Who asks contributes ``Contribution/placed``.
  func place(_ input: Int) throws -> Tensor? { try pending.place(of: inputs[input]) }
}

/// What one operation adds to the gradient of an input.
enum Contribution {
  case whole(Tensor)
  /// The gradient so far with what the operation adds to it.
  case total(Tensor)
  /// To a range of one axis only.
  case part(axis: Int, Range<Int>, Tensor)
  /// Written where ``InputGradients/place(_:)`` said.
  case placed
}

extension Device {
  /// Variables for results, noted where gradients will be traced through them.
  ///
  /// - Parameter backward: gradients of the inputs, `nil` where there is none; asked for inputs that need none, it may say so
  ///   by `nil`.
  func note(
    _ results: [Tensor], from inputs: [Variable],
    _ backward: @escaping ([Tensor?]) throws -> [Contribution?]
  ) -> [Variable] {
    noteAdding(results, from: inputs) { gradients, _ in try backward(gradients) }
  }

  /// As ``note(_:from:_:)``, of an operation that may itself add to what is known of its inputs' gradients.
  ///
  /// - Parameter part: where the result lies in the input, of a view of a part.
  func noteAdding(
    _ results: [Tensor], from inputs: [Variable], part: (axis: Int, range: Range<Int>)? = nil,
    _ backward: @escaping Node.Backward
  ) -> [Variable] {
    guard recordsGradients, inputs.contains(where: \.needsGradient) else {
      return results.map { Variable($0, nil, output: 0, on: self) }
    }
    noted += 1
    let node = Node(number: noted, inputs: inputs, outputs: results.count, part: part, backward)
    return results.enumerated().map { Variable($1, node, output: $0, on: self) }
  }

  /// As ``note(_:from:_:)`` for one result.
  func note(
    _ result: Tensor, from inputs: [Variable], _ backward: @escaping (Tensor) throws -> [Contribution?]
  ) -> Variable {
    note([result], from: inputs) { gradients in
      guard let gradient = gradients[0] else { return [] }
      return try backward(gradient)
    }[0]
  }
}

extension Variable {
  /// Overwrites the numbers of a dense leaf.
  public func assign(_ numbers: [Float]) throws {
    precondition(node == nil && value.isDense, "only a leaf of its own memory is assigned to")
    try device.executor.copy(from: device.tensor(numbers, shape), into: value)
    device.parameterWasWritten()
  }
}
