public import Memory
public import Tiles

/// Attention of rows of queries over pages of keys and values, shared between sequences wherever they share pages.
///
/// A work item is a run of query rows (tokens × heads of a group) and a run of pages within one chunk of 8. It leaves
/// the softmax state (m, l, o) of each row for its chunk; an item may continue the state that an earlier one left, so
/// that pages are always visited in order and splitting work among items changes no bit. ``merge`` joins the chunks.
///
/// Juravsky et al., “Hydragen”, 2024, arXiv:2402.05099. Floor: 4·rows·positions·D flops, and the pages read once an item.
public enum PagedAttention {
  /// Fields of a work item, in order.
  public enum Field: Int, CaseIterable, Sendable {
    /// First token row and how many.
    case firstRow, rowCount
    /// First entry of the page list and how many.
    case firstPage, pageCount
    /// Position of the first key of the first page.
    case firstPosition
    /// Which chunk the state belongs to.
    case chunk
    /// 1 where the item continues the state, 0 where it starts it.
    case continues
    /// How many of the pages, from the first, every row sees whole: their scores need no mask. Not looked at with a window.
    case wholeCount
  }

  /// Positions after which the softmax state starts anew.
  public static let chunkTokens = 512

  /// One layer's states.
  ///
  /// Scores are in units of log₂: q comes multiplied by the scale and log₂ e, as ``Rotary`` leaves it.
  ///
  /// Arguments: items int32 `[I, 8]`, pages int32 `[N]`, positions int32 `[M, group]` (of each row's query), q
  /// `[kvHeads, M·group, D]` of type `factor`, kPages, vPages, for an int8 cache their scales `[P, kvHeads, 64]`, then the states m and l
  /// `[kvHeads, chunks, M·group]` and o
  /// `[kvHeads, chunks, M·group, D]`, which are updated.
  ///
  /// - Parameters:
  ///   - rowCapacity: query rows an item may have, tokens times group.
  ///   - factor: what products are of: float32, or the type of a cache of 16 bits for machines with units for such
  ///     products; `rowCapacity` is a multiple of 64 then.
  ///   - window: keys at most this far behind the query are seen; `nil` for all.
  public static func kernel(
    _ shape: Rotary.Shape, cache: ElementType = .float32, rowCapacity: Int = 96,
    window: Int? = nil, softcap: Float? = nil, factor: ElementType = .float32
  ) throws(TileError) -> Kernel {
    try Kernel("paged_attention_\(cache.rawValue)") { k in
      let rows = k.extent("rows")
      let chunks = k.extent("chunks")
      let (kv, d, page) = (Index(shape.kvHeads), Index(shape.headSize), Index(shape.pageTokens))
      let items = k.input("items", .int32, [k.extent("I"), Index(Field.allCases.count)])
      let pageList = k.input("pages", .int32, [k.extent("N")])
      let positions = k.input("positions", .int32, [rows])
      let q = k.input("q", factor, [kv, rows, d])
      let pages = k.extent("P")
      let kPages = k.input("kPages", cache, [pages, kv, d, page])
      let vPages = k.input("vPages", cache, [pages, kv, page, d])
      let kScales = cache == .int8 ? k.input("kScales", .float32, [pages, kv, page]) : nil
      let vScales = cache == .int8 ? k.input("vScales", .float32, [pages, kv, page]) : nil
      let mStates = k.update("m", .float32, [kv, chunks, rows])
      let lStates = k.update("l", .float32, [kv, chunks, rows])
      let oStates = k.update("o", .float32, [kv, chunks, rows, d])
      let (first, count) = (k.argument("firstItem"), k.argument("itemCount"))
      k.grid([count, kv]) { task in
        func field(_ field: Field) -> Index {
          .element(tensor: items.number, at: [first + task[0], Index(field.rawValue)])
        }
        let head = task[1]
        let row = field(.firstRow) * Index(shape.group)
        let valid = (field(.rowCount) * Index(shape.group)).min(Index(rowCapacity))
        let chunk = field(.chunk)
        func perRow(_ tensor: TensorParameter, _ at: [Index]) -> Tile {
          k.load(
            tensor, at: at, rows: rowCapacity, columns: 1, rowAxis: at.count - 1, validRows: valid,
            as: .float32)
        }
        let queries = k.load(
          q, at: [head, row, 0], rows: rowCapacity, columns: shape.headSize, validRows: valid)
        let places = perRow(positions, [row])
        let top = k.filled(-.infinity, rows: rowCapacity, columns: 1, validRows: valid, validColumns: 1)
        let total = k.filled(0, rows: rowCapacity, columns: 1, validRows: valid, validColumns: 1)
        let sum = k.filled(
          0, rows: rowCapacity, columns: shape.headSize, validRows: valid, validColumns: d)
        k.when(0, lessThan: field(.continues)) {
          k.assign(top, perRow(mStates, [head, chunk, row]))
          k.assign(total, perRow(lStates, [head, chunk, row]))
          k.assign(
            sum,
            k.load(
              oStates, at: [head, chunk, row, 0], rows: rowCapacity, columns: shape.headSize, validRows: valid
            ))
        }
        let start = field(.firstPosition)
        let firstPage = field(.firstPage)
        func load(_ step: Index) -> [Tile] {
          let number = Index.element(tensor: pageList.number, at: [firstPage + step])
          return [
            k.load(
              kPages, at: [number, head, 0, 0], rows: shape.pageTokens, columns: shape.headSize, rowAxis: 3,
              columnAxis: 2, as: factor),
            k.load(
              vPages, at: [number, head, 0, 0], rows: shape.pageTokens, columns: shape.headSize, as: factor),
          ]
            + [kScales, vScales].compactMap { $0 }.map { scales in
              k.load(scales, at: [number, head, 0], columns: shape.pageTokens)
            }
        }
        func compute(_ tiles: [Tile], key: MapValue?) {
          var scores = k.matmul(queries, tiles[0], transposesRight: true)
          if cache == .int8 { scores = k.map(.multiply, scores, tiles[2]) }
          if let softcap {
            let capped = k.map(.tanh, k.map(.multiply, scores, OnlineSoftmax.ln2 / softcap))
            scores = k.map(.multiply, capped, softcap * OnlineSoftmax.log2e)
          }
          if let key {
            scores = k.map(.selectGreaterEqual, places, key, scores, -Float.infinity)
            if let window {
              let oldest = k.map(.subtract, places, Float(window - 1))
              scores = k.map(.selectGreaterEqual, key, oldest, scores, -Float.infinity)
            }
          }
          OnlineSoftmax(top: top, total: total, sum: sum).absorb(
            scores: scores, values: tiles[1], valueScales: cache == .int8 ? tiles[3] : nil, k)
        }
        // A window may hide keys of any page.
        let whole = window == nil ? field(.wholeCount) : 0
        k.pipeline(steps: whole, stages: 2, load: load) { _, tiles in compute(tiles, key: nil) }
        k.pipeline(
          steps: field(.pageCount) - whole, stages: 2, load: { load(whole + $0) },
          compute: { step, tiles in
            compute(tiles, key: .column(offset: start + (whole + step) * page))
          })
        k.store(top, to: mStates, at: [head, chunk, row], rowAxis: 2)
        k.store(total, to: lStates, at: [head, chunk, row], rowAxis: 2)
        k.store(sum, to: oStates, at: [head, chunk, row, 0])
      }
    }
  }

