internal import Kernels
internal import Memory
internal import Tiles

/// Weights of a linear layer with the kernels that apply them.
struct LinearLayer {
  let arithmetic: Linear.Arithmetic
  private let weight: Tensor
  private let bias: Tensor?
  private let kernels: RowKernels
  private let split: SplitKernels?

  /// Bytes that a step reads.
  var weightBytes: Int { weight.heldBytes }

  /// - Parameters:
  ///   - weight: `[out, in]`.
  ///   - exact: whether nothing is rounded.
  ///   - addsResidual: whether ``callAsFunction(_:residual:into:)`` is given a tensor to add.
  ///   - activation: of the sums.
  ///   - output: type of the result.
  init(
    _ weight: Tensor, bias: Tensor? = nil, exact: Bool, addsResidual: Bool = false,
    activation: Activation? = nil, output: ElementType = .float32, preparation: Preparation
  ) throws {
    let arithmetic = preparation.arithmetic(weight, exact: exact)
    self.arithmetic = arithmetic
    self.weight = try preparation.weight(
      weight, for: arithmetic, staysPacked: preparation.staysPacked(weight))
    self.bias = try bias.map { try preparation.placed($0) }
    let epilogue: Linear.Epilogue =
      switch (bias != nil, addsResidual) {
      case (false, false): .none
      case (true, false): .bias
      case (false, true): .residual
      case (true, true): .biasAndResidual
      }
    let (type, inputs, outputs) = (self.weight.type, weight.shape[1], weight.shape[0])
    let executor = preparation.executor
    func shape(_ limit: Int?) -> Linear.Shape {
      guard arithmetic == .sixteenBit else { return Linear.Shape(inputs: inputs, outputs: outputs) }
      return .planned(
        inputs: inputs, outputs: outputs, rowLimit: limit, weight: type, cores: executor.cores,
        plans: executor.plans)
    }
    kernels = try RowKernels(
      arithmetic, name: "linear \(type) \(epilogue) \(activation?.rawValue ?? "") \(output)", preparation,
      shape: shape
    ) { shape in
      try Linear.kernel(
        shape, weight: type, arithmetic: arithmetic, epilogue: epilogue, activation: activation,
        output: output)
    }
    split =
      arithmetic == .sixteenBit
      ? try SplitKernels(
        preparation, weight: type, outputs: outputs, shape: shape,
        joining: { splits in
          try preparation.kernel("sum \(splits) \(epilogue) \(activation?.rawValue ?? "") \(output)") {
            try SplitSum.kernel(splits: splits, epilogue: epilogue, activation: activation, output: output)
          }
        }) : nil
  }

  func callAsFunction(_ x: Tensor, residual: Tensor? = nil, into y: Tensor) throws {
    let others = [bias, residual].compactMap { $0 } + [y]
    if try split?.run(x, weight, others) ?? false { return }
    try kernels.run(rows: x.shape[0], [x, weight] + others)
  }
}

/// Weights of two linear layers joined by a gate, with the kernels that apply them.
struct GatedLayer {
  let arithmetic: Linear.Arithmetic
  private let gate: Tensor
  private let up: Tensor
  private let kernels: RowKernels

  /// Bytes that a step reads.
  var weightBytes: Int { gate.heldBytes + up.heldBytes }

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
    // Steps of one kernel are of blocks in both or in neither.
    let staysPacked = preparation.staysPacked(gate) && preparation.staysPacked(up)
    self.gate = try preparation.weight(gate, for: arithmetic, staysPacked: staysPacked)
    self.up = try preparation.weight(up, for: arithmetic, staysPacked: staysPacked)
    let types = (gate: self.gate.type, up: self.up.type)
    let largest = types.gate.blockBytes > types.up.blockBytes ? types.gate : types.up
    let (inputs, outputs) = (gate.shape[1], gate.shape[0])
    let executor = preparation.executor
    kernels = try RowKernels(arithmetic, name: "gated \(types) \(next)", preparation) { limit in
      guard arithmetic == .sixteenBit else {
        var shape = Linear.Shape(inputs: inputs, outputs: outputs)
        // Whole groups of 32, because the result may be stored as integer groups.
        shape.columns = 64
        return shape
      }
      return .planned(
        inputs: inputs, outputs: outputs, rowLimit: limit, sums: 2, weight: largest, cores: executor.cores,
        plans: executor.plans)
    } record: { shape in
      try GatedLinear.kernel(shape, weights: types, arithmetic: arithmetic, output: next.activation)
    }
  }

  func callAsFunction(_ x: Tensor, into y: Tensor) throws {
    try kernels.run(rows: x.shape[0], [x, gate, up, y])
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

  /// Whether products in 16-bit arithmetic decode the weight's blocks as they go.
  ///
  /// Small weights are rounded when a network is loaded: starting a kernel takes longer than reading them, and decoding makes each step
  /// longer. On an H100 SmolLM2, whose layers have up to 0.9 million weights, decoded 638 tokens/s with all of them in blocks and
  /// 773 with none.
  func staysPacked(_ weight: Tensor) -> Bool {
    Linear.packedTypes.contains(weight.type) && weight.count >= 1 << 22
  }

  /// A weight as that arithmetic takes it.
  func weight(_ weight: Tensor, for arithmetic: Linear.Arithmetic, staysPacked: Bool) throws -> Tensor {
    guard arithmetic == .sixteenBit else { return try placed(weight) }
    return try staysPacked ? packed(weight) : rounded(weight)
  }
}

extension Tensor {
  /// Bytes of its numbers, without what may lie between rows.
  fileprivate var heldBytes: Int { type.byteCount(of: count) ?? spannedBytes }
}
