public import Memory
public import Tiles

/// Rotary position embedding of whole heads, halves paired: y = [x₁·cos − x₂·sin, x₂·cos + x₁·sin].
///
/// A task turns the same positions of every head of a sequence, so that angles are read once a sequence. Su et al.,
/// “RoFormer”, 2021, arXiv:2104.09864. Floor: x read and y written once over the memory bandwidth.
public enum RotaryEmbedding {
  /// Arguments: x `[B, H, N, D]`, cos and sin `[N, D/2]`, y as x.
  ///
  /// - Parameters:
  ///   - headSize: D; even.
  ///   - type: of x and y: float32, bfloat16 or float16.
  ///   - angles: type of cos and sin.
  ///   - rows: positions of a task.
  public static func kernel(
    headSize: Int, type: ElementType = .bfloat16, angles: ElementType = .float32, rows: Int = 32
  ) throws(TileError) -> Kernel {
    try Kernel("rotary_\(headSize)_\(type.rawValue)") { k in
      let (batch, heads, n) = (k.extent("B"), k.extent("H"), k.extent("N"))
      let half = headSize / 2
      let x = k.input("x", type, [batch, heads, n, Index(headSize)])
      let cos = k.input("cos", angles, [n, Index(half)])
      let sin = k.input("sin", angles, [n, Index(half)])
      let y = k.output("y", type, x.extents)
      k.grid([batch, n.ceilDiv(Index(rows))]) { task in
        let row = task[1] * Index(rows)
        func angle(_ tensor: TensorParameter) -> Tile {
          k.load(tensor, at: [row, 0], rows: rows, columns: half, as: .float32)
        }
        let (c, s) = (angle(cos), angle(sin))
        k.loop(heads) { head in
          func place(_ member: Int) -> [Index] { [task[0], head, row, Index(member * half)] }
          func part(_ member: Int) -> Tile {
            k.load(
              x, at: place(member), rows: rows, columns: half, validColumns: Index(half), as: .float32)
          }
          let (a, b) = (part(0), part(1))
          let first = k.map(.subtract, k.map(.multiply, a, c), k.map(.multiply, b, s))
          let second = k.map(.fma, b, c, k.map(.multiply, a, s))
          k.store(first, to: y, at: place(0))
          k.store(second, to: y, at: place(1))
        }
      }
    }
  }
}
