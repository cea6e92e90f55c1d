public import Memory
public import Tiles

/// One decoding step of many sequences that begin with the same tokens: the shared keys are visited once for all of them.
///
/// ``prefix(_:scale:)`` takes the queries of all sequences as the rows of one product with the shared keys, in as many
/// splits as keep a machine busy; ``combination(_:)`` joins those; ``suffix(_:scale:)`` visits each sequence's own keys and
/// takes the state of the shared ones in.
/// Juravsky et al., 2024, arXiv:2402.05099. Floor: the keys and values read once, and 4·B·heads·P·D flops.
public enum PrefixDecoding {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of K and V.
    public var kvHeads: Int
    /// Query heads that share one of them.
    public var group: Int
    /// Numbers in a head.
    public var headSize: Int
    /// bfloat16 or float16.
    public var type: ElementType
    /// Keys of a step over the prefix, and over a sequence's own keys.
    public var prefixKeys = 128
    public var suffixKeys = 64
    /// How groups of threads share a task of either kernel.
    public var prefixSchedule: Kernel.Schedule
    public var suffixSchedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
    /// Rows (sequences times group) of a task over the prefix.
    public var rows: Int

    /// Sizes for so many sequences.
    public init(
      kvHeads: Int, group: Int, headSize: Int, sequences: Int, type: ElementType = .bfloat16
    ) {
      self.kvHeads = kvHeads
      self.group = group
      self.headSize = headSize
      self.type = type
      let groups = sequences <= 64 ? 1 : 2
      rows = 64 * groups
      prefixSchedule = Kernel.Schedule(groups: groups, overlapsSteps: groups > 1)
    }

    /// In how many splits the prefix is visited so that `cores` have about equal work, and the keys of each.
    public func splits(sequences: Int, keys: Int, cores: Int) -> (count: Int, keys: Int) {
      let tasks = (sequences + rows - 1) / rows * kvHeads * group
      let blocks = max(1, (keys + prefixKeys - 1) / prefixKeys)
      func evenness(_ count: Int) -> Double {
        let all = tasks * count
        return Double(all) / Double((all + cores - 1) / cores * cores)
      }
      // Each split is written and read once more, so the fewest that come near to evenness win.
      let most = min(blocks, max(1, 4 * cores / tasks))
      let best = (1...most).map(evenness).max() ?? 1
      let count = (1...most).first { evenness($0) >= 0.96 * best } ?? 1
      let each = (blocks + count - 1) / count
      return ((blocks + each - 1) / each, each * prefixKeys)
    }

