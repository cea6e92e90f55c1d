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

  /// Which part of a scan a kernel does.
  public enum Part: Sendable, Hashable {
    /// All of it, a head from the first chunk to the last in one task.
    case whole
    /// What each segment of the sequence adds to the state, from a state of zero.
    case states
    /// The results of each segment, from the state before it.
    case results
  }

  /// Arguments: x `[B, N, heads, P]`, dt float32 `[B, heads, N]` (not negative), A float32 `[heads]`, b and c `[B, N,
  /// S]`, results y as x and the last state float32 `[B, heads, P, S]`.
  ///
  /// A sequence can be cut into segments of so many chunks (an integer argument), which tasks of their own run: the part
  /// ``Part/states`` leaves out c and y and writes states `[B, heads, segments, P, S]` and log₂ decays `[B, heads, segments, P]`;
  /// ``combination(_:)`` makes of them the states before each segment; ``Part/results`` takes those after c, and its last
  /// states are `[B, heads, segments, P, S]`.
  public static func kernel(_ shape: Shape, part: Part = .whole) throws(TileError) -> Kernel {
    try Kernel("selective_scan_\(part)_\(shape.headSize)_\(shape.stateSize)_\(shape.type.rawValue)") { k in
      let (batch, n) = (k.extent("B"), k.extent("N"))
      let (heads, p, s) = (Index(shape.heads), Index(shape.headSize), Index(shape.stateSize))
      let x = k.input("x", shape.type, [batch, n, heads, p])
      let dt = k.input("dt", .float32, [batch, heads, n])
      let rates = k.input("A", .float32, [heads])
      let b = k.input("b", shape.type, [batch, n, s])
      let c = part == .states ? nil : k.input("c", shape.type, [batch, n, s])
      let segments = part == .whole ? 1 : k.extent("segments")
      let length = part == .whole ? nil : k.argument("segmentChunks")
      let segmented = [batch, heads, segments, p, s]
      let first = part == .results ? k.input("before", .float32, segmented) : nil
      let y = part == .states ? nil : k.output("y", shape.type, [batch, n, heads, p])
      let last = k.output("state", .float32, part == .whole ? [batch, heads, p, s] : segmented)
      let decays = part == .states ? k.output("decays", .float32, [batch, heads, segments, p]) : nil
      let chunk = Index(shape.chunk)
      k.grid([heads, batch, segments], schedule: shape.schedule) { task in
        let (head, row, segment) = (task[0], task[1], task[2])
        let start = length.map { segment * $0 } ?? 0
        let chunks = n.ceilDiv(chunk)
        let steps = length.map { (chunks - start).min($0).max(0) } ?? chunks
        let state = k.filled(
          0, rows: shape.headSize, columns: shape.stateSize, validRows: p, validColumns: s)
        let place = part == .whole ? [row, head, 0, 0] : [row, head, segment, 0, 0]
        if let first {
          k.assign(state, k.load(first, at: place, rows: shape.headSize, columns: shape.stateSize))
        }
        let passed = k.filled(0, rows: shape.headSize, columns: 1, validRows: p, validColumns: 1)
        let rate = k.load(rates, at: [head], columns: 1, columnAxis: 0)
        k.pipeline(
          steps: steps, stages: shape.stages,
          load: { step in
            let at = (start + step) * chunk
            return [
              k.load(b, at: [row, at, 0], rows: shape.chunk, columns: shape.stateSize),
              k.load(x, at: [row, at, head, 0], rows: shape.chunk, columns: shape.headSize, rowAxis: 1),
              k.load(dt, at: [row, head, at], columns: shape.chunk),
              k.load(dt, at: [row, head, at], rows: shape.chunk, columns: 1, rowAxis: 2),
            ]
              + (c.map {
                [k.load($0, at: [row, at, 0], rows: shape.chunk, columns: shape.stateSize)]
              } ?? [])
          },
          compute: { step, tiles in
            let (b, x, dt, dtRows) = (tiles[0], tiles[1], tiles[2], tiles[3])
            let at = (start + step) * chunk
            let carried = c.map { _ in
              k.matmul(tiles[4], k.cast(state, to: shape.type), transposesRight: true)
            }
            let scores = c.map { _ in k.matmul(tiles[4], b, transposesRight: true) }
            // Decays in units of log₂: from the chunk's start to each position, and over all of it.
            func logDecay(_ sum: Tile) -> Tile {
              k.map(.multiply, k.map(.multiply, sum, rate), OnlineSoftmax.log2e)
            }
            let zeros = k.filled(
              0, rows: shape.chunk, columns: 1, validRows: (n - at).min(chunk), validColumns: 1)
            let (position, source) = (MapValue.row(offset: 0), MapValue.column(offset: 0))
            let spans = k.map(.add, zeros, dt)
            let whole = logDecay(k.rowSum(dt))
            let upTo = logDecay(k.rowSum(k.map(.selectGreaterEqual, position, source, spans, 0.0)))
            if let scores, let carried {
              let distances = k.map(.subtract, upTo, k.transposed(upTo))
              // Masked before the exponential: later positions would overflow.
              let decays = k.map(
                .exp2, k.map(.selectGreaterEqual, position, source, distances, -Float.infinity))
              let weights = k.map(.multiply, k.map(.multiply, scores, decays), dt)
              k.assign(carried, k.map(.multiply, carried, k.map(.exp2, upTo)))
              k.matmul(into: carried, k.cast(weights, to: shape.type), x)
            }
            let rest = k.map(.multiply, k.map(.exp2, k.map(.subtract, whole, upTo)), dtRows)
            let inputs = k.cast(k.map(.multiply, b, rest), to: shape.type)
            k.assign(state, k.map(.multiply, state, k.map(.exp2, whole)))
            k.matmul(into: state, x, inputs, transposesLeft: true)
            if decays != nil { k.assign(passed, k.map(.add, passed, whole)) }
            if let y, let carried { k.store(carried, to: y, at: [row, at, head, 0], rowAxis: 1) }
          })
        k.store(state, to: last, at: place)
        if let decays { k.store(passed, to: decays, at: [row, head, segment, 0], rowAxis: 3) }
      }
    }
  }

  /// States before each segment from what segments add: float32 `[B, heads, segments, P, S]` in and out, with their decays
  /// between. Arguments: states, decays, before.
  public static func combination(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("selective_scan_combination_\(shape.headSize)_\(shape.stateSize)") { k in
      let (batch, segments) = (k.extent("B"), k.extent("segments"))
      let (heads, p, s) = (Index(shape.heads), Index(shape.headSize), Index(shape.stateSize))
      let states = k.input("states", .float32, [batch, heads, segments, p, s])
      let decays = k.input("decays", .float32, [batch, heads, segments, p])
      let before = k.output("before", .float32, [batch, heads, segments, p, s])
      let rows = 8
      k.grid([p.ceilDiv(Index(rows)), heads, batch]) { task in
        let (first, head, row) = (task[0] * Index(rows), task[1], task[2])
        let state = k.filled(
          0, rows: rows, columns: shape.stateSize, validRows: (p - first).min(Index(rows)), validColumns: s)
        k.loop(segments) { segment in
          let at = [row, head, segment, first, 0]
          k.store(state, to: before, at: at)
          let decay = k.load(
            decays, at: [row, head, segment, first], rows: rows, columns: 1, rowAxis: 3)
          let added = k.load(states, at: at, rows: rows, columns: shape.stateSize)
          k.assign(state, k.map(.fma, state, k.map(.exp2, decay), added))
        }
      }
    }
  }
}
