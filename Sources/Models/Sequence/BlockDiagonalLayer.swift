internal import Tensors

/// y = x · Wᵀ + b where W has blocks on its diagonal and zeros elsewhere: each block of outputs sees one block of inputs.
///
/// Parameters `weight` `[blocks, out / blocks, in / blocks]` and `bias` `[out]`. Widths that blocks do not divide are rounded
/// up inside: missing inputs are 0, outputs too many are not given. One batched product, in · out / blocks multiply-adds a row.
struct BlockDiagonalLayer {
  private let weight: Variable
  private let bias: Variable?
  private let inputs: Int
  private let outputs: Int

  init(_ scope: ParameterScope, inputs: Int, outputs: Int, blocks: Int, hasBias: Bool = true) throws {
    (self.inputs, self.outputs) = (inputs, outputs)
    let (p, q) = ((inputs + blocks - 1) / blocks, (outputs + blocks - 1) / blocks)
    let (bound, biasBound) = (1 / Float(p).squareRoot(), 1 / Float(outputs).squareRoot())
    weight = try scope("weight", [blocks, q, p], .uniform(-bound...bound))
    bias = hasBias ? try scope("bias", [outputs], .uniform(-biasBound...biasBound)) : nil
  }

  /// `[…, in]` → `[…, out]`.
  func callAsFunction(_ x: Variable) throws -> Variable {
    let (blocks, q, p) = (weight.shape[0], weight.shape[1], weight.shape[2])
    let rows = x.shape.dropLast().reduce(1, *)
    let flat = try x.reshaped([rows, inputs]).padded(axis: 1, after: blocks * p - inputs)
    let split = try flat.reshaped([rows, blocks, p]).permuted([1, 0, 2])
    let y = try split.product(weight, transposesOther: true).permuted([1, 0, 2])
      .reshaped([rows, blocks * q]).sliced(axis: 1, 0..<outputs)
    return try (bias.map { try y + $0 } ?? y).reshaped(x.shape.dropLast() + [outputs])
  }
}
