public import Memory
public import Tiles

/// Mamba-2's state-space duality: y_t = C_t · h_t with h_t = exp(A·dt_t)·h_{t−1} + dt_t·B_tᵀ·x_t, chunk by chunk.
///
/// Within a chunk the recurrence is a masked product with decays as weights, between chunks a state of `[headSize,
/// stateSize]` goes on. One task runs one head from the first chunk to the last. Dao and Gu, 2024, arXiv:2405.21060.
/// Floor: x and y once over the memory bandwidth.
public enum SelectiveScan {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads; all read the same B and C.
    public var heads: Int
    /// Numbers in a head.
    public var headSize: Int
    /// Numbers in a row of B and C.
    public var stateSize: Int
    /// bfloat16 or float16.
    public var type: ElementType
    /// Positions of a chunk.
    public var chunk = 64
    /// Chunks that may be loaded ahead.
    public var stages = 2
    /// How groups of threads share a task.
    public var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)

    /// Sizes with the default tiles.
    public init(heads: Int, headSize: Int, stateSize: Int, type: ElementType = .bfloat16) {
      self.heads = heads
      self.headSize = headSize
      self.stateSize = stateSize
      self.type = type
    }
  }

  /// Arguments: x `[B, N, heads, P]`, dt float32 `[B, heads, N]` (not negative), A float32 `[heads]`, b and c `[B, N,
  /// S]`, results y as x and the last state float32 `[B, heads, P, S]`.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("selective_scan_\(shape.headSize)_\(shape.stateSize)_\(shape.type.rawValue)") { k in
      let (batch, n) = (k.extent("B"), k.extent("N"))
      let (heads, p, s) = (Index(shape.heads), Index(shape.headSize), Index(shape.stateSize))
      let x = k.input("x", shape.type, [batch, n, heads, p])
      let dt = k.input("dt", .float32, [batch, heads, n])
      let rates = k.input("A", .float32, [heads])
      let b = k.input("b", shape.type, [batch, n, s])
      let c = k.input("c", shape.type, [batch, n, s])
      let y = k.output("y", shape.type, [batch, n, heads, p])
      let last = k.output("state", .float32, [batch, heads, p, s])
      let chunk = Index(shape.chunk)
      k.grid([heads, batch], schedule: shape.schedule) { task in
        let (head, row) = (task[0], task[1])
        let state = k.filled(
          0, rows: shape.headSize, columns: shape.stateSize, validRows: p, validColumns: s)
        let rate = k.load(rates, at: [head], columns: 1, columnAxis: 0)
        k.pipeline(
          steps: n.ceilDiv(chunk), stages: shape.stages,
          load: { step in
            let at = step * chunk
            return [
              k.load(c, at: [row, at, 0], rows: shape.chunk, columns: shape.stateSize),
              k.load(b, at: [row, at, 0], rows: shape.chunk, columns: shape.stateSize),
              k.load(x, at: [row, at, head, 0], rows: shape.chunk, columns: shape.headSize, rowAxis: 1),
              k.load(dt, at: [row, head, at], columns: shape.chunk),
              k.load(dt, at: [row, head, at], rows: shape.chunk, columns: 1, rowAxis: 2),
            ]
          },
          compute: { step, tiles in
            let (c, b, x, dt, dtRows) = (tiles[0], tiles[1], tiles[2], tiles[3], tiles[4])
            let valid = (n - step * chunk).min(chunk)
            let scores = k.matmul(c, b, transposesRight: true)
            let carried = k.matmul(c, k.cast(state, to: shape.type), transposesRight: true)
            // Decays in units of log₂: from the chunk's start to each position, and over all of it.
            func logDecay(_ sum: Tile) -> Tile {
              k.map(.multiply, k.map(.multiply, sum, rate), OnlineSoftmax.log2e)
            }
            let zeros = k.filled(0, rows: shape.chunk, columns: 1, validRows: valid, validColumns: 1)
            let (position, source) = (MapValue.row(offset: 0), MapValue.column(offset: 0))
            let spans = k.map(.add, zeros, dt)
            let whole = logDecay(k.rowSum(dt))
            let upTo = logDecay(k.rowSum(k.map(.selectGreaterEqual, position, source, spans, 0.0)))
            let distances = k.map(.subtract, upTo, k.transposed(upTo))
            // Masked before the exponential: later positions would overflow.
            let decays = k.map(
              .exp2, k.map(.selectGreaterEqual, position, source, distances, -Float.infinity))
            let weights = k.map(.multiply, k.map(.multiply, scores, decays), dt)
            k.assign(carried, k.map(.multiply, carried, k.map(.exp2, upTo)))
            k.matmul(into: carried, k.cast(weights, to: shape.type), x)
            let rest = k.map(.multiply, k.map(.exp2, k.map(.subtract, whole, upTo)), dtRows)
            let inputs = k.cast(k.map(.multiply, b, rest), to: shape.type)
            k.assign(state, k.map(.multiply, state, k.map(.exp2, whole)))
            k.matmul(into: state, x, inputs, transposesLeft: true)
            k.store(carried, to: y, at: [row, step * chunk, head, 0], rowAxis: 1)
          })
        k.store(state, to: last, at: [row, head, 0, 0])
      }
    }
  }
}
