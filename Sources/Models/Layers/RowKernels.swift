internal import Kernels
internal import Memory
internal import Tiles

/// One layer's kernels by the number of rows of a step: a single one where tiles suit any number, otherwise one for each
/// class of ``Linear/Shape/rowLimits``, compiled when it is first needed.
final class RowKernels {
  private let preparation: Preparation
  private let describe: (Int?) -> (name: String, shape: Linear.Shape)
  private let record: (Linear.Shape) throws -> Kernel
  private let limits: [Int]
  private var compiled: [(any CompiledKernel)?]

  /// - Parameter shape: a class's tiles in 16-bit arithmetic; others have the same for all.
  init(
    _ arithmetic: Linear.Arithmetic, name: String, _ preparation: Preparation,
    shape: @escaping (_ rowLimit: Int?) -> Linear.Shape, record: @escaping (Linear.Shape) throws -> Kernel
  ) throws {
    self.preparation = preparation
    self.record = record
    let isSixteenBit = arithmetic == .sixteenBit
    limits = isSixteenBit ? Linear.Shape.rowLimits : []
    compiled = [(any CompiledKernel)?](repeating: nil, count: limits.count + 1)
    describe = { limit in
      let shape = shape(limit)
      return ("\(name) \(arithmetic) \(shape)", shape)
    }
    // A network that cannot run is refused while it is loaded.
    if !isSixteenBit { _ = try kernel(0) }
  }

  func run(rows: Int, _ tensors: [Tensor]) throws {
    try kernel(limits.firstIndex { rows <= $0 } ?? limits.count).run(tensors)
  }

  private func kernel(_ number: Int) throws -> any CompiledKernel {
    if let known = compiled[number] { return known }
    let (name, shape) = describe(number < limits.count ? limits[number] : nil)
    let kernel = try preparation.kernel(name) { try record(shape) }
    compiled[number] = kernel
    return kernel
  }
}

/// A layer's product in parts along its inputs and the sum of them, for steps of few rows whose tasks would leave most
/// cores idle.
final class SplitKernels {
  private let shapes: [Linear.Shape?]
  private let outputs: Int
  private let preparation: Preparation
  private let partial: (Linear.Shape) throws -> any CompiledKernel
  private let joining: (_ splits: Int) throws -> any CompiledKernel
  private var compiled: [Int: (parts: any CompiledKernel, sum: any CompiledKernel)] = [:]
  /// Where parts lie; layers of equal size share it, since one step's kernels run one after the other.
  private let storage: TensorStorage

  /// - Parameters:
  ///   - shape: a class's tiles, cut into parts or not.
  ///   - joining: the kernel that adds so many parts.
  /// - Returns: `nil` where no class is cut.
  init?(
    _ preparation: Preparation, weight: ElementType, outputs: Int, shape: (_ rowLimit: Int?) -> Linear.Shape,
    joining: @escaping (_ splits: Int) throws -> any CompiledKernel
  ) throws {
    shapes = Linear.Shape.rowLimits.map { limit in
      let shape = shape(limit)
      return shape.splits > 1 ? shape : nil
    }
    let numbers = zip(Linear.Shape.rowLimits, shapes).compactMap { limit, shape in
      shape.map { limit * $0.splits * outputs }
    }
    guard let most = numbers.max() else { return nil }
    self.outputs = outputs
    self.preparation = preparation
    storage = try preparation.scratch(byteCount: 4 * most)
    partial = { shape in
      try preparation.kernel("parts \(weight) \(shape)") { try Linear.parts(shape, weight: weight) }
    }
    self.joining = joining
  }

  /// Starts both kernels; `false`, and nothing is started, where a step of so many rows is not cut.
  func run(_ x: Tensor, _ weight: Tensor, _ others: [Tensor]) throws -> Bool {
    let rows = x.shape[0]
    guard let number = Linear.Shape.rowLimits.firstIndex(where: { rows <= $0 }), let shape = shapes[number]
    else { return false }
    let kernels = try compiled[number] ?? (partial(shape), joining(shape.splits))
    compiled[number] = kernels
    let parts = try Tensor(storage, type: .float32, shape: [shape.splits, rows, outputs])
    try kernels.parts.run([x, weight, parts])
    try kernels.sum.run([parts] + others)
    return true
  }
}
