internal import Memory
public import Tiles

/// One step of Adam with decoupled weight decay, in place.
///
/// m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p − rate · (m̂ / (√v̂ + ε) + decay · p) with m̂ = m / (1 − β₁ᵗ) and v̂
/// likewise. Floor: p, m, v and g read, p, m and v written once over the memory bandwidth. Loshchilov and Hutter, “Decoupled
/// weight decay regularization”, 2019, arXiv:1711.05101.
public enum AdamW {
  /// Arguments: p, m and v `[n]`, all updated; g `[n]`; settings `[6]`: rate / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ), rate · decay,
  /// β₁, β₂, ε; a factor `[1]` that g is multiplied by. Where the factor is no finite number, nothing changes.
  ///
  /// - Parameter columns: numbers of a tile.
  public static func kernel(columns: Int) throws(TileError) -> Kernel {
    try Kernel("adamw_\(columns)") { k in
      let n = k.extent("n")
      let p = k.update("p", .float32, [n])
      let m = k.update("m", .float32, [n])
      let v = k.update("v", .float32, [n])
      let g = k.input("g", .float32, [n])
      let settings = k.input("settings", .float32, [6])
      let factor = k.input("factor", .float32, [1])
      k.grid([n.ceilDiv(Index(columns))]) { task in
        let at = [task[0] * Index(columns)]
        let value = (0..<6).map { k.load(settings, at: [Index($0)]) }
        let share = k.load(factor, at: [0])
        // 0, or NaN where the factor is infinite or none.
        let isFinite = k.map(.subtract, share, share)
        let gradient = k.map(.multiply, k.load(g, at: at, columns: columns), share)
        let before = [p, m, v].map { k.load($0, at: at, columns: columns) }
        let mean = k.map(
          .fma, value[3], k.map(.subtract, before[1], gradient), gradient)
        let square = k.map(.multiply, gradient, gradient)
        let variance = k.map(.fma, value[4], k.map(.subtract, before[2], square), square)
        let size = k.map(.fma, k.map(.sqrt, variance), value[1], value[5])
        let decayed = k.map(.subtract, before[0], k.map(.multiply, before[0], value[2]))
        let moved = k.map(.multiply, k.map(.divide, mean, size), value[0])
        let after = [k.map(.subtract, decayed, moved), mean, variance]
        for (parameter, (old, new)) in zip([p, m, v], zip(before, after)) {
          k.store(k.map(.selectGreaterEqual, isFinite, 0.0, new, old), to: parameter, at: at)
        }
      }
    }
  }
}
