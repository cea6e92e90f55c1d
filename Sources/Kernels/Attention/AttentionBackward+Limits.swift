internal import Memory
public import Tiles

/// How large gradients of queries can get, which says how fine the unit of their sums may be.
extension AttentionBackward {
  /// For each key the square of |v| and the largest |k|; NaN where v or k has one.
  ///
  /// Arguments: k and v `[B, kvHeads, N, D]`, results `squares` and `peaks` `[B, kvHeads, N]`, float32.
  public static func keyLimits(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("attention_backward_key_limits_\(shape.variant)") { k in
      let (b, kv, n, d) = (k.extent("B"), Index(shape.kvHeads), k.extent("N"), Index(shape.headSize))
      let keys = k.input("k", shape.type, [b, kv, n, d])
      let values = k.input("v", shape.type, [b, kv, n, d])
      let squares = k.output("squares", .float32, [b, kv, n])
      let peaks = k.output("peaks", .float32, [b, kv, n])
      let block = 16
      k.grid([b, kv, n.ceilDiv(Index(block))]) { task in
        let at = [task[0], task[1], task[2] * Index(block)]
        func load(_ tensor: TensorParameter) -> Tile {
          k.load(tensor, at: at + [0], rows: block, columns: shape.headSize, as: .float32)
        }
        let (value, key) = (load(values), k.map(.abs, load(keys)))
        k.store(k.rowSum(k.map(.multiply, value, value)), to: squares, at: at, rowAxis: 2)
        // A maximum passes over NaN, a sum does not.
        k.store(k.map(.fma, k.rowSum(key), 0, k.rowMax(key)), to: peaks, at: at, rowAxis: 2)
      }
    }
  }

  /// For each head max |v| · max |k|. Arguments: the results of ``keyLimits(_:)``, then `limits` `[B, kvHeads, 1]`.
  public static func limits(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("attention_backward_limits_\(shape.variant)") { k in
      let (b, kv, n) = (k.extent("B"), Index(shape.kvHeads), k.extent("N"))
      let squares = k.input("squares", .float32, [b, kv, n])
      let peaks = k.input("peaks", .float32, [b, kv, n])
      let limits = k.output("limits", .float32, [b, kv, 1])
      let block = 1024
      k.grid([b, kv]) { task in
        func zero() -> Tile { k.filled(0, rows: 1, columns: 1, validRows: 1, validColumns: 1) }
        let (square, peak) = (zero(), zero())
        k.loop(n.ceilDiv(Index(block))) { step in
          func raise(_ top: Tile, _ tensor: TensorParameter) {
            let tile = k.load(tensor, at: [task[0], task[1], step * Index(block)], columns: block)
            let largest = k.map(.fma, k.rowSum(tile), 0, k.rowMax(tile))
            k.assign(top, k.map(.fma, k.map(.add, top, largest), 0, k.map(.max, top, largest)))
          }
          raise(square, squares)
          raise(peak, peaks)
        }
        k.store(k.map(.multiply, k.map(.sqrt, square), peak), to: limits, at: [task[0], task[1], 0])
      }
    }
  }
}
