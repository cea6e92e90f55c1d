public import Memory
public import Tiles

/// Keys and values of whole prompts into pages, as ``PagedAttention`` reads them.
///
/// Floor: keys and values read and written once over the memory bandwidth.
public struct PageFill: Sendable, Hashable {
  /// Heads, and sizes of heads and pages.
  public var heads: Rotary.Shape
  /// Type of keys and values.
  public var source: ElementType
  /// Type of the pages.
  public var cache: ElementType

  /// Which pages of a sequence ``kernel(_:)`` fills.
  public enum Pages: String, Sendable, Hashable {
    /// Those that are there.
    case all
    /// The one behind those that it fills from end to end; nothing where there is none.
    case last
  }

  /// Pages of `cache` from keys and values of type `source`.
  public init(_ heads: Rotary.Shape, source: ElementType, cache: ElementType) {
    (self.heads, self.source, self.cache) = (heads, source, cache)
  }

  /// Whether ``turning()`` makes a kernel for such pages: types of 16 bits, pages of 64, and heads of 64 or 128 numbers, since for more
  /// there are no registers.
  public var canTurn: Bool {
    [source, cache].allSatisfy { [.bfloat16, .float16].contains($0) } && heads.headSize % 64 == 0
      && heads.headSize <= 128
      && heads.pageTokens == Turn.side
  }

  /// Arguments: k and v `[B, heads, L, D]` of type ``source``, results kPages `[P, heads, D, pageTokens]` and vPages `[P, heads,
  /// pageTokens, D]` of type ``cache``, which are updated. Integers: page of the first sequence, and pages of a sequence.
  public func kernel(_ pages: Pages = .all) throws(TileError) -> Kernel {
    try Kernel("page_fill_\(pages)\(name)") { k in
      let (length, page) = (k.extent("L"), Index(heads.pageTokens))
      let first = pages == .last ? length / page : 0
      let last = length.ceilDiv(page)
      record(k, length, pages: (first, last), schedule: Kernel.Schedule()) { part, to in
        k.store(part(.keys, .float32), to: to.keys, at: to.place, rowAxis: 3, columnAxis: 2)
        k.store(part(.values, .float32), to: to.values, at: to.place)
      }
    }
  }

  /// The full pages on matrix units: keys are turned, and values go with them, by products with ones on a diagonal, so that copies go in
  /// whole lines on both sides. To the bit but for the sign of zero, as ``Turn`` is; infinities and NaN spread over what lies beside them
  /// in their page.
  ///
  /// Arguments: as ``kernel(_:)``, behind the ones, ``ones()``.
  public func turning() throws(TileError) -> Kernel {
    precondition(canTurn, "pages of \(heads.pageTokens), heads of \(heads.headSize), \(source) to \(cache)")
    return try Kernel("page_fill_full_turned\(name)") { k in
      let (length, page) = (k.extent("L"), Index(heads.pageTokens))
      let ones = k.input("ones", source, [page, page])
      let schedule = Kernel.Schedule(tasksPerCore: 2)
      record(k, length, pages: (0, length / page), schedule: schedule) { part, to in
        func sum(_ rows: Int, _ columns: Int) -> Tile {
          k.filled(0, rows: rows, columns: columns, validRows: Index(rows), validColumns: Index(columns))
        }
        let turned = sum(heads.headSize, heads.pageTokens)
        let copied = sum(heads.pageTokens, heads.headSize)
        k.pipeline(
          steps: 1, stages: 2,
          load: { _ in
            let (keys, values) = (part(.keys, source), part(.values, source))
            let diagonal = k.load(
              ones, at: [0, 0], rows: heads.pageTokens, columns: heads.pageTokens, validRows: keys.validRows,
              validColumns: keys.validRows)
            return [keys, values, diagonal]
          },
          compute: { _, tiles in
            k.matmul(into: turned, tiles[0], tiles[2], transposesLeft: true)
            k.matmul(into: copied, tiles[2], tiles[1])
          })
        k.store(turned, to: to.keys, at: to.place, rowAxis: 2, columnAxis: 3)
        k.store(copied, to: to.values, at: to.place)
      }
    }
  }

  /// What ``turning()`` takes first.
  public func ones() throws -> Tensor { try Turn(type: source).ones() }

  private var name: String { "_\(heads.headSize)_\(source.rawValue)_\(cache.rawValue)" }

  private enum Part { case keys, values }

  /// Where a task's keys and values go.
  private typealias Target = (keys: TensorParameter, values: TensorParameter, place: [Index])

  /// A task for each of these pages of a sequence and each head.
  private func record(
    _ k: Recorder, _ length: Index, pages range: (from: Index, below: Index), schedule: Kernel.Schedule,
    _ fill: (_ part: (Part, ElementType) -> Tile, _ to: Target) -> Void
  ) {
    let (batch, pages) = (k.extent("B"), k.extent("P"))
    let (number, d, page) = (Index(heads.kvHeads), Index(heads.headSize), Index(heads.pageTokens))
    let keys = k.input("k", source, [batch, number, length, d])
    let values = k.input("v", source, [batch, number, length, d])
    let kPages = k.update("kPages", cache, [pages, number, d, page])
    let vPages = k.update("vPages", cache, [pages, number, page, d])
    let (start, each) = (k.argument("firstPage"), k.argument("pagesEach"))
    k.grid([batch, range.below - range.from, number], schedule: schedule) { task in
      let block = range.from + task[1]
      fill(
        { part, type in
          k.load(
            part == .keys ? keys : values, at: [task[0], task[2], block * page, 0], rows: heads.pageTokens,
            columns: heads.headSize, as: type)
        }, (kPages, vPages, [start + task[0] * each + block, task[2], 0, 0]))
    }
  }
}
