internal import Tiles

extension Lowering {
  /// A new integer register.
  mutating func newInteger(_ value: Int = 0) -> Int {
    program.integers.append(value)
    return program.integers.count - 1
  }

  /// Register that holds the index where the current scope runs.
  mutating func register(of index: Index) -> Int {
    switch index {
    case .constant(let value):
      if let known = constants[value] { return known }
      let register = newInteger(value)
      constants[value] = register
      return register
    case .parameter(let number): return number
    case .task, .step:
      if let known = find(.index(index)) { return known }
      fail("\(index) is used outside the loop or grid that counts it.")
      return 0
    case .element(let tensor, let at):
      if let known = find(.index(index)) { return known }
      let offset = offsetRegister(tensor: tensor, at: at)
      // Not moved out of loops and conditions: what guards them may be what keeps the read inside the tensor.
      return define(
        .index(index), level: scopes.count - 1,
        Instruction(code: .element, b: Int32(tensor), c: Int32(offset)))
    case .binary(let operation, let a, let b):
      if let known = find(.index(index)) { return known }
      let (x, y) = (register(of: a), register(of: b))
      return define(
        .index(index), level: level(of: index),
        Instruction(code: operation.code, b: Int32(x), c: Int32(y)))
    }
  }

  /// Register with the elements from index to index along an axis of a tensor; known at launch.
  mutating func strideRegister(tensor: Int, axis: Int) -> Int {
    if let known = scopes[0].known[.stride(tensor: tensor, axis: axis)] { return known }
    let register = newInteger()
    program.strides.append((register, tensor, axis))
    scopes[0].known[.stride(tensor: tensor, axis: axis)] = register
    return register
  }

  /// Register with the element offset of a place in a tensor.
  mutating func offsetRegister(tensor: Int, at origin: [Index]) -> Int {
    var total: (register: Int, level: Int)?
    // Terms known early come first, so that their partial sums are computed outside the inner loops.
    let axes = origin.indices.filter { origin[$0] != 0 }.sorted {
      level(of: origin[$0]) < level(of: origin[$1])
    }
    for axis in axes {
      let term = termRegister(tensor: tensor, axis: axis, at: origin[axis])
      let termLevel = level(of: origin[axis])
      if let sum = total {
        let level = max(sum.level, termLevel)
        let register = newInteger()
        scopes[level].preamble.append(
          Instruction(code: .add, a: Int32(register), b: Int32(sum.register), c: Int32(term)))
        total = (register, level)
      } else {
        total = (term, termLevel)
      }
    }
    return total?.register ?? register(of: 0)
  }

  private mutating func termRegister(tensor: Int, axis: Int, at index: Index) -> Int {
    let key = Expression.offset(tensor: tensor, axis: axis, at: index)
    if let known = find(key) { return known }
    let stride = strideRegister(tensor: tensor, axis: axis)
    let coordinate = register(of: index)
    return define(
      key, level: level(of: index),
      Instruction(code: .multiply, b: Int32(coordinate), c: Int32(stride)))
  }

  /// Outermost scope in which everything the index depends on is known.
  func level(of index: Index) -> Int {
    switch index {
    case .constant, .parameter: return 0
    case .task: return 1
    case .step(let number): return scopes.lastIndex { $0.steps.contains(number) } ?? 0
    case .element: return scopes.lastIndex { $0.known[.index(index)] != nil } ?? scopes.count - 1
    case .binary(_, let a, let b): return max(level(of: a), level(of: b))
    }
  }

  private func find(_ key: Expression) -> Int? {
    for scope in scopes.reversed() {
      if let register = scope.known[key] { return register }
    }
    return nil
  }

  /// Adds the instruction that fills a new register to the scope of that level.
  private mutating func define(_ key: Expression, level: Int, _ instruction: Instruction) -> Int {
    let register = newInteger()
    var instruction = instruction
    instruction.a = Int32(register)
    scopes[level].preamble.append(instruction)
    scopes[level].known[key] = register
    return register
  }
}

extension Index.Arithmetic {
  /// The instruction that does it.
  var code: Instruction.Code {
    switch self {
    case .add: .add
    case .subtract: .subtract
    case .multiply: .multiply
    case .divide: .divide
    case .ceilDivide: .ceilDivide
    case .remainder: .remainder
    case .min: .min
    case .max: .max
    }
  }
}