  /// Joins the states of a row's chunks in order: y = Σ o·2^(m−M) / Σ l·2^(m−M), and the log-sum-exp.
  ///
  /// Arguments: positions int32 `[M, group]`, blocks int32 `[B]` (chunks to visit for each block of 16 tokens), m and
  /// l `[kvHeads, chunks, M, group]`, o `[kvHeads, chunks, M, group, D]`, y `[M, kvHeads · group · D]`, lse
  /// `[M, kvHeads, group]` (natural logarithm; minus infinity, and y 0, for a row that saw no key).
  ///
  /// - Parameter output: float32, bfloat16, or q16_rows for heads of a multiple of 32.
  public static func merge(_ shape: Rotary.Shape, output: ElementType) throws(TileError) -> Kernel {
    try Kernel("merge_states_\(output.rawValue)") { k in
      let (m, chunks) = (k.extent("M"), k.extent("chunks"))
      let (kv, group, d) = (Index(shape.kvHeads), Index(shape.group), Index(shape.headSize))
      let positions = k.input("positions", .int32, [m, group])
      let blocks = k.input("blocks", .int32, [m.ceilDiv(Index(mergeRows))])
      let mStates = k.input("m", .float32, [kv, chunks, m, group])
      let lStates = k.input("l", .float32, [kv, chunks, m, group])
      let oStates = k.input("o", .float32, [kv, chunks, m, group, d])
      let y = k.output("y", output, [m, kv * group * d])
      let lse = k.output("lse", .float32, [m, kv, group])
      k.grid([m.ceilDiv(Index(mergeRows)), kv, group], schedule: .early) { task in
        let (row, head, member) = (task[0] * Index(mergeRows), task[1], task[2])
        let valid = (m - row).min(Index(mergeRows))
        let places = k.load(
          positions, at: [row, member], rows: mergeRows, columns: 1, rowAxis: 0, as: .float32)
        let top = k.filled(-.infinity, rows: mergeRows, columns: 1, validRows: valid, validColumns: 1)
        let total = k.filled(0, rows: mergeRows, columns: 1, validRows: valid, validColumns: 1)
        let sum = k.filled(0, rows: mergeRows, columns: shape.headSize, validRows: valid, validColumns: d)
        k.loop(.element(tensor: blocks.number, at: [task[0]])) { chunk in
          func perRow(_ tensor: TensorParameter) -> Tile {
            k.load(tensor, at: [head, chunk, row, member], rows: mergeRows, columns: 1, rowAxis: 2)
          }
          let start = chunk * Index(chunkTokens)
          // Rows that end before this chunk have no state in it: what lies there must not be looked at.
          let m = k.map(.selectGreaterEqual, places, start, perRow(mStates), -Float.infinity)
          let l = k.map(.selectGreaterEqual, places, start, perRow(lStates), 0.0)
          let o = k.map(
            .selectGreaterEqual, places, start,
            k.load(
              oStates, at: [head, chunk, row, member, 0], rows: mergeRows, columns: shape.headSize, rowAxis: 2
            ),
            0.0)
          OnlineSoftmax(top: top, total: total, sum: sum).absorb(top: m, total: l, sum: o, k)
        }
        let result = OnlineSoftmax(top: top, total: total, sum: sum).normalized(k)
        k.store(
          output == .q16_rows ? k.quantize(result.values) : result.values, to: y,
          at: [row, (head * group + member) * d])
        k.store(result.logSumExp, to: lse, at: [row, head, member], rowAxis: 0)
      }
    }
  }

  /// Query rows of a work item: six at a time on cores, 64 for matrix units.
  public static func rowCapacity(factor: ElementType) -> Int { factor == .float32 ? 96 : 64 }

  /// Tokens a task of ``merge(_:output:)`` joins.
  public static let mergeRows = 16
}
