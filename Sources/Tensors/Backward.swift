public import Memory

extension Variable {
  /// Adds to every leaf that needs one the gradient of this variable, which holds one number.
  ///
  /// Goes through the noted operations once, the latest first, and lets go of each operation's memory when it is done.
  ///
  /// - Throws: what the executor refuses.
  public func backward() throws {
    precondition(value.count == 1, "gradients are of one number; this variable is \(shape)")
    try backward(from: device.tensor([Float(1)], shape))
  }

  /// Adds to every leaf that needs one the gradient of Σ seed · this variable.
  ///
  /// - Parameter seed: as large as the variable.
  public func backward(from seed: Tensor) throws {
    precondition(seed.shape == shape, "a seed of \(seed.shape) for \(shape)")
    let pending = PendingGradients(device)
    try pending.add(.whole(seed), to: self)
    while let (node, gradients) = try pending.next() {
      let contributions = try node.finish(gradients, in: pending)
      for (input, contribution) in contributions where input.needsGradient {
        try pending.add(contribution, to: input)
      }
    }
  }
}

/// Operations whose results' gradients are being added up.
final class PendingGradients {
  /// Gradients by the number of the operation and of its result.
  private var sums: [Int: [Sum?]] = [:]
  private var nodes: [Int: Node] = [:]
  /// A heap of the operations' numbers, the largest first.
  private var order: [Int] = []
  private let device: Device
  /// Whose gradients have a place that was not written to yet.
  private var placed: [Variable] = []

  /// A gradient so far.
  private struct Sum {
    var tensor: Tensor
    /// Whether nobody else holds the tensor.
    var isOwned: Bool
    /// Where numbers were written so far, along one axis; `nil` for everywhere.
    var written: (axis: Int, ranges: [Range<Int>])?

    /// The empty range behind an axis.
    func end(_ axis: Int) -> Range<Int> { tensor.shape[axis]..<tensor.shape[axis] }
  }

  init(_ device: Device) { self.device = device }

  func add(_ contribution: Contribution, to variable: Variable) throws {
    if case .placed = contribution {
      placed.removeAll { $0 === variable }
      return
    }
    guard let node = variable.node else {
      let before = variable.gradient.map { Sum(tensor: $0, isOwned: false) }
      let sum = try whole(joined(before, contribution, variable))
      // On the way gradients may be of any type; those of leaves are of the leaf's.
      variable.gradient = try device.converted(sum.tensor, to: variable.value.type)
      return
    }
    expect(node)
    let before = sums[node.number]?[variable.output]
    let sum = try joined(before ?? nil, contribution, variable)
    sums[node.number]?[variable.output] = sum
  }

  /// Goes through an operation once all that its results went into has been gone through.
  private func expect(_ node: Node) {
    guard nodes[node.number] == nil else { return }
    nodes[node.number] = node
    let none = [Sum?](repeating: nil, count: node.outputs)
    sums[node.number] = none
    push(node.number)
  }

  /// The part that a variable is of something larger, in the gradient of that; `nil` where there is no such thing, or something was
  /// written there. It counts as written from then on: what comes later is added to it.
  func place(of variable: Variable) throws -> Tensor? {
    guard let (axis, range) = variable.node?.part,
      let larger = variable.node?.inputs.first,
      let node = larger.node
    else { return nil }
    var sum: Sum
    if let before = sums[node.number]?[larger.output] {
      guard let written = before.written, written.axis == axis,
        !written.ranges.contains(where: range.overlaps)
      else { return nil }
      sum = before
    } else {
      sum = Sum(tensor: try device.empty(larger.shape, larger.value.type), isOwned: true, written: (axis, []))
    }
    sum.written?.ranges.append(range)
    expect(node)
    sums[node.number]?[larger.output] = sum
    placed.append(variable)
    return sum.tensor.sliced(axis: axis, range)
  }

  /// What is known so far of a variable's gradient, where that is for all of its numbers.
  func whole(of variable: Variable) -> Tensor? {
    // A leaf's, so that blocks that are computed again go the same way.
    guard let node = variable.node else { return variable.gradient }
    guard let sum = sums[node.number]?[variable.output], sum.written == nil else {
      return nil
    }
    return sum.tensor
  }

  /// The latest operation; all that its results went into has been gone through.
  func next() throws -> (Node, [Tensor?])? {
    precondition(placed.isEmpty, "a gradient's place was asked for and not written to")
    guard let number = pop(), let node = nodes.removeValue(forKey: number),
      let gradients = sums.removeValue(forKey: number)
    else { return nil }
    return (node, try gradients.map { try $0.map { try whole($0).tensor } })
  }

  private func joined(_ before: Sum?, _ contribution: Contribution, _ variable: Variable) throws -> Sum {
    switch contribution {
    case .whole(let tensor):
      precondition(tensor.shape == variable.shape, "a gradient of \(tensor.shape) for \(variable.shape)")
      guard let before else { return Sum(tensor: tensor, isOwned: false) }
      return Sum(tensor: try device.sum(whole(before).tensor, tensor), isOwned: true)
    case .total(let tensor): return Sum(tensor: tensor, isOwned: true)
    case .placed: preconditionFailure("what is placed is part of a sum already")
    case .part(let axis, let range, let tensor):
      var sum =
        try before
        ?? Sum(
          tensor: device.empty(variable.shape, variable.value.type), isOwned: true, written: (axis, []))
      if !sum.isOwned { sum = Sum(tensor: try device.copied(sum.tensor), isOwned: true) }
      let place = sum.tensor.sliced(axis: axis, range)
      // Parts beside each other, as those of a split are, are written and not added to zeros.
      if let written = sum.written, written.axis == axis, !written.ranges.contains(where: range.overlaps) {
        try device.write(tensor, into: place)
        sum.written?.ranges.append(range)
        return sum
      }
      sum = try whole(sum)
      try device.write(device.sum(place, tensor), into: place)
      return sum
    }
  }

  /// With zeros where nothing was written.
  private func whole(_ sum: Sum) throws -> Sum {
    guard let written = sum.written else { return sum }
    var end = 0
    for range in written.ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) + [sum.end(written.axis)] {
      if end < range.lowerBound {
        let gap = sum.tensor.sliced(axis: written.axis, end..<range.lowerBound)
        let zero = try device.zeros([Int](repeating: 1, count: gap.shape.count), gap.type)
        try device.write(zero.broadcast(to: gap.shape), into: gap)
      }
      end = range.upperBound
    }
    return Sum(tensor: sum.tensor, isOwned: true)
  }

  private func push(_ number: Int) {
    order.append(number)
    var child = order.count - 1
    while child > 0, order[(child - 1) / 2] < order[child] {
      order.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private func pop() -> Int? {
    guard let first = order.first else { return nil }
    order[0] = order[order.count - 1]
    order.removeLast()
    var parent = 0
    while true {
      var largest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < order.count && order[child] > order[largest]
      {
        largest = child
      }
      guard largest != parent else { return first }
      order.swapAt(parent, largest)
      parent = largest
    }
  }
}
