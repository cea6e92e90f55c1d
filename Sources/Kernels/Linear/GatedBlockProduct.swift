public import Memory
public import Tiles

/// The first half of a gated block-diagonal layer in one pass, y[i] = act(x[i] · W[i]ᵀ) ∘ (x[i + h] · W[i + h]ᵀ) for i < h: the
/// first half of the blocks makes gates of the first half of the inputs, the second what they multiply, and neither reaches memory.
///
/// Floor: 8 · h · M · N · K operations over the rate of the matrix units, or y written once over the bandwidth, which at the 192
/// inputs of M2-BERT's blocks take about as long as each other. Fu et al., “Monarch Mixer”, 2023, arXiv:2310.12109.
public struct GatedBlockProduct: Sendable, Hashable {
  /// What gates go through.
  public var activation: Activation
  /// Type of x, W and y: bfloat16 or float16; sums are float32.
  public var type: ElementType
  /// Rows and columns of y that a task computes, and how far it loads ahead.
  public var plan = Gemm.Plan(
    rows: 128, columns: 128, inner: 64, stages: 3, schedule: Kernel.Schedule(groups: 2))

  /// A layer with the usual tiles.
  public init(activation: Activation, type: ElementType) {
    (self.activation, self.type) = (activation, type)
  }

  /// Arguments: x `[blocks, M, K]`, W `[blocks, N, K]`, y `[pairs, M, N]`, where blocks = 2 · pairs.
  public func kernel() throws(TileError) -> Kernel {
    try Kernel("gated_blocks_\(activation.rawValue)_\(type.rawValue)") { k in
      let (pairs, blocks) = (k.extent("pairs"), k.extent("blocks"))
      let (m, n, inner) = (k.extent("M"), k.extent("N"), k.extent("K"))
      let x = k.input("x", type, [blocks, m, inner])
      let w = k.input("W", type, [blocks, n, inner])
      let y = k.output("y", type, [pairs, m, n])
      let (rows, columns, step) = (Index(plan.rows), Index(plan.columns), Index(plan.inner))
      k.grid([pairs, m.ceilDiv(rows), n.ceilDiv(columns)], schedule: plan.schedule) { task in
        let (row, column) = (task[1] * rows, task[2] * columns)
        let sums = (0..<2).map { _ in
          k.filled(
            0, rows: plan.rows, columns: plan.columns, validRows: (m - row).min(rows),
            validColumns: (n - column).min(columns))
        }
        let members = [task[0], task[0] + pairs]
        k.pipeline(
          steps: inner.ceilDiv(step), stages: plan.stages,
          load: { number in
            members.flatMap { member in
              [
                k.load(x, at: [member, row, number * step], rows: plan.rows, columns: plan.inner),
                k.load(w, at: [member, column, number * step], rows: plan.columns, columns: plan.inner),
              ]
            }
          },
          compute: { _, tiles in
            for half in 0..<2 {
              k.matmul(into: sums[half], tiles[2 * half], tiles[2 * half + 1], transposesRight: true)
            }
          })
        k.store(
          k.map(.multiply, activation.apply(to: sums[0], k), sums[1]), to: y, at: [task[0], row, column])
      }
    }
  }
}
