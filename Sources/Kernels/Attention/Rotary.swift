public import Memory
public import Tiles

/// Rotary position embedding of queries and keys, and the append of keys and values to the cache, in one pass.
///
/// The pairing of a model (halves or interleaved) is a matter of strides: q and k are passed as `[M, heads, 2, R/2]`
/// views whose third axis picks the member of a pair. Results always lie in halves, which scores do not notice.
///
/// Su et al., “RoFormer”, 2021, arXiv:2104.09864.
public enum Rotary {
  /// Sizes of one attention layer.
  public struct Shape: Sendable, Hashable {
    /// Heads of K and V.
    public var kvHeads: Int
    /// Query heads that share one of them.
    public var group: Int
    /// Numbers in a head.
    public var headSize: Int
    /// Leading numbers of a head that are rotated; even. 0 where positions are learned.
    public var rotarySize: Int
    /// Positions in a page of the cache.
    public var pageTokens = 64

    /// Sizes of a layer with pages of 64 positions.
    public init(kvHeads: Int, group: Int, headSize: Int, rotarySize: Int) {
      self.kvHeads = kvHeads
      self.group = group
      self.headSize = headSize
      self.rotarySize = rotarySize
    }
  }

  /// Arguments: runs int32 `[R, 4]` (first row, rows ≤ page, page, first slot); cos and sin `[M, R/2]`; q, k as pairs
  /// `[M, heads, 2, rotary/2]`; q, k, v whole `[M, heads, D]`; results qOut `[kvHeads, M, group, D]` of type `query`, kPages
  /// `[P, kvHeads, D, pageTokens]`, vPages `[P, kvHeads, pageTokens, D]`, and for an int8 cache the scales of both
  /// `[P, kvHeads, pageTokens]`: the largest of a position's head over 127.
  ///
  /// - Parameters:
  ///   - scale: what queries are multiplied with; scores of attention are wanted in units of log₂.
  ///   - rows: most rows of a run.
  ///   - splitsHeads: whether each key-value head is a task of its own, for machines that work on many at a time.
  public static func kernel(
    _ shape: Shape, cache: ElementType = .float32, query: ElementType = .float32, scale: Float,
    rows: Int = 64, splitsHeads: Bool = false
  ) throws(TileError) -> Kernel {
    try Kernel("rotary_append") { k in
      let m = k.extent("M")
      let runs = k.input("runs", .int32, [k.extent("R"), 4])
      let half = Index(shape.rotarySize / 2)
      let (kv, heads) = (Index(shape.kvHeads), Index(shape.kvHeads * shape.group))
      let (d, page) = (Index(shape.headSize), Index(shape.pageTokens))
      let cos = k.input("cos", .float32, [m, half])
      let sin = k.input("sin", .float32, [m, half])
      let qPairs = k.input("qPairs", .float32, [m, heads, 2, half])
      let kPairs = k.input("kPairs", .float32, [m, kv, 2, half])
      let q = k.input("q", .float32, [m, heads, d])
      let key = k.input("k", .float32, [m, kv, d])
      let value = k.input("v", .float32, [m, kv, d])
      let qOut = k.update("qOut", query, [kv, m, Index(shape.group), d])
      let pages = k.extent("P")
      let kPages = k.update("kPages", cache, [pages, kv, d, page])
      let vPages = k.update("vPages", cache, [pages, kv, page, d])
      let kScales = cache == .int8 ? k.update("kScales", .float32, [pages, kv, page]) : nil
      let vScales = cache == .int8 ? k.update("vScales", .float32, [pages, kv, page]) : nil
      k.grid(splitsHeads ? [runs.extents[0], kv] : [runs.extents[0]], schedule: .early) { task in
        func run(_ field: Int) -> Index { .element(tensor: runs.number, at: [task[0], Index(field)]) }
        let (row, count, target, slot) = (run(0), run(1), run(2), run(3))
        func part(_ tensor: TensorParameter, _ at: [Index], _ columns: Int) -> Tile {
          k.load(
            tensor, at: at, rows: rows, columns: columns, rowAxis: 0,
            columnAxis: tensor.extents.count - 1, validRows: count, validColumns: Index(columns))
        }
        let width = shape.rotarySize / 2
        let angles = width > 0 ? (part(cos, [row, 0], width), part(sin, [row, 0], width)) : nil
        /// The rotated halves and the rest of one head, with the column each begins at.
        func rotated(_ pairs: TensorParameter, _ whole: TensorParameter, head: Index) -> [Part] {
          var parts: [Part] = []
          if let (c, s) = angles {
            let (x, y) = (part(pairs, [row, head, 0, 0], width), part(pairs, [row, head, 1, 0], width))
            parts.append((k.map(.subtract, k.map(.multiply, x, c), k.map(.multiply, y, s)), 0))
            parts.append((k.map(.fma, y, c, k.map(.multiply, x, s)), width))
          }
          let rest = shape.headSize - shape.rotarySize
          if rest > 0 {
            parts.append((part(whole, [row, head, Index(shape.rotarySize)], rest), shape.rotarySize))
          }
          return parts
        }
        func append(_ head: Index) {
          for member in 0..<shape.group {
            for (tile, column) in rotated(qPairs, q, head: head * Index(shape.group) + Index(member)) {
              k.store(
                k.map(.multiply, tile, scale), to: qOut, at: [head, row, Index(member), Index(column)],
                rowAxis: 1, columnAxis: 3)
            }
          }
          for (tile, column) in quantized(
            rotated(kPairs, key, head: head), scales: kScales, at: [target, head, slot], k)
          {
            k.store(tile, to: kPages, at: [target, head, Index(column), slot], rowAxis: 3, columnAxis: 2)
          }
          let whole = [(part(value, [row, head, 0], shape.headSize), 0)]
          for (tile, column) in quantized(whole, scales: vScales, at: [target, head, slot], k) {
            k.store(
              tile, to: vPages, at: [target, head, slot, Index(column)], rowAxis: 2, columnAxis: 3)
          }
        }
        if splitsHeads { append(task[1]) } else { k.loop(kv) { append($0) } }
      }
    }
  }

  /// A tile and the column of a head that it begins at.
  private typealias Part = (tile: Tile, column: Int)

  /// Parts of a head as whole numbers within ±127, whose factor is stored for each row; unchanged without `scales`.
  private static func quantized(
    _ parts: [Part], scales: TensorParameter?, at place: [Index], _ k: Recorder
  ) -> [Part] {
    guard let scales, let first = parts.first else { return parts }
    var largest = k.rowMax(k.map(.abs, first.tile))
    for part in parts.dropFirst() { largest = k.map(.max, largest, k.rowMax(k.map(.abs, part.tile))) }
    k.store(k.map(.multiply, largest, Float(1) / 127), to: scales, at: place, rowAxis: 2)
    // Heads that are all but zero are taken for zero: their inverse would not be a number.
    let inverse = k.map(
      .selectGreaterEqual, largest, Float(0x1p-100), k.map(.multiply, k.map(.reciprocal, largest), 127.0), 0.0
    )
    return parts.map { (k.map(.multiply, $0.tile, inverse), $0.column) }
  }
}
