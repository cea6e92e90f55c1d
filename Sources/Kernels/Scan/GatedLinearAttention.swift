public import Memory
public import Tiles

/// Gated linear attention: y_t = scale · q_t · S_t with S_t = exp(g_t) ⊙ S_{t−1} + k_tᵀ · v_t, where each of a key's numbers
/// decays at its own rate, which depends on the data.
///
/// Positions come in blocks of 64; between blocks the state goes on. Within one, source s counts for position t with
/// Σ_d q_td · k_sd · exp(Σ_{s < u ≤ t} g_ud). A boundary m that lies between them, s < m ≤ t, cuts the sum of gates in two, of
/// which neither is above 0: one goes to the query, one to the key, and nothing overflows whatever the gates. Halving the
/// block again and again gives every pair a boundary: 32, then 16 and 48, and so on, six products for all pairs and one for
/// t = s. All boundaries of a level share a product, and each position is on one side of its own, so that one exponential
/// serves queries and keys. Sums of gates are products with matrices of zeros and ones, exact but for float32 sums.
///
/// Yang et al., 2024, arXiv:2312.06635, who take secondary blocks of 16 and single positions within them. Floor: q, k, v, g
/// and y once over the bandwidth (D = P = 128: 82 kB a block, 27 ns at 3 TB/s); the products' 64·(30·64·D + 2·64·P + 4·D·P)
/// flops a block take as long at 800 TFLOP/s (26 ns).
public enum GatedLinearAttention {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of q, k, v and g.
    public var heads: Int
    /// Numbers in a head of q, k and g.
    public var headSize: Int
    /// Numbers in a head of v.
    public var valueSize: Int
    /// bfloat16 or float16.
    public var type: ElementType
    /// Blocks that may be loaded ahead.
    public var stages = 2
    /// How groups of threads share a task: values are dealt out among them.
    public var schedule: Kernel.Schedule

