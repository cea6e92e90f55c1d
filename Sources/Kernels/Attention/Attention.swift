public import Memory
public import Tiles

/// Attention over plain tensors: y = softmax(scale · q · kᵀ + mask) · v, with the log-sum-exp of every row.
///
/// The query heads that share a key-value head are packed as rows of one tile, so that grouped heads and short queries
/// fill it. Blocks of keys that a mask hides from all rows of a tile are skipped, and blocks that all rows see whole are
/// not masked. Dao et al., 2022, arXiv:2205.14135. Floor: 4·B·heads·(visible pairs)·D flops over the rate of the fused
/// multiply-adds; scores never reach memory.
public enum Attention {
  /// Which keys a row sees. Rows and keys end together: row i of M stands at position i + N − M of N.
  public enum Mask: Sendable, Hashable {
    /// All keys.
    case full
    /// Keys up to its own position.
    case causal
    /// Its own position and the `width` − 1 before it.
    case window(Int)
  }

  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of K and V.
    public var kvHeads: Int
    /// Query heads that share one of them.
    public var group: Int
    /// Numbers in a head; any.
    public var headSize: Int
    /// Query rows of a task.
    public var rows = 96
    /// Keys of a step.
    public var keys = 64
    /// Type of q, k, v and y: float32, or bfloat16 or float16 with float32 sums and weights rounded to it.
    public var type = ElementType.float32
    /// Blocks of keys that may be loaded ahead.
    public var stages = 2
    /// How groups of threads share a task.
    public var schedule = Kernel.Schedule()
    /// Heads whose keys and values fit in so many bytes are worked on together; `nil` for cores with caches of their own.
    public var sharedCacheBytes: Int?

    /// Sizes with the default tiles.
    public init(kvHeads: Int, group: Int, headSize: Int) {
      self.kvHeads = kvHeads
      self.group = group
      self.headSize = headSize
    }

    /// 16-bit tiles for matrix units that take 64 rows at a time, as they proved fastest on an H100.
    ///
    /// Three groups hide each other's elementwise work; where a mask cuts rows short, or three groups' sums would not fit
    /// the registers, two groups overlap their own steps instead.
    public static func gpu(
      kvHeads: Int, group: Int, headSize: Int, mask: Mask, type: ElementType = .bfloat16
    ) -> Shape {
      var shape = Shape(kvHeads: kvHeads, group: group, headSize: headSize)
      shape.type = type
      let groups = headSize <= 64 || headSize <= 128 && mask == .full ? 3 : 2
      shape.rows = 64 * groups
      shape.keys = headSize <= 128 ? 128 : 64
      shape.stages = headSize <= 64 ? 3 : 2
      shape.schedule = Kernel.Schedule(groups: groups, overlapsSteps: groups == 2)
      shape.sharedCacheBytes = 24 << 20
      return shape
    }

