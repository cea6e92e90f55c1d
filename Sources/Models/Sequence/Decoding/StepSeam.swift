internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// The end of a half of a block and the beginning of the next: y = x + W · a + b, and y normalised.
///
/// Products of 16-bit factors are cut along their inputs, so that all cores read weights; what joins the parts also adds the residual and
/// normalises. Elsewhere, and for more sequences than such products take, it is a linear layer and a norm.
struct StepSeam {
  private let form: Form
  private let norm: [Tensor]

  private enum Form {
    case cut(Cut)
    case apart(layer: LinearLayer, norm: any CompiledKernel)
  }

  private struct Cut {
    let weight: Tensor
    let bias: [Tensor]
    let product: any CompiledKernel
    let joining: any CompiledKernel
    /// `[splits, B, D]`.
    let parts: Tensor
  }

  /// - Parameter norm: of the next half.
  init(_ weight: Variable, _ bias: Variable?, norm: NormLayer, _ shared: StepMemory) throws {
    let (preparation, executor) = (shared.preparation, shared.device.executor)
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    self.norm = [norm.weight.value, norm.bias.value]
    let kind = Normalisation.layer(epsilon: norm.epsilon)
    guard shared.isSixteenBit, let limit = Linear.Shape.rowLimits.first(where: { shared.batch <= $0 }) else {
      form = .apart(
        layer: try shared.linear(weight, bias, addsResidual: true),
        norm: try shared.norm(kind, width: outputs))
      return
    }
    let shape = Linear.Shape.sixteenBit(inputs: inputs, outputs: outputs, rowLimit: limit).cut(
      for: executor.cores)
    form = .cut(
      Cut(
        weight: try preparation.rounded(weight.value),
        bias: try bias.map { [try preparation.placed($0.value)] } ?? [],
        product: try preparation.kernel("parts \(shape)") { try Linear.parts(shape, weight: .bfloat16) },
        joining: try preparation.kernel("seam \(shape.splits) \(outputs) \(bias != nil) \(kind)") {
          try SplitSum.normalised(
            splits: shape.splits, width: outputs, hasBias: bias != nil, by: kind, output: shared.activation)
        },
        parts: try Tensor(
          preparation.scratch(byteCount: 4 * shape.splits * shared.batch * outputs), type: .float32,
          shape: [shape.splits, shared.batch, outputs])))
  }

  /// - Parameters:
  ///   - a: `[B, inputs]`, of the type that ``StepMemory/activation`` names.
  ///   - x: what is added, float32 `[B, D]`.
  ///   - y: the sum, which may not be where x is.
  ///   - z: y normalised.
  func callAsFunction(_ a: Tensor, adding x: Tensor, into y: Tensor, normalised z: Tensor) throws {
    switch form {
    case .cut(let cut):
      try cut.product.run([a, cut.weight, cut.parts])
      try cut.joining.run([cut.parts] + cut.bias + [x] + norm + [y, z])
    case .apart(let layer, let kernel):
      try layer(a, residual: x, into: y)
      try kernel.run([y] + norm + [z])
    }
  }
}