    /// Sizes with the default tiles.
    public init(heads: Int, headSize: Int, valueSize: Int, type: ElementType = .bfloat16) {
      self.heads = heads
      self.headSize = headSize
      self.valueSize = valueSize
      self.type = type
      let groups = max(1, valueSize / 64)
      schedule = Kernel.Schedule(groups: groups, tasksPerCore: groups == 1 ? 2 : 1)
    }
  }

  /// Positions of a block.
  public static let block = 64

  /// Arguments: q and k `[B, H, N, D]`, v `[B, H, N, P]`, gates g as k (natural logarithms of decays, finite, at most 0),
  /// results y as v and the last state S float32 `[B, H, D, P]`.
  ///
  /// A sequence can be cut into segments of so many blocks (an integer argument), which tasks of their own run: the part
  /// ``SelectiveScan/Part/states`` takes k, v and g and writes what each segment adds, `[B, H, segments, D, P]`, and log₂
  /// decays over each, `[B, H, segments, D]`; ``SelectiveScan/combination(_:)`` makes of them the states before each segment;
  /// ``SelectiveScan/Part/results`` takes those after g, and its states are those after each segment.
  ///
  /// - Throws: ``TileError`` for what cannot be recorded.
  public static func kernel(
    _ shape: Shape, scale: Float = 1, part: SelectiveScan.Part = .whole
  ) throws(TileError) -> Kernel {
    try Kernel(
      "gated_linear_attention_\(part)_\(shape.headSize)_\(shape.valueSize)_\(shape.type.rawValue)"
    ) { k in
      let (batch, n) = (k.extent("B"), k.extent("N"))
      let (heads, d, p) = (Index(shape.heads), Index(shape.headSize), Index(shape.valueSize))
      let queries = part == .states ? nil : k.input("q", shape.type, [batch, heads, n, d])
      let keys = k.input("k", shape.type, [batch, heads, n, d])
      let values = k.input("v", shape.type, [batch, heads, n, p])
      let gates = k.input("g", shape.type, [batch, heads, n, d])
      let segments = part == .whole ? 1 : k.extent("segments")
      let length = part == .whole ? nil : k.argument("segmentBlocks")
      let states = part == .whole ? [batch, heads, d, p] : [batch, heads, segments, d, p]
      let before = part == .results ? k.input("before", .float32, states) : nil
      let y = part == .states ? nil : k.output("y", shape.type, [batch, heads, n, p])
      let last = k.output("state", .float32, states)
      let decays = part == .states ? k.output("decays", .float32, [batch, heads, segments, d]) : nil
      k.grid([heads, batch, segments], schedule: shape.schedule) { task in
        let (head, row, segment) = (task[0], task[1], task[2])
        let start = length.map { segment * $0 } ?? 0
        let blocks = n.ceilDiv(Index(block))
        let steps = length.map { (blocks - start).min($0).max(0) } ?? blocks
        let place = part == .whole ? [row, head, 0, 0] : [row, head, segment, 0, 0]
        // The state on its side, [values, keys]: as a left factor it then comes from registers.
        let sides = (row: place.count - 1, column: place.count - 2)
        let state = k.filled(
          0, rows: shape.valueSize, columns: shape.headSize, validRows: p, validColumns: d)
        if let before {
          k.assign(
            state,
            k.load(
              before, at: place, rows: shape.valueSize, columns: shape.headSize, rowAxis: sides.row,
              columnAxis: sides.column))
        }
        let passed = k.filled(0, rows: shape.headSize, columns: 1, validRows: d, validColumns: 1)
        k.pipeline(
          steps: steps, stages: shape.stages,
          load: { step in
            let at = [row, head, (start + step) * Index(block), 0]
            return [
              k.load(keys, at: at, rows: block, columns: shape.headSize),
              k.load(values, at: at, rows: block, columns: shape.valueSize),
              k.load(gates, at: at, rows: block, columns: shape.headSize),
            ] + (queries.map { [k.load($0, at: at, rows: block, columns: shape.headSize)] } ?? [])
          },
          compute: { step, tiles in
            let at = (start + step) * Index(block)
            var decay = BlockDecay(tiles[2], valid: (n - at).min(Index(block)), shape, k)
            if let y {
              let weights = k.cast(decay.weights(tiles[3], tiles[0], k), to: shape.type)
              let query = k.cast(k.map(.multiply, tiles[3], decay.fromStart(k)), to: shape.type)
              let result = k.matmul(k.cast(state, to: shape.type), query, transposesRight: true)
              k.matmul(into: result, tiles[1], weights, transposesLeft: true, transposesRight: true)
              // Stored here, results and the rounded state give their registers to what follows.
              k.store(
                scale == 1 ? result : k.map(.multiply, result, scale), to: y, at: [row, head, at, 0],
                rowAxis: 3, columnAxis: 2)
            }
            let whole = decay.whole(k)
            let key = decay.toEnd(tiles[0], k)
            k.assign(state, k.map(.multiply, state, k.transposed(k.map(.exp2, whole))))
            k.matmul(into: state, tiles[1], key, transposesLeft: true)
            if decays != nil { k.assign(passed, k.map(.add, passed, whole)) }
          })
        k.store(state, to: last, at: place, rowAxis: sides.row, columnAxis: sides.column)
        if let decays { k.store(passed, to: decays, at: [row, head, segment, 0], rowAxis: 3) }
      }
    }
  }
}

/// Decays between positions of one block.
private struct BlockDecay {
  private let gates: Tile
  private let type: ElementType
  /// Positions that there are.
  private let valid: Index
  private let columns: Int
  /// Zeros `[block, block]`, which say where positions end.
  private let square: Tile
  /// Which positions' gates each position sums, and keys times their decays: factors of products, one memory for each.
  private var selection: Tile?
  private var key: Tile?

  private static let block = GatedLinearAttention.block

  /// - Parameter valid: positions that there are.
  init(_ gates: Tile, valid: Index, _ shape: GatedLinearAttention.Shape, _ k: Recorder) {
    let block = Self.block
    self.gates = gates
    self.valid = valid
    type = shape.type
    // The matrix units take 16 columns of each group.
    columns = 16 * shape.schedule.groups
    square = k.filled(0, rows: block, columns: block, validRows: valid, validColumns: valid)
  }

