internal import Tiles

/// Prints integers that are known at run time as C expressions of type `int`.
///
/// Names it relies on: `a` (the arguments), `task0`, `task1`, … (coordinates), `step0`, … (loop steps), and the
/// functions of ``Prelude/integers``.
struct IndexPrinter {
  let kernel: Kernel
  /// Names of expressions that were computed where a task begins.
  var hoisted: [Index: String] = [:]

  init(kernel: Kernel) { self.kernel = kernel }

  /// The expression, in parentheses where it is compound.
  func callAsFunction(_ index: Index) -> String {
    if let name = hoisted[index] { return name }
    switch index {
    case .constant(let value): return value < 0 ? "(\(value))" : "\(value)"
    case .parameter(let number): return "a.parameter[\(number)]"
    case .task(let axis): return "task\(axis)"
    case .step(let number): return "step\(number)"
    case .element(let tensor, let at):
      return "((const int *)a.tensor[\(tensor)])[\(offset(tensor, at))]"
    case .binary(let operation, let left, let right):
      let (x, y) = (self(left), self(right))
      switch operation {
      case .add: return "(\(x) + \(y))"
      case .subtract: return "(\(x) - \(y))"
      case .multiply: return "(\(x) * \(y))"
      case .divide: return "floor_divide(\(x), \(y))"
      case .ceilDivide: return "ceil_divide(\(x), \(y))"
      case .remainder: return "floor_remainder(\(x), \(y))"
      case .min: return "min(\(x), \(y))"
      case .max: return "max(\(x), \(y))"
      }
    }
  }

  /// Gives names to the largest parts of an expression that are the same through a task, where they cost more than a
  /// sum, and returns their definitions in order.
  mutating func hoist(_ index: Index) -> [String] {
    guard hoisted[index] == nil, case .binary(let operation, let left, let right) = index else { return [] }
    let isCheap = [.add, .subtract, .multiply].contains(operation) && left.isLeaf && right.isLeaf
    guard index.isFixedInTask, !isCheap else { return hoist(left) + hoist(right) }
    // Parts first: other expressions may share them.
    let parts = hoist(left) + hoist(right)
    let name = "h\(hoisted.count)"
    let line = "const int \(name) = \(self(index));"
    hoisted[index] = name
    return parts + [line]
  }

  /// Offset of an element in elements, as a `long long`.
  func offset(_ tensor: Int, _ at: [Index]) -> String {
    let terms = at.enumerated().compactMap { axis, index in
      index == 0 ? nil : "\(stride(tensor, axis)) * \(self(index))"
    }
    return terms.isEmpty ? "0" : terms.joined(separator: " + ")
  }

  /// Elements from one index of an axis to the next.
  func stride(_ tensor: Int, _ axis: Int) -> String {
    let before = kernel.tensors[..<tensor].reduce(0) { $0 + $1.extents.count }
    return "a.stride[\(before + axis)]"
  }
}

extension Index {
  /// Whether it is neither arithmetic nor a read.
  fileprivate var isLeaf: Bool {
    switch self {
    case .binary, .element: false
    default: true
    }
  }

  /// What it leaves when divided by `divisor`, where that is the same whatever the run-time integers.
  func remainder(by divisor: Int) -> Int? {
    switch self {
    case .constant(let value): return Arithmetic.remainder(value, divisor)
    case .binary(let operation, let left, let right):
      let (a, b) = (left.remainder(by: divisor), right.remainder(by: divisor))
      if operation == .multiply, a == 0 || b == 0 { return 0 }
      guard let a, let b, [.add, .subtract, .multiply].contains(operation) else { return nil }
      return Arithmetic.remainder(operation(a, b), divisor)
    default: return nil
    }
  }

  /// Whether it has one value through a task; what is read from tensors may lie out of bounds where it is not asked for.
  var isFixedInTask: Bool {
    switch self {
    case .constant, .parameter, .task: true
    case .step, .element: false
    case .binary(_, let left, let right): left.isFixedInTask && right.isFixedInTask
    }
  }
}

extension CUDAProgram {
  /// Definition of `Arguments` as the launcher fills it in.
  static func argumentsType(_ kernel: Kernel, tensorMaps: Int) -> String {
    let ranks = kernel.tensors.reduce(0) { $0 + $1.extents.count }
    var lines = ["struct alignas(64) Arguments {"]
    if tensorMaps > 0 { lines.append("  TensorMap map[\(tensorMaps)];") }
    lines.append(
      "  void *tensor[\(max(1, kernel.tensors.count))];  // \(kernel.tensors.map(\.name).joined(separator: ", "))"
    )
    lines.append("  const int *order;")
    if ranks > 0 { lines.append("  long long stride[\(ranks)];") }
    if !kernel.parameters.isEmpty {
      lines.append(
        "  int parameter[\(kernel.parameters.count)];  // \(kernel.parameters.joined(separator: ", "))")
    }
    lines += ["  int tasks;", "};"]
    return lines.joined(separator: "\n")
  }

  /// Lines that set `task0`, … from `number`, the position in the order of tasks.
  static func coordinates(_ kernel: Kernel, _ index: IndexPrinter) -> [String] {
    // A gap in the order stands where a block has fewer tasks than others.
    var lines = ["int rest = a.order ? a.order[number] : number;", "if (rest < 0) continue;"]
    for axis in kernel.grid.indices.reversed() where axis > 0 {
      lines.append("const int task\(axis) = rest % \(index(kernel.grid[axis]));")
      lines.append("rest /= \(index(kernel.grid[axis]));")
    }
    if !kernel.grid.isEmpty { lines.append("const int task0 = rest;") }
    return lines
  }

  /// A name that C accepts.
  static func entryName(_ kernel: Kernel) -> String {
    "godwit_" + String(kernel.name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
  }
}
