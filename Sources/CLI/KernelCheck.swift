internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// One run of a catalogued kernel on a GPU beside the reference executor in float64.
struct KernelCheck {
  private let entry: CatalogueEntry
  private let arguments: CatalogueEntry.Case
  private let executor: CUDAExecutor
  private let isSimple: Bool
  private let reference = ReferenceExecutor<Double>(checked: true)

  init(_ entry: CatalogueEntry, _ arguments: CatalogueEntry.Case, _ executor: CUDAExecutor, isSimple: Bool) {
    self.entry = entry
    self.arguments = arguments
    self.executor = executor
    self.isSimple = isSimple
  }

  func verdict() -> (failed: Bool, text: String) {
    do {
      let kernel = try entry.make()
      let inputs = try kernel.tensors.map { try tensor($0, of: kernel) }
      let expected = try inputs.map { try copy($0) }
      try reference.compile(kernel).run(expected, integers: arguments.integers)
      let placed = try inputs.map { try executor.place($0) }
      let compiled: any CompiledKernel =
        isSimple
        ? try executor.kernel(try SimpleLowering.emit(kernel, target: executor.device.target))
        : try executor.compile(kernel)
      try compiled.run(placed, integers: arguments.integers)
      var worst = 0.0
      for (parameter, (found, wanted)) in zip(kernel.tensors, zip(placed, expected))
      where parameter.access != .input {
        worst = max(worst, distance(numbers(try executor.fetch(found)), numbers(wanted)))
      }
      let failed = !(worst <= entry.tolerance)
      return (failed, "\(failed ? "FAILED" : "ok"), error \(worst), allowed \(entry.tolerance)")
    } catch {
      return (true, "FAILED: \(error)")
    }
  }

  /// ‖found − wanted‖ / ‖wanted‖; infinite where an infinity or NaN differs.
  private func distance(_ found: [Double], _ wanted: [Double]) -> Double {
    var (error, norm) = (0.0, 0.0)
    for (a, b) in zip(found, wanted) where a != b {
      guard a.isFinite, b.isFinite else { return .infinity }
      error += (a - b) * (a - b)
    }
    for b in wanted where b.isFinite { norm += b * b }
    return error == 0 ? 0 : (error / max(norm, 1e-30)).squareRoot()
  }

  private func numbers(_ tensor: Tensor) -> [Double] {
    let dense = (try? copy(tensor)) ?? tensor
    switch tensor.type {
    case .float32:
      return dense.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
    case .bfloat16:
      return dense.withElements(as: UInt16.self) { span in
        span.indices.map { Double(Float(BFloat16(bitPattern: span[$0]))) }
      }
    case .float16:
      return dense.withElements(as: UInt16.self) { span in
        span.indices.map { Double(float16(span[$0])) }
      }
    default: return []
    }
  }

  /// A dense copy on the host.
  private func copy(_ tensor: Tensor) throws -> Tensor {
    let result = try Tensor(zeros: tensor.type, tensor.shape)
    try reference.copy(from: tensor, into: result)
    return result
  }

  /// Random numbers, given integers, or NaN for what the kernel must write.
  private func tensor(_ parameter: TensorParameter, of kernel: Kernel) throws -> Tensor {
    let shape = try parameter.extents.map { try value($0, kernel) }
    let tensor = try Tensor(zeros: parameter.type, shape)
    if let given = arguments.indices[parameter.name] {
      tensor.withMutableElements(as: Int32.self) { span in
        for index in given.indices { span[index] = given[index] }
      }
      return tensor
    }
    var state = UInt64(parameter.number + 1) &* 0x9E37_79B9_7F4A_7C15
    let isSmall = CatalogueEntry.small.contains(parameter.name)
    func next() -> Float {
      if parameter.access == .output { return .nan }
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let unit = Float(state >> 40) / 16_777_216
      return isSmall ? 0.1 * unit : 2 * unit - 1
    }
    switch parameter.type {
    case .float32:
      tensor.withMutableElements(as: Float.self) { span in for i in span.indices { span[i] = next() } }
    case .bfloat16:
      tensor.withMutableElements(as: UInt16.self) { span in
        for i in span.indices { span[i] = BFloat16(next()).bitPattern }
      }
    case .float16:
      tensor.withMutableElements(as: UInt16.self) { span in
        for i in span.indices { span[i] = float16Bits(next()) }
      }
    default:
      throw CommandFailure("\(parameter.name) is \(parameter.type.rawValue), which checks do not make.")
    }
    return tensor
  }

  private func value(_ index: Index, _ kernel: Kernel) throws -> Int {
    switch index {
    case .constant(let value): return value
    case .parameter(let number):
      if let place = kernel.arguments.firstIndex(of: number) { return arguments.integers[place] }
      let name = kernel.parameters[number]
      guard let value = arguments.extents[name] else { throw CommandFailure("no extent \(name) is given.") }
      return value
    case .binary(let operation, let a, let b): return operation(try value(a, kernel), try value(b, kernel))
    default: throw CommandFailure("an extent depends on \(index).")
    }
  }
}
