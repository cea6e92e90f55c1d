internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// Feed-forward layers of ``ReplayedSteps`` and the norm behind them.
struct FeedForwardSteps {
  private let shared: StepMemory
  private let form: Form

  private enum Form {
    case dense(up: LinearLayer, end: StepSeam, width: Int)
    case blocks(Blocks)
  }

  private struct Blocks {
    let up: BlockSteps
    /// From rows of gates and what they multiply; `nil` where there are none.
    let gate: (any CompiledKernel)?
    let down: BlockSteps
    let norm: any CompiledKernel
    let weights: [Tensor]

    init(
      up: BlockSteps, gate: (any CompiledKernel)?, down: BlockDiagonalLayer, norm: NormLayer,
      _ shared: StepMemory
    ) throws {
      (self.up, self.gate) = (up, gate)
      self.down = try BlockSteps(down, addsResidual: true, shared)
      self.norm = try shared.norm(.layer(epsilon: norm.epsilon), width: norm.weight.shape[0])
      weights = [norm.weight.value, norm.bias.value]
    }
  }

  /// Whether there is such a form.
  static func suits(_ layers: FeedForward) -> Bool {
    switch layers {
    case .dense: true
    case .gated(let layer): BlockSteps.suits(layer.up) && BlockSteps.suits(layer.down)
    case .blocks(let up, let down): BlockSteps.suits(up) && BlockSteps.suits(down)
    case .monarch: false
    }
  }

  /// - Parameter norm: of what comes next.
  init(_ layers: FeedForward, norm: NormLayer, _ shared: StepMemory) throws {
    self.shared = shared
    switch layers {
    case .dense(let up, let down):
      form = .dense(
        up: try shared.linear(up.weight, up.bias, activation: .geluTanh, output: shared.activation),
        end: try StepSeam(down.weight, down.bias, norm: norm, shared), width: up.weight.shape[0])
    case .gated(let layer):
      let gate = try shared.preparation.kernel("gated halves \(GatedBlockLayer.activation)") {
        try GatedHalves.kernel(GatedBlockLayer.activation, output: shared.activation)
      }
      form = .blocks(
        try Blocks(up: BlockSteps(layer.up, shared), gate: gate, down: layer.down, norm: norm, shared))
    case .blocks(let up, let down):
      let steps = try BlockSteps(up, activation: .geluTanh, output: shared.activation, shared)
      form = .blocks(try Blocks(up: steps, gate: nil, down: down, norm: norm, shared))
    case .monarch: preconditionFailure("steps of Monarch matrices")
    }
  }

  /// - Parameters:
  ///   - normed: normalised rows `[B, D]`, then those of the result.
  ///   - y: what is added, float32 `[B, D]`.
  ///   - x: the sum, which may not be where y is.
  func callAsFunction(_ normed: Tensor, adding y: Tensor, into x: Tensor) throws {
    let batch = normed.shape[0]
    switch form {
    case .dense(let up, let end, let width):
      let hidden = try shared.workspace.tensor("hidden", shared.activation, [batch, width])
      try up(normed, into: hidden)
      try end(hidden, adding: y, into: x, normalised: normed)
    case .blocks(let layers):
      let inner = layers.gate == nil ? layers.up.outputs : layers.up.outputs / 2
      let hidden = try shared.workspace.tensor("hidden", shared.activation, [batch, inner])
      if let gate = layers.gate {
        let rows = try shared.workspace.tensor("rows of gates", .float32, [batch, 2 * inner])
        try layers.up(normed, into: rows)
        try gate.run([rows, hidden])
      } else {
        try layers.up(normed, into: hidden)
      }
      try layers.down(hidden, residual: y, into: x)
      try layers.norm.run([x] + layers.weights + [normed])
    }
  }
}

/// A block-diagonal layer, block by block.
private struct BlockSteps {
  private let blocks: [LinearLayer]
  private let inputs: Int
  /// Of all blocks.
  var outputs: Int { blocks.count * outputsOfBlock }
  private let outputsOfBlock: Int

  /// Whether blocks of 16-bit rows begin at multiples of 16 bytes, as copies want it.
  static func suits(_ layer: BlockDiagonalLayer) -> Bool {
    layer.isWhole && layer.weight.shape[1] % 8 == 0 && layer.weight.shape[2] % 8 == 0
  }

  init(
    _ layer: BlockDiagonalLayer, addsResidual: Bool = false, activation: Activation? = nil,
    output: ElementType = .float32, _ shared: StepMemory
  ) throws {
    let (count, q, p) = (layer.weight.shape[0], layer.weight.shape[1], layer.weight.shape[2])
    (inputs, outputsOfBlock) = (p, q)
    blocks = try (0..<count).map { block in
      try shared.linear(
        layer.weight.sliced(axis: 0, block..<block + 1).reshaped([q, p]),
        layer.bias?.sliced(axis: 0, block * q..<(block + 1) * q), addsResidual: addsResidual,
        activation: activation, output: output)
    }
  }

  func callAsFunction(_ x: Tensor, residual: Tensor? = nil, into y: Tensor) throws {
    for (number, block) in blocks.enumerated() {
      let own = number * outputsOfBlock..<(number + 1) * outputsOfBlock
      try block(
        x.sliced(axis: 1, number * inputs..<(number + 1) * inputs),
        residual: residual?.sliced(axis: 1, own), into: y.sliced(axis: 1, own))
    }
  }
}