    /// Columns of a tile of heads: 16-bit factors come in sixteens.
    var columns: Int { type == .float32 ? headSize : (headSize + 15) / 16 * 16 }
  }

  /// Arguments: q `[B, kvHeads, group · M, D]` (that is `[B, heads, M, D]`), k and v `[B, kvHeads, N, D]`, results
  /// y as q and lse `[B, kvHeads, group · M]` in float32, natural logarithm; M and N any. Integers: M. A row that sees
  /// no key gives y = 0 and lse = −∞.
  ///
  /// - Parameter scale: above 0.
  /// - Throws: ``TileError`` for what cannot be recorded.
  public static func kernel(_ shape: Shape, mask: Mask, scale: Float) throws(TileError) -> Kernel {
    try Kernel(
      "attention_\(mask)_\(shape.headSize)\(shape.type == .float32 ? "" : "_\(shape.type.rawValue)")"
    ) { k in
      let (b, m, n) = (k.extent("B"), k.argument("M"), k.extent("N"))
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let q = k.input("q", shape.type, [b, kv, group * m, d])
      let keys = k.input("k", shape.type, [b, kv, n, d])
      let values = k.input("v", shape.type, [b, kv, n, d])
      let y = k.output("y", shape.type, [b, kv, group * m, d])
      let lse = k.output("lse", .float32, [b, kv, group * m])
      let blocks = (group * m).ceilDiv(Index(shape.rows))
      let visible = Visible(shape, mask, row: .task(0) * Index(shape.rows), m: m, n: n)
      let order = Kernel.TaskOrder.longestFirst(
        cost: visible.end - visible.first, section: section(shape, n: n))
      k.grid([blocks, kv, b], order: order, schedule: shape.schedule) { task in
        let (row, head, batch) = (task[0] * Index(shape.rows), task[1], task[2])
        let valid = (group * m - row).min(Index(shape.rows))
        let loaded = k.load(q, at: [batch, head, row, 0], rows: shape.rows, columns: shape.columns)
        // Rounding scaled queries to 16 bits would cost accuracy: there the scale goes into the exponents.
        let isScaled = shape.type == .float32
        let queries = isScaled ? k.map(.multiply, loaded, scale * OnlineSoftmax.log2e) : loaded
        let softmax = OnlineSoftmax(
          top: k.filled(-.infinity, rows: shape.rows, columns: 1, validRows: valid, validColumns: 1),
          total: k.filled(0, rows: shape.rows, columns: 1, validRows: valid, validColumns: 1),
          sum: k.filled(0, rows: shape.rows, columns: shape.columns, validRows: valid, validColumns: d),
          scale: isScaled ? 1 : scale * OnlineSoftmax.log2e)
        let places = mask == .full ? nil : positions(k, shape, row: row, valid: valid, m: m, n: n)
        func load(_ block: Index) -> [Tile] {
          [keys, values].map { tensor in
            k.load(
              tensor, at: [batch, head, block * Index(shape.keys), 0], rows: shape.keys,
              columns: shape.columns)
          }
        }
        k.pipeline(
          steps: visible.end - visible.first, stages: shape.stages, load: { load(visible.first + $0) },
          compute: { step, tiles in
            let scores = k.matmul(queries, tiles[0], transposesRight: true)
            if let places {
              k.when(visible.whole, lessThan: step + 1) {
                // Where the rows stand within the block.
                let newest = k.map(.subtract, places, (visible.first + step) * Index(shape.keys))
                let key = MapValue.column(offset: 0)
                k.assign(scores, k.map(.selectGreaterEqual, newest, key, scores, -Float.infinity))
                if case .window(let width) = mask {
                  let oldest = k.map(.subtract, newest, Float(width - 1))
                  k.assign(scores, k.map(.selectGreaterEqual, key, oldest, scores, -Float.infinity))
                }
              }
            }
            softmax.absorb(scores: scores, values: tiles[1], k)
          })
        let result = softmax.normalized(k)
        k.store(result.values, to: y, at: [batch, head, row, 0])
        k.store(result.logSumExp, to: lse, at: [batch, head, row], rowAxis: 2)
      }
    }
  }

  /// Heads that fit a shared cache together, by number; 0 for cores with caches of their own.
  private static func section(_ shape: Shape, n: Index) -> Index {
    guard let bytes = shape.sharedCacheBytes else { return 0 }
    let headBytes = n * Index(2 * shape.headSize * shape.type.blockBytes)
    return (.task(2) * Index(shape.kvHeads) + .task(1)) / (Index(bytes) / headBytes).max(1)
  }

  /// Position of each row `[R, 1]`: rows of the group's heads follow each other, M each.
  private static func positions(
    _ k: Recorder, _ shape: Shape, row: Index, valid: Index, m: Index, n: Index
  ) -> Tile {
    let zero = k.filled(0, rows: shape.rows, columns: 1, validRows: valid, validColumns: 1)
    let flat = k.map(.add, MapValue.row(offset: row), zero)
    var place = flat
    for member in 1..<max(2, shape.group) where member < shape.group {
      let start = Index(member) * m
      place = k.map(.selectGreaterEqual, flat, start, k.map(.subtract, flat, start), place)
    }
    return k.map(.add, place, n - m)
  }

  /// Blocks of keys that the rows of one task see.
  private struct Visible {
    /// First block that some row sees, and the end of them.
    let first: Index
    let end: Index
    /// How many, from the first, all rows see whole.
    let whole: Index

    init(_ shape: Shape, _ mask: Mask, row: Index, m: Index, n: Index) {
      let (rows, keys) = (Index(shape.rows), Index(shape.keys))
      let all = n.ceilDiv(keys)
      guard mask != .full else {
        (first, end, whole) = (0, all, all)
        return
      }
      // Rows of one head ascend from `start`; a tile that reaches into the next head has rows from 0 to M − 1.
      let start = row % m
      let isWithin = (m - start - rows + 1).min(1).max(0)
      let oldest = isWithin * start + n - m
      let newest = (start + rows).min(m) + n - m
      end = newest.max(0).min(n).ceilDiv(keys)
      guard case .window(let width) = mask else {
        (first, whole) = (0, ((oldest + 1).max(0) / keys).min(end))
        return
      }
      first = ((oldest - Index(width - 1)).max(0) / keys).min(end)
      whole = 0
    }
  }
}
