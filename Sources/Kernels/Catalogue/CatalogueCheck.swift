internal import Memory
public import Tiles

extension CatalogueEntry {
  /// How one tensor came out.
  public struct Finding: Sendable {
    /// The tensor's name.
    public var tensor: String
    /// Largest error in units of the tolerance; above 1 is wrong, infinite where a number is missing.
    public var error: Double
  }

  /// Runs a case on an executor and on the reference with float64 sums, and compares all that the kernel writes.
  ///
  /// Outputs are full of NaN before, so that an element that the kernel forgets cannot pass; what it updates has numbers like inputs, since
  /// all that comes of NaN agrees. A case of which the reference changes nothing says nothing, and is wrong, unless it is
  /// ``CatalogueEntry/Case/changesNothing``.
  ///
  /// - Throws: what either executor throws.
  public func check(_ given: Case, on executor: any Executor) throws -> [Finding] {
    let kernel = try make()
    return try check(kernel, try executor.compile(kernel), given, on: executor)
  }

  /// As ``check(_:on:)`` with a kernel that is compiled already.
  public func check(
    _ kernel: Kernel, _ compiled: any CompiledKernel, _ given: Case, on executor: any Executor
  ) throws -> [Finding] {
    let parameters = kernel.parameters.map { given.sizes[$0] ?? 0 }
    let integers = kernel.arguments.map { parameters[$0] }
    func tensor(_ parameter: TensorParameter) throws -> Tensor {
      var shape = parameter.extents.map { $0.value(parameters: parameters) }
      let fill = given.fills[parameter.name]
      guard given.turned.contains(parameter.name) else { return try Self.filled(parameter, shape, fill) }
      let last = shape.count - 1
      shape.swapAt(last, last - 1)
      return try Self.filled(parameter, shape, fill)
        .permuted(Array(0..<last - 1) + [last, last - 1])
    }
    let exact = try kernel.tensors.map(tensor)
    try ReferenceExecutor<Double>().compile(kernel).run(exact, integers: integers)
    let placed = try kernel.tensors.map { try executor.place(tensor($0)) }
    try compiled.run(placed, integers: integers)
    let written = kernel.tensors.filter { ![.input, .scratch].contains($0.access) }
    let isIdle = try written.allSatisfy { parameter in
      try Self.isSame(tensor(parameter), exact[parameter.number])
    }
    return try written.map { parameter in
      let found = try executor.fetch(placed[parameter.number])
      let error = tolerance.suited(to: parameter.type).largest(
        Self.numbers(found), exact: Self.numbers(exact[parameter.number]))
      return Finding(tensor: parameter.name, error: isIdle == given.changesNothing ? error : .infinity)
    }
  }

