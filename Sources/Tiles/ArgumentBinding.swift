package import Memory

/// How a launch's arguments give a kernel's parameters their values, and what is checked on the way.
package struct ArgumentBinding: Sendable {
  private let name: String
  private let tensors: [TensorParameter]
  private let arguments: [Int]
  /// Extents that give a parameter its value, and those that must then agree.
  private let binding: [(parameter: Int, tensor: Int, axis: Int)]
  private let checked: [(index: Index, constant: Int?, tensor: Int, axis: Int)]

  /// - Parameters:
  ///   - name: the kernel's, for messages.
  ///   - tensors: its tensor parameters.
  ///   - arguments: numbers of the parameters that the caller passes as integers.
  package init(name: String, tensors: [TensorParameter], arguments: [Int]) {
    self.name = name
    self.tensors = tensors
    self.arguments = arguments
    var bound = Set(arguments)
    var binding: [(parameter: Int, tensor: Int, axis: Int)] = []
    var checked: [(index: Index, constant: Int?, tensor: Int, axis: Int)] = []
    for (tensor, parameter) in tensors.enumerated() {
      for (axis, extent) in parameter.extents.enumerated() {
        if case .parameter(let number) = extent, bound.insert(number).inserted {
          binding.append((number, tensor, axis))
        } else {
          checked.append((extent, extent.constantValue, tensor, axis))
        }
      }
    }
    self.binding = binding
    self.checked = checked
  }

  /// Writes the parameters' values to the beginning of `parameters`.
  ///
  /// - Throws: ``ExecutionError`` naming the first argument that does not fit.
  package func bind(
    _ given: [Tensor], _ integers: [Int], into parameters: inout [Int]
  ) throws(ExecutionError) {
    guard given.count == tensors.count else {
      throw .argumentCount(kernel: name, expected: tensors.count, found: given.count)
    }
    guard integers.count == arguments.count else {
      throw .argumentCount(kernel: name, expected: arguments.count, found: integers.count)
    }
    for (number, value) in zip(arguments, integers) { parameters[number] = value }
    for (parameter, tensor) in zip(tensors, given) {
      guard parameter.type == tensor.type else {
        throw .argumentType(
          kernel: name, tensor: parameter.name, expected: parameter.type.rawValue, found: tensor.type.rawValue
        )
      }
      guard parameter.extents.count == tensor.shape.count else {
        throw .argumentShape(
          kernel: name, tensor: parameter.name, expected: "\(parameter.extents)", found: tensor.shape)
      }
    }
    for extent in binding { parameters[extent.parameter] = given[extent.tensor].shape[extent.axis] }
    for extent in checked {
      let wanted = extent.constant ?? extent.index.value(parameters: parameters)
      guard wanted == given[extent.tensor].shape[extent.axis] else {
        let parameter = tensors[extent.tensor]
        throw .argumentShape(
          kernel: name, tensor: parameter.name,
          expected: "\(parameter.extents.map { $0.value(parameters: parameters) })",
          found: given[extent.tensor].shape)
      }
    }
  }
}

extension Index {
  /// Its value for given parameters and, where it matters, the coordinates of a task; steps and elements count as 0.
  package func value(parameters: [Int], task: [Int] = []) -> Int {
    switch self {
    case .constant(let value): value
    case .parameter(let number): parameters[number]
    case .task(let axis): task.indices.contains(axis) ? task[axis] : 0
    case .step, .element: 0
    case .binary(let operation, let a, let b):
      operation(a.value(parameters: parameters, task: task), b.value(parameters: parameters, task: task))
    }
  }

  /// Whether its value depends on the contents of a tensor.
  package var readsElements: Bool {
    switch self {
    case .constant, .parameter, .task, .step: false
    case .element: true
    case .binary(_, let a, let b): a.readsElements || b.readsElements
    }
  }
}

extension Kernel.TaskOrder {
  /// Numbers of the tasks of a grid in the order they are started; `nil` for row-major.
  ///
  /// - Parameter evaluate: value of the cost for a task's coordinates.
  package func tasks(grid: [Int], _ evaluate: (Index, [Int]) -> Int) -> [Int32]? {
    let count = grid.reduce(1, *)
    switch self {
    case .rowMajor: return nil
    case .longestFirst(let cost, let section):
      let costs = (0..<count).map { evaluate(cost, Self.coordinates(of: $0, grid: grid)) }
      let sections =
        section == 0
        ? [Int](repeating: 0, count: count)
        : (0..<count).map { evaluate(section, Self.coordinates(of: $0, grid: grid)) }
      return (0..<count).sorted { (sections[$0], costs[$1], $0) < (sections[$1], costs[$0], $1) }.map {
        Int32($0)
      }
    case .superRows(let rows):
      guard grid.count >= 2, rows > 1 else { return nil }
      let inner = grid[1...].reduce(1, *)
      var order: [Int32] = []
      order.reserveCapacity(count)
      for top in stride(from: 0, to: grid[0], by: rows) {
        for column in 0..<inner {
          for row in top..<min(top + rows, grid[0]) { order.append(Int32(row * inner + column)) }
        }
      }
      return order
    }
  }

  private static func coordinates(of task: Int, grid: [Int]) -> [Int] {
    var rest = task
    var result = [Int](repeating: 0, count: grid.count)
    for axis in grid.indices.reversed() {
      result[axis] = rest % grid[axis]
      rest /= grid[axis]
    }
    return result
  }
}
