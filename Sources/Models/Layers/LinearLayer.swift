internal import Kernels
internal import Memory
internal import Tiles

/// Weights of a linear layer with the kernels that apply them.
struct LinearLayer {
  let arithmetic: Linear.Arithmetic
  private let weight: Tensor
  private let bias: Tensor?
  private let kernels: RowKernels

  /// Bytes that a step reads.
  var weightBytes: Int { weight.spannedBytes }

  /// - Parameters:
  ///   - weight: `[out, in]`.
  ///   - exact: whether nothing is rounded.
  ///   - addsResidual: whether ``callAsFunction(_:residual:into:)`` is given a tensor to add.
  init(
    _ weight: Tensor, bias: Tensor? = nil, exact: Bool, addsResidual: Bool = false,
    preparation: Preparation
  ) throws {
    let arithmetic = preparation.arithmetic(weight, exact: exact)
    self.arithmetic = arithmetic
    self.weight = try preparation.weight(weight, for: arithmetic)
    self.bias = try bias.map { try preparation.placed($0) }
    let epilogue: Linear.Epilogue =
      switch (bias != nil, addsResidual) {
      case (false, false): .none
      case (true, false): .bias
      case (false, true): .residual
      case (true, true): .biasAndResidual
      }
    let type = self.weight.type
    kernels = try RowKernels(
      inputs: weight.shape[1], outputs: weight.shape[0], arithmetic, name: "linear \(type) \(epilogue)",
      preparation
    ) { shape in
      try Linear.kernel(shape, weight: type, arithmetic: arithmetic, epilogue: epilogue)
    }
  }

  func callAsFunction(_ x: Tensor, residual: Tensor? = nil, into y: Tensor) throws {
    try kernels.run(rows: x.shape[0], [x, weight] + [bias, residual].compactMap { $0 } + [y])
  }
}

/// Weights of two linear layers joined by a gate, with the kernels that apply them.
struct GatedLayer {
  let arithmetic: Linear.Arithmetic
  private let gate: Tensor
  private let up: Tensor
  private let kernels: RowKernels

  /// Bytes that a step reads.
  var weightBytes: Int { gate.spannedBytes + up.spannedBytes }

  /// - Parameters:
  ///   - gate: `[out, in]`; up likewise.
  ///   - next: arithmetic of the layer that takes the result.
  /// - Throws: ``ModelError/mixedArithmetic(layer:)`` where gate and up want different activations.
  init(
    gate: Tensor, up: Tensor, exact: Bool, next: Linear.Arithmetic, preparation: Preparation
  ) throws {
    let arithmetic = preparation.arithmetic(gate, exact: exact)
    guard preparation.arithmetic(up, exact: exact) == arithmetic else {
      throw ModelError.mixedArithmetic(layer: "feed-forward inputs")
    }
    self.arithmetic = arithmetic
    self.gate = try preparation.weight(gate, for: arithmetic)
    self.up = try preparation.weight(up, for: arithmetic)
    let types = (gate: self.gate.type, up: self.up.type)
    kernels = try RowKernels(
      inputs: gate.shape[1], outputs: gate.shape[0], arithmetic, sums: 2, name: "gated \(types) \(next)",
      preparation
    ) { shape in
      var shape = shape
      // Whole groups of 32, because the result may be stored as integer groups.
      if arithmetic != .sixteenBit { shape.columns = 64 }
      return try GatedLinear.kernel(shape, weights: types, arithmetic: arithmetic, output: next.activation)
    }
  }

  func callAsFunction(_ x: Tensor, into y: Tensor) throws {
    try kernels.run(rows: x.shape[0], [x, gate, up, y])
  }
}

/// One layer's kernels by the number of rows of a step: a single one where tiles suit any number, otherwise one for each
/// class of ``Linear/Shape/rowLimits``, compiled when it is first needed.
final class RowKernels {
  private let preparation: Preparation
  private let describe: (Int?) -> (name: String, shape: Linear.Shape)
  private let record: (Linear.Shape) throws -> Kernel
  private let limits: [Int]
  private var compiled: [(any CompiledKernel)?]

  init(
    inputs: Int, outputs: Int, _ arithmetic: Linear.Arithmetic, sums: Int = 1, name: String,
    _ preparation: Preparation, record: @escaping (Linear.Shape) throws -> Kernel
  ) throws {
    self.preparation = preparation
    self.record = record
    let isSixteenBit = arithmetic == .sixteenBit
    limits = isSixteenBit ? Linear.Shape.rowLimits : []
    compiled = [(any CompiledKernel)?](repeating: nil, count: limits.count + 1)
    describe = { limit in
      let shape =
        isSixteenBit
        ? Linear.Shape.sixteenBit(inputs: inputs, outputs: outputs, rowLimit: limit, sums: sums)
        : Linear.Shape(inputs: inputs, outputs: outputs)
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

extension Preparation {
  /// How the executor multiplies with a weight: 16-bit factors where it prefers them, else integers where weights are
  /// block-quantised; neither where exactness is asked for.
  func arithmetic(_ weight: Tensor, exact: Bool) -> Linear.Arithmetic {
    if exact { return .exact }
    if executor.prefersSixteenBit { return .sixteenBit }
    return weight.type.isBlocked ? .integer : .exact
  }

  /// A weight as that arithmetic takes it.
  func weight(_ weight: Tensor, for arithmetic: Linear.Arithmetic) throws -> Tensor {
    try arithmetic == .sixteenBit ? rounded(weight) : placed(weight)
  }
}