    /// Columns of a tile of heads.
    var columns: Int { (headSize + 15) / 16 * 16 }
  }

  /// States of the queries over the shared keys, one for each split.
  ///
  /// Arguments: q `[B, kvHeads, group, D]`, k and v `[kvHeads, P, D]`, results y `[splits, B, kvHeads, group, D]` float32 and
  /// lse `[splits, B, kvHeads, group]` in units of log₂. Integers: keys of a split, a multiple of ``Shape/prefixKeys``.
  public static func prefix(_ shape: Shape, scale: Float) throws(TileError) -> Kernel {
    try Kernel("prefix_states_\(shape.headSize)_\(shape.type.rawValue)") { k in
      let (b, p, splits) = (k.extent("B"), k.extent("P"), k.extent("splits"))
      let keysPerSplit = k.argument("keysPerSplit")
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let q = k.input("q", shape.type, [b, kv, group, d])
      let keys = k.input("k", shape.type, [kv, p, d])
      let values = k.input("v", shape.type, [kv, p, d])
      let y = k.output("y", .float32, [splits, b, kv, group, d])
      let lse = k.output("lse", .float32, [splits, b, kv, group])
      let block = Index(shape.prefixKeys)
      let rows = Index(shape.rows)
      // Splits of one head are far apart in time, blocks of rows that read the same keys together.
      k.grid([splits, kv * group, b.ceilDiv(rows)], schedule: shape.prefixSchedule) { task in
        let (split, head, member, row) = (task[0], task[1] / group, task[1] % group, task[2] * rows)
        let queries = k.load(
          q, at: [row, head, member, 0], rows: shape.rows, columns: shape.columns, rowAxis: 0)
        let softmax = start(k, rows: shape.rows, columns: shape.columns, valid: (b - row).min(rows), d, scale)
        let first = split * keysPerSplit
        k.pipeline(
          steps: (p - first).min(keysPerSplit).max(0).ceilDiv(block), stages: 2,
          load: { step in
            [keys, values].map {
              k.load(
                $0, at: [head, first + step * block, 0], rows: shape.prefixKeys, columns: shape.columns)
            }
          },
          compute: { _, tiles in
            softmax.absorb(
              scores: k.matmul(queries, tiles[0], transposesRight: true), values: tiles[1], k)
          })
        let (sums, top) = softmax.normalizedInLog2(k)
        k.store(sums, to: y, at: [split, row, head, member, 0], rowAxis: 1)
        k.store(top, to: lse, at: [split, row, head, member], rowAxis: 1)
      }
    }
  }

  /// Attention over each sequence's own keys and the states of the shared ones.
  ///
  /// Arguments: lengths int32 `[B]` (own keys of each sequence), q `[B, kvHeads, group, D]`, k and v `[B, kvHeads, S, D]`, the
  /// prefix's y `[B, kvHeads, group, D]` and lse `[B, kvHeads, group]`, combined, result as q.
  public static func suffix(_ shape: Shape, scale: Float) throws(TileError) -> Kernel {
    try Kernel("suffix_attention_\(shape.headSize)_\(shape.type.rawValue)") { k in
      let (b, s) = (k.extent("B"), k.extent("S"))
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let lengths = k.input("lengths", .int32, [b])
      let q = k.input("q", shape.type, [b, kv, group, d])
      let keys = k.input("k", shape.type, [b, kv, s, d])
      let values = k.input("v", shape.type, [b, kv, s, d])
      let prefix = k.input("prefix", .float32, [b, kv, group, d])
      let prefixTops = k.input("prefixTops", .float32, [b, kv, group])
      let y = k.output("y", shape.type, [b, kv, group, d])
      let rows = 64
      let block = Index(shape.suffixKeys)
      k.grid([b, kv], schedule: shape.suffixSchedule) { task in
        let (row, head) = (task[0], task[1])
        let length = Index.element(tensor: lengths.number, at: [row])
        let queries = k.load(q, at: [row, head, 0, 0], rows: rows, columns: shape.columns)
        // Asked for first and needed last: nobody waits for it.
        let shared = k.load(prefix, at: [row, head, 0, 0], rows: rows, columns: shape.columns)
        let sharedTop = k.load(prefixTops, at: [row, head, 0], rows: rows, columns: 1, rowAxis: 2)
        let softmax = start(k, rows: rows, columns: shape.columns, valid: group.min(Index(rows)), d, scale)
        k.pipeline(
          steps: length.ceilDiv(block), stages: 2,
          load: { step in
            [keys, values].map {
              k.load(
                $0, at: [row, head, step * block, 0], rows: shape.suffixKeys, columns: shape.columns)
            }
          },
          compute: { step, tiles in
            let scores = k.matmul(queries, tiles[0], transposesRight: true)
            k.when(length, lessThan: (step + 1) * block) {
              let key = MapValue.column(offset: step * block + 1)
              k.assign(scores, k.map(.selectGreaterEqual, length, key, scores, -Float.infinity))
            }
            softmax.absorb(scores: scores, values: tiles[1], k)
          })
        softmax.absorb(
          top: k.map(.multiply, sharedTop, 1 / (scale * OnlineSoftmax.log2e)), normalized: shared, k)
        k.store(softmax.normalized(k).values, to: y, at: [row, head, 0, 0])
      }
    }
  }

  /// Joins the states of the splits. Arguments: y `[splits, R, D]` and lse `[splits, R]` of the rows of all heads, results
  /// `[R, D]` and `[R]`.
  public static func combination(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("prefix_combination_\(shape.headSize)") { k in
      let (r, splits) = (k.extent("R"), k.extent("splits"))
      let d = Index(shape.headSize)
      let parts = k.input("parts", .float32, [splits, r, d])
      let tops = k.input("tops", .float32, [splits, r])
      let y = k.output("y", .float32, [r, d])
      let lse = k.output("lse", .float32, [r])
      let rows = 8
      k.grid([r.ceilDiv(Index(rows))]) { task in
        let row = task[0] * Index(rows)
        let softmax = start(
          k, rows: rows, columns: shape.headSize, valid: (r - row).min(Index(rows)), d,
          1 / OnlineSoftmax.log2e)
        k.loop(splits) { split in
          softmax.absorb(
            top: k.load(tops, at: [split, row], rows: rows, columns: 1, rowAxis: 1),
            normalized: k.load(parts, at: [split, row, 0], rows: rows, columns: shape.headSize), k)
        }
        let (sums, top) = softmax.normalizedInLog2(k)
        k.store(sums, to: y, at: [row, 0])
        k.store(top, to: lse, at: [row], rowAxis: 0)
      }
    }
  }

  /// A softmax state before any key.
  private static func start(
    _ k: Recorder, rows: Int, columns: Int, valid: Index, _ d: Index, _ scale: Float
  ) -> OnlineSoftmax {
    OnlineSoftmax(
      top: k.filled(-.infinity, rows: rows, columns: 1, validRows: valid, validColumns: 1),
      total: k.filled(0, rows: rows, columns: 1, validRows: valid, validColumns: 1),
      sum: k.filled(0, rows: rows, columns: columns, validRows: valid, validColumns: d),
      scale: scale * OnlineSoftmax.log2e)
  }
}
