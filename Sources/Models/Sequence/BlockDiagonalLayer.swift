internal import Kernels
internal import Tensors

/// y = x · Wᵀ + b where W has blocks on its diagonal and zeros elsewhere: each block of outputs sees one block of inputs.
///
/// Parameters `weight` `[blocks, out / blocks, in / blocks]` and `bias` `[out]`. Widths that blocks do not divide are rounded
/// up inside: missing inputs are 0, outputs too many are not given. One batched product, in · out / blocks multiply-adds a row.
struct BlockDiagonalLayer {
  let weight: Variable
  let bias: Variable?
  private let inputs: Int
  private let outputs: Int

  init(_ scope: ParameterScope, inputs: Int, outputs: Int, blocks: Int, hasBias: Bool = true) throws {
    (self.inputs, self.outputs) = (inputs, outputs)
    let (p, q) = ((inputs + blocks - 1) / blocks, (outputs + blocks - 1) / blocks)
    let (bound, biasBound) = (1 / Float(p).squareRoot(), 1 / Float(outputs).squareRoot())
    weight = try scope("weight", [blocks, q, p], .uniform(-bound...bound))
    bias = hasBias ? try scope("bias", [outputs], .uniform(-biasBound...biasBound)) : nil
  }

  /// Whether blocks divide both widths.
  var isWhole: Bool {
    weight.shape[0] * weight.shape[2] == inputs && weight.shape[0] * weight.shape[1] == outputs
  }

  /// `[…, in]` → `[…, out]`.
  ///
  /// - Parameter residual: as the result, added to it.
  func callAsFunction(_ x: Variable, adding residual: Variable? = nil) throws -> Variable {
    if isWhole {
      return try x.product(blocks: weight.asRightFactor(), bias: bias, adding: residual)
    }
    let (blocks, p) = (weight.shape[0], weight.shape[2])
    let rows = x.shape.dropLast().reduce(1, *)
    let flat = try x.reshaped([rows, inputs]).padded(axis: 1, after: blocks * p - inputs)
    let y = try flat.product(blocks: weight.asRightFactor()).sliced(axis: 1, 0..<outputs)
    let z = try (bias.map { try y + $0 } ?? y).reshaped(x.shape.dropLast() + [outputs])
    return try residual.map { try z + $0 } ?? z
  }

  /// act(g) · h of the halves of the results, of layers without bias: `[…, in]` → `[…, out / 2]`.
  func gated(_ x: Variable, _ activation: Activation) throws -> Variable {
    if bias == nil, isWhole {
      return try x.gatedProduct(blocks: weight.asRightFactor(), activation)
    }
    let halves = try self(x).split(axis: x.shape.count - 1, 2)
    return try halves[0].map(halves[1]) { activation.apply(to: $0) * $1 }
  }
}