  private static func isSame(_ a: Tensor, _ b: Tensor) -> Bool {
    zip(numbers(a), numbers(b)).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN }
  }

  private static func filled(
    _ parameter: TensorParameter, _ shape: [Int], _ fill: Fill?
  ) throws -> Tensor {
    let seed = UInt64(parameter.number + 1)
    // Rows of blocks start where bulk copies can, as those of networks do: they are cut out of longer ones.
    if parameter.type.isBlocked, parameter.type != .q16_rows, shape.count == 2, parameter.access == .input {
      let width = (shape[1] + 255) / 256 * 256
      return try Tensor(random: parameter.type, [shape[0], width], seed: seed).sliced(axis: 1, 0..<shape[1])
    }
    if fill == nil, parameter.access == .output || parameter.access != .input && parameter.type == .int32 {
      return try poisoned(parameter.type, shape)
    }
    switch fill {
    case .uniform(let range): return try Tensor(random: parameter.type, shape, seed: seed, in: range)
    case nil: return try Tensor(random: parameter.type, shape, seed: seed)
    case .integers(let values):
      return try integers(shape) { values[$0 % values.count] }
    case .below(let bound):
      var generator = SeededNumbers(seed: seed)
      return try integers(shape) { _ in Int.random(in: 0..<bound, using: &generator) }
    case .numbers(let values):
      let tensor = try Tensor(zeros: parameter.type, shape)
      if parameter.type == .float32 {
        tensor.withMutableElements(as: Float.self) { span in
          for index in span.indices { span[index] = values[index % values.count] }
        }
      } else {
        tensor.withMutableElements(as: UInt16.self) { span in
          for index in span.indices {
            let value = values[index % values.count]
            span[index] = parameter.type == .float16 ? float16Bits(value) : BFloat16(value).bitPattern
          }
        }
      }
      return tensor
    }
  }

  private static func integers(_ shape: [Int], _ value: (Int) -> Int) throws -> Tensor {
    let tensor = try Tensor(zeros: .int32, shape)
    tensor.withMutableElements(as: Int32.self) { span in
      for index in span.indices { span[index] = Int32(value(index)) }
    }
    return tensor
  }

  /// Bytes of all ones: NaN in every floating-point type.
  private static func poisoned(_ type: ElementType, _ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(zeros: type, shape)
    tensor.withMutableElements(as: UInt8.self) { span in
      for index in span.indices { span[index] = 0xFF }
    }
    return tensor
  }

  /// The numbers of a dense tensor; integer groups times their scales, in the order in which they are stored.
  static func numbers(_ tensor: Tensor) -> [Double] {
    switch tensor.type {
    case .float32:
      return tensor.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
    case .bfloat16:
      return tensor.withElements(as: UInt16.self) { span in
        span.indices.map { Double(Float(BFloat16(bitPattern: span[$0]))) }
      }
    case .float16:
      return tensor.withElements(as: UInt16.self) { span in span.indices.map { Double(float16(span[$0])) } }
    case .int8: return tensor.withElements(as: Int8.self) { span in span.indices.map { Double(span[$0]) } }
    case .int32: return tensor.withElements(as: Int32.self) { span in span.indices.map { Double(span[$0]) } }
    case .q16_rows: return groups(tensor)
    default: return tensor.withElements(as: UInt8.self) { span in span.indices.map { Double(span[$0]) } }
    }
  }

  private static func groups(_ tensor: Tensor) -> [Double] {
    let width = tensor.shape[tensor.shape.count - 1]
    return tensor.withElements(as: UInt8.self) { span in
      func bits(_ place: Int, _ count: Int) -> UInt32 {
        (0..<count).reduce(0) { $0 | UInt32(span[place + $1]) << UInt32(8 * $1) }
      }
      return stride(from: 0, to: span.count, by: width / 32 * 72).flatMap { row in
        (0..<width).map { column in
          let scale = Float(bitPattern: bits(row + 2 * width + column / 32 * 4, 4))
          return Double(Int16(truncatingIfNeeded: bits(row + 2 * column, 2))) * Double(scale)
        }
      }
    }
  }
}

extension CatalogueEntry.Tolerance {
  /// No narrower than the type: two neighbouring numbers may stand for the same sum.
  func suited(to type: ElementType) -> Self {
    switch type {
    case .bfloat16: Self(absolute: absolute, relative: max(relative, 0x1p-7))
    case .float16: Self(absolute: absolute, relative: max(relative, 0x1p-10))
    case .int8: Self(absolute: max(absolute, whole), relative: relative)
    case .int32: Self(absolute: whole, relative: relative)
    default: self
    }
  }

  /// Largest error in its units; infinite where a number is missing. What neither side wrote is equal.
  func largest(_ found: [Double], exact: [Double]) -> Double {
    guard found.count == exact.count else { return .infinity }
    var worst = 0.0
    for (found, exact) in zip(found, exact) where found != exact && !(found.isNaN && exact.isNaN) {
      let ratio = abs(found - exact) / (absolute + relative * abs(exact))
      guard ratio.isFinite else { return .infinity }
      worst = max(worst, ratio)
    }
    return worst
  }
}