  /// The numbers as a factor, until the next call for the same one.
  private mutating func factor(
    _ place: WritableKeyPath<BlockDecay, Tile?>, _ numbers: Tile, _ k: Recorder
  ) -> Tile {
    if let tile = self[keyPath: place] {
      k.assign(tile, numbers)
      return tile
    }
    let tile = k.cast(numbers, to: type)
    self[keyPath: place] = tile
    return tile
  }

  /// exp of the sum of gates from a position to another, both counted, which each row names.
  private mutating func decay(from first: some MapOperand, to last: some MapOperand, _ k: Recorder) -> Tile {
    let source = MapValue.column(offset: 0)
    let upTo = k.map(.selectGreaterEqual, last, source, 1.0, square)
    let selected = factor(\.selection, k.map(.selectGreaterEqual, source, first, upTo, 0.0), k)
    return k.map(.exp2, k.map(.multiply, k.matmul(selected, gates), OnlineSoftmax.log2e))
  }

  /// From the block's start to each position, its own gate counted.
  mutating func fromStart(_ k: Recorder) -> Tile { decay(from: 0.0, to: MapValue.row(offset: 0), k) }

  /// Keys as those after the block see them: decayed by what comes after each.
  mutating func toEnd(_ keys: Tile, _ k: Recorder) -> Tile {
    let decay = decay(from: MapValue.row(offset: 1), to: Float(Self.block), k)
    return factor(\.key, k.map(.multiply, keys, decay), k)
  }

  /// Sum of the block's gates in units of log₂, `[D, 1]`.
  func whole(_ k: Recorder) -> Tile {
    let ones = k.filled(
      1 / Float(columns), rows: Self.block, columns: columns, validRows: gates.validRows,
      validColumns: Index(columns))
    let sums = k.rowSum(k.matmul(gates, k.cast(ones, to: type), transposesLeft: true))
    return k.map(.multiply, sums, OnlineSoftmax.log2e)
  }

  /// Weights of positions for those up to them: products with a boundary between the two, coarse ones first.
  mutating func weights(_ queries: Tile, _ keys: Tile, _ k: Recorder) -> Tile {
    let (position, source) = (MapValue.row(offset: 0), MapValue.column(offset: 0))
    let scores = k.filled(
      0, rows: Self.block, columns: Self.block, validRows: valid, validColumns: valid)
    let half = Self.block / 2
    let width = k.filled(Float(half), rows: 1, columns: 1, validRows: 1, validColumns: 1)
    let boundary = k.filled(Float(half), rows: Self.block, columns: 1, validRows: valid, validColumns: 1)
    // A loop, not so many copies: what levels have in common would be kept in registers that are not there.
    k.loop(Index(half.trailingZeroBitCount + 1)) { _ in
      let first = k.map(.selectGreaterEqual, position, boundary, boundary, MapValue.row(offset: 1))
      let last = k.map(
        .selectGreaterEqual, position, boundary, position, k.map(.subtract, boundary, 1.0))
      let decay = decay(from: first, to: last, k)
      let query = k.cast(k.map(.multiply, queries, decay), to: type)
      // Only pairs within the two halves that meet here: others have a boundary of a coarser level. (Found here, it parts
      // keys from queries: in one pass over both, a thread would have to hold both.)
      let start = k.map(.subtract, boundary, width)
      let key = factor(\.key, k.map(.multiply, keys, decay), k)
      let split = k.matmul(query, key, transposesRight: true)
      k.assign(scores, k.map(.selectGreaterEqual, source, start, split, scores))
      k.assign(width, k.map(.multiply, width, 0.5))
      let (above, below) = (k.map(.add, boundary, width), k.map(.subtract, boundary, width))
      k.assign(boundary, k.map(.selectGreaterEqual, position, boundary, above, below))
    }
    let same = k.matmul(queries, keys, transposesRight: true)
    let before = k.map(.selectGreaterEqual, source, position, same, scores)
    return k.map(.selectGreaterEqual, position, source, before, 0.0)
  }
}
