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
    var pending = PendingGradients(device)
    try pending.add(.whole(seed), to: self)
    while let (node, gradients) = pending.next() {
      for (input, contribution) in try node.finish(gradients) where input.needsGradient {
        try pending.add(contribution, to: input)
      }
    }
  }
}

/// Operations whose results' gradients are being added up.
private struct PendingGradients {
  /// Gradients by the number of the operation and of its result.
  private var sums: [Int: [Sum?]] = [:]
  private var nodes: [Int: Node] = [:]
  /// A heap of the operations' numbers, the largest first.
  private var order: [Int] = []
  private let device: Device

  /// A gradient so far.
  private struct Sum {
    var tensor: Tensor
    /// Whether nobody else holds the tensor.
    var isOwned: Bool
  }

  init(_ device: Device) { self.device = device }

  mutating func add(_ contribution: Contribution, to variable: Variable) throws {
    guard let node = variable.node else {
      let sum = try joined(variable.gradient.map { Sum(tensor: $0, isOwned: false) }, contribution, variable)
      // On the way gradients may be of any type; those of leaves are of the leaf's.
      variable.gradient = try device.converted(sum.tensor, to: variable.value.type)
      return
    }
    if nodes[node.number] == nil {
      nodes[node.number] = node
      let none = [Sum?](repeating: nil, count: node.outputs)
      sums[node.number] = none
      push(node.number)
    }
    let before = sums[node.number]?[variable.output]
    let sum = try joined(before ?? nil, contribution, variable)
    sums[node.number]?[variable.output] = sum
  }

  /// The latest operation; all that its results went into has been gone through.
  mutating func next() -> (Node, [Tensor?])? {
    guard let number = pop(), let node = nodes.removeValue(forKey: number),
      let gradients = sums.removeValue(forKey: number)
    else { return nil }
    return (node, gradients.map { $0?.tensor })
  }

  private func joined(_ before: Sum?, _ contribution: Contribution, _ variable: Variable) throws -> Sum {
    switch contribution {
    case .whole(let tensor):
      precondition(tensor.shape == variable.shape, "a gradient of \(tensor.shape) for \(variable.shape)")
      guard let before else { return Sum(tensor: tensor, isOwned: false) }
      return Sum(tensor: try device.sum(before.tensor, tensor), isOwned: true)
    case .part(let axis, let range, let tensor):
      var sum = before
      if sum == nil {
        sum = Sum(tensor: try device.zeros(variable.shape, variable.value.type), isOwned: true)
      }
      if let shared = sum, !shared.isOwned {
        sum = Sum(tensor: try device.copied(shared.tensor), isOwned: true)
      }
      guard let sum else { preconditionFailure("there is a sum now") }
      let place = sum.tensor.sliced(axis: axis, range)
      try device.write(device.sum(place, tensor), into: place)
      return sum
    }
  }

  private mutating func push(_ number: Int) {
    order.append(number)
    var child = order.count - 1
    while child > 0, order[(child - 1) / 2] < order[child] {
      order.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func pop() -> Int? {
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
