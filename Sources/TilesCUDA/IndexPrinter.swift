internal import Tiles

/// Prints integers that are known at run time as C expressions of type `int`.
///
/// Names it relies on: `a` (the arguments), `task0`, `task1`, … (coordinates), `step0`, … (loop steps), and the
/// functions of ``Prelude/integers``.
struct IndexPrinter {
  let kernel: Kernel

  /// The expression, in parentheses where it is compound.
  func callAsFunction(_ index: Index) -> String {
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
    var lines = ["int rest = a.order ? a.order[number] : number;"]
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
