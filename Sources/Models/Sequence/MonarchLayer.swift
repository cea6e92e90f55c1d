internal import Tensors

/// y = x · Mᵀ + b with M a Monarch matrix: blocks on a diagonal, a permutation, blocks on a diagonal, a permutation.
///
/// Every output depends on every input with in · m / blocks + out · m / blocks multiply-adds a row, where m is the smaller width.
/// Parameters `blkdiag1` `[blocks, m / blocks, in / blocks]`, `blkdiag2` `[blocks, out / blocks, m / blocks]`, `bias` `[out]`.
///
/// Dao et al., “Monarch: expressive structured matrices for efficient and accurate training”, 2022, arXiv:2204.00595.
struct MonarchLayer {
  private let first: Variable
  private let second: Variable
  private let bias: Variable?

  /// - Precondition: blocks divide both widths, and their square the smaller one.
  init(_ scope: ParameterScope, inputs: Int, outputs: Int, blocks: Int, hasBias: Bool = true) throws {
    let inner = min(inputs, outputs)
    precondition(
      inputs % blocks == 0 && outputs % blocks == 0 && inner % (blocks * blocks) == 0,
      "\(blocks) blocks for widths \(inputs) and \(outputs)")
    // A sum of as many terms as a block is wide keeps the variance at this bound.
    func bound(_ terms: Int) -> Initialiser {
      let bound = (3 / Float(terms)).squareRoot()
      return .uniform(-bound...bound)
    }
    let (p, q, s) = (inputs / blocks, inner / blocks, outputs / blocks)
    first = try scope("blkdiag1", [blocks, q, p], bound(p))
    second = try scope("blkdiag2", [blocks, s, q], bound(q))
    bias = hasBias ? try scope("bias", [outputs], .constant(0)) : nil
  }

  /// `[…, in]` → `[…, out]`.
  func callAsFunction(_ x: Variable) throws -> Variable {
    let y = try x.butterfly(first, second)
    return try bias.map { try y + $0 } ?? y
  }
}

extension Variable {
  /// Rows `[…, n]` times two block-diagonal factors, with a stride permutation behind each.
  ///
  /// - Parameters:
  ///   - first: `[k, q, p]`, k · p = n.
  ///   - second: `[l, s, r]`, l · r = k · q.
  /// - Returns: `[…, s · l]`: output j · l + i is number j of block i.
  func butterfly(_ first: Variable, _ second: Variable) throws -> Variable {
    let (k, q, p) = (first.shape[0], first.shape[1], first.shape[2])
    let (l, s, r) = (second.shape[0], second.shape[1], second.shape[2])
    let rows = shape.dropLast().reduce(1, *)
    precondition(
      shape[shape.count - 1] == k * p && l * r == k * q, "\(shape), \(first.shape), \(second.shape)")
    let inner = try reshaped([rows, k, p]).permuted([1, 0, 2]).product(first, transposesOther: true)
    let regrouped = try inner.permuted([1, 0, 2]).reshaped([rows, r, l]).permuted([2, 0, 1])
    let outer = try regrouped.product(second, transposesOther: true)
    return try outer.permuted([1, 2, 0]).reshaped(shape.dropLast() + [s * l])
  }
}
