internal import Memory
public import Tiles

/// Attention over a batch of sequences of unequal lengths that lie one after the other, without padding.
///
/// Where each begins is data of the kernel, so one compiled kernel serves every batch. A task takes so many rows of one head
/// of one sequence; heads that share keys and values find them in the second-level cache. The cost is that of
/// ``Attention`` on each sequence alone. Dao, 2023, arXiv:2307.08691.
public enum RaggedAttention {
  /// Where the sequences of a batch begin.
  public struct Batch: Sendable, Hashable {
    /// First query of each sequence, and the end of the last; ascending from 0.
    public let queryStarts: [Int32]
    /// Likewise for keys.
    public let keyStarts: [Int32]
    /// Most queries of a sequence.
    public let longest: Int

    /// Sequences with so many queries and keys; rows and keys of one end together.
    ///
    /// - Throws: ``BatchError``.
    public init(queries: [Int], keys: [Int]) throws(BatchError) {
      guard queries.count == keys.count else {
        throw .countsDiffer(queries: queries.count, keys: keys.count)
      }
      func starts(_ lengths: [Int]) throws(BatchError) -> [Int32] {
        var starts: [Int32] = [0]
        for (sequence, length) in lengths.enumerated() {
          guard length >= 0 else { throw .negative(sequence: sequence, length: length) }
          let end = Int(starts[sequence]).addingReportingOverflow(length)
          guard !end.overflow, end.partialValue <= Int(Int32.max) else {
            throw .tooLong(sequence: sequence)
          }
          starts.append(Int32(end.partialValue))
        }
        return starts
      }
      (queryStarts, keyStarts) = (try starts(queries), try starts(keys))
      longest = queries.max() ?? 0
    }

    /// Sequences that attend to themselves.
    ///
    /// - Throws: ``BatchError``.
    public init(lengths: [Int]) throws(BatchError) { try self.init(queries: lengths, keys: lengths) }
  }

  /// Lengths that are none.
  public enum BatchError: Error, Equatable, CustomStringConvertible {
    /// There are not as many lengths of keys as of queries.
    case countsDiffer(queries: Int, keys: Int)
    /// A length is below 0.
    case negative(sequence: Int, length: Int)
    /// Positions up to this sequence's end do not fit 32 bits.
    case tooLong(sequence: Int)

    public var description: String {
      switch self {
      case .countsDiffer(let queries, let keys):
        "\(queries) sequences of queries and \(keys) of keys. Give each sequence both lengths."
      case .negative(let sequence, let length):
        "sequence \(sequence) has \(length) positions. Lengths are 0 or more."
      case .tooLong(let sequence):
        "sequence \(sequence) ends beyond position \(Int32.max). Split the batch before it."
      }
    }
  }

  /// Arguments: q `[kvHeads · group, T, D]` with the queries of all sequences, k and v `[kvHeads, S, D]`, starts of queries and
  /// of keys int32 `[sequences + 1]` as in ``Batch``, results y as q and lse `[heads, T]` in float32, natural logarithm.
  /// Integers: the most queries of a sequence (``Batch/longest``). A row that sees no key gives y = 0 and lse = −∞.
  ///
  /// Numbers of a sequence that are not finite can reach the sequence before it on machines that load whole tiles.
  ///
  /// - Parameters:
  ///   - shape: as for ``Attention``; its group is not packed into rows.
  ///   - scale: above 0.
  /// - Throws: ``TileError`` for what cannot be recorded.
  public static func kernel(
    _ shape: Attention.Shape, mask: Attention.Mask, scale: Float
  ) throws(TileError) -> Kernel {
    try Kernel(
      "ragged_attention_\(mask)_\(shape.headSize)\(shape.type == .float32 ? "" : "_\(shape.type.rawValue)")"
    ) { k in
      let (total, sources, ends) = (k.extent("T"), k.extent("S"), k.extent("ends"))
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let q = k.input("q", shape.type, [kv * group, total, d])
      let keys = k.input("k", shape.type, [kv, sources, d])
      let values = k.input("v", shape.type, [kv, sources, d])
      let queryStarts = k.input("queryStarts", .int32, [ends])
      let keyStarts = k.input("keyStarts", .int32, [ends])
      let y = k.output("y", shape.type, [kv * group, total, d])
      let lse = k.output("lse", .float32, [kv * group, total])
      let longest = k.argument("longest")
      let blocks = longest.ceilDiv(Index(shape.rows))
      k.grid([ends - 1, kv * group, blocks], schedule: shape.schedule) { task in
        let (sequence, head, row) = (task[0], task[1], task[2] * Index(shape.rows))
        let (firstRow, m) = span(queryStarts, sequence)
        let (firstKey, n) = span(keyStarts, sequence)
        let valid = (m - row).max(0).min(Index(shape.rows))
        let queries = k.load(
          q, at: [head, firstRow + row, 0], rows: shape.rows, columns: shape.columns, validRows: valid)
        func filled(_ value: Float, columns: Int, valid columnsValid: Index) -> Tile {
          k.filled(value, rows: shape.rows, columns: columns, validRows: valid, validColumns: columnsValid)
        }
        let softmax = OnlineSoftmax(
          top: filled(-.infinity, columns: 1, valid: 1), total: filled(0, columns: 1, valid: 1),
          sum: filled(0, columns: shape.columns, valid: d), scale: scale * OnlineSoftmax.log2e)
        // Positions of the tile's first row and of the end of its last, among the keys.
        let (oldest, newest) = (row + n - m, (row + valid).min(m) + n - m)
        let block = Index(shape.keys)
        let all = valid.min(1) * n.ceilDiv(block)
        let end = mask == .full ? all : valid.min(1) * newest.max(0).min(n).ceilDiv(block)
        var first: Index = 0
        var whole = end
        if case .window(let width) = mask {
          (first, whole) = (((oldest - Index(width - 1)).max(0) / block).min(end), 0)
        } else if mask == .causal {
          whole = ((oldest + 1).max(0) / block).min(end)
        }
        let places =
          mask == .full ? nil : k.map(.add, MapValue.row(offset: oldest), filled(0, columns: 1, valid: 1))
        k.pipeline(
          steps: end - first, stages: shape.stages,
          load: { step in
            let at = (first + step) * block
            return [keys, values].map {
              k.load(
                $0, at: [head / group, firstKey + at, 0], rows: shape.keys, columns: shape.columns,
                validRows: n - at)
            }
          },
          compute: { step, tiles in
            let scores = k.matmul(queries, tiles[0], transposesRight: true)
            if let places {
              k.when(whole, lessThan: step + 1) {
                let newest = k.map(.subtract, places, (first + step) * block)
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
        k.store(result.values, to: y, at: [head, firstRow + row, 0])
        k.store(result.logSumExp, to: lse, at: [head, firstRow + row], rowAxis: 1)
      }
    }
  }

  /// Where a sequence begins, and how long it is.
  private static func span(_ starts: TensorParameter, _ sequence: Index) -> (first: Index, length: Index) {
    let first = Index.element(tensor: starts.number, at: [sequence])
    return (first, .element(tensor: starts.number, at: [sequence + 1]) - first)
  }
}
