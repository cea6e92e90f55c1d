internal import Memory
public import Tiles

/// Softmax of each row of `[N, R, C]`, of scores times a factor, with or without a causal mask.
///
/// Row r of R sees the first C − R + r + 1 columns where it is causal. For rows of up to some thousand numbers; longer
/// attention does not keep its scores (``Attention``). Floor: the scores read and the weights written once over the memory
/// bandwidth.
public struct Softmax: Sendable, Hashable {
  /// Whether later columns are left out.
  public var isCausal: Bool
  /// What scores are multiplied by.
  public var scale: Float
  /// Capacity of a row.
  public var columns: Int
  private let rows = 8

  /// - Parameter columns: at least C.
  public init(isCausal: Bool, scale: Float, columns: Int) {
    self.isCausal = isCausal
    self.scale = scale
    self.columns = columns
  }

  /// Arguments: scores, weights.
  public func kernel() throws(TileError) -> Kernel {
    try Kernel("softmax\(isCausal ? "_causal" : "")_\(columns)_\(scale)") { k in
      let extents = [k.extent("N"), k.extent("R"), k.extent("C")]
      let x = k.input("x", .float32, extents)
      let y = k.output("y", .float32, extents)
      k.grid([extents[0], extents[1].ceilDiv(Index(rows))]) { task in
        let at = [task[0], task[1] * Index(rows), 0]
        var scores = k.map(.multiply, k.load(x, at: at, rows: rows, columns: columns), scale)
        if isCausal {
          let last = MapValue.row(offset: at[1] + extents[2] - extents[1])
          scores = k.map(.selectGreaterEqual, last, MapValue.column(offset: 0), scores, -Float.infinity)
        }
        let powers = k.map(.exp, k.map(.subtract, scores, k.rowMax(scores)))
        k.store(k.map(.multiply, powers, k.map(.reciprocal, k.rowSum(powers))), to: y, at: at)
      }
    }
  }

  /// Arguments: weights y, dy, gradient of the scores.
  public func gradient() throws(TileError) -> Kernel {
    try Kernel("softmax_gradient_\(columns)_\(scale)") { k in
      let extents = [k.extent("N"), k.extent("R"), k.extent("C")]
      let y = k.input("y", .float32, extents)
      let dy = k.input("dy", .float32, extents)
      let dx = k.output("dx", .float32, extents)
      k.grid([extents[0], extents[1].ceilDiv(Index(rows))]) { task in
        let at = [task[0], task[1] * Index(rows), 0]
        let weights = k.load(y, at: at, rows: rows, columns: columns)
        let g = k.load(dy, at: at, rows: rows, columns: columns)
        let mean = k.rowSum(k.map(.multiply, weights, g))
        let rest = k.map(.multiply, k.map(.subtract, g, mean), weights)
        k.store(k.map(.multiply, rest, scale), to: dx, at: at)
      }
    }
  }
}
