internal import Memory
internal import Tiles

/// Which rows of a batch a task visits, where a channel's row is one tile or two.
///
/// Two tiles are chunks of a causal row. With filters K₀ and K₁ of the two halves, spectra of results are K₀·U₀ and
/// K₀·U₁ + (K₁ − i·K₀)·U₀, since a product of transforms is a convolution modulo zˢ = i: what the first chunk leaves for
/// the second costs no transform. In the adjoint chunks come in the other order.
struct MonarchChunks {
  /// One or two.
  let count: Int
  /// Whether the last chunk comes first.
  var isBackward = false

  /// 0 for the chunk that comes first.
  func turn(_ step: Index) -> Index { count == 1 ? 0 : step % Index(count) }

  /// Row of the batch, counted from a task's first, and the chunk.
  private func place(_ step: Index) -> (row: Index, chunk: Index) {
    if count == 1 { return (step, 0) }
    let turn = turn(step)
    return (step / Index(count), isBackward ? Index(count - 1) - turn : turn)
  }

  /// Where a step's tile lies in `[B, R, 64]`.
  func at(_ step: Index, batch first: Index, row: Index, height: Int) -> [Index] {
    let place = place(step)
    return [first + place.row, row + place.chunk * Index(height), 0]
  }
}

/// A channel's filter in the registers of a task.
struct MonarchFilter {
  private typealias Pair = MonarchTile.Pair

  private let k: Recorder
  private let chunks: MonarchChunks
  /// Spectrum of the chunk's own part; of two chunks in halves of registers, over ``scale``.
  private let own: MonarchTile.Pair
  private let later: Later?

  /// What two chunks take beside: K₁ − i·K₀, by what rows of both were divided, and what is handed on.
  private struct Later {
    let spectrum: MonarchTile.Pair
    let scale: Tile
    let handed: MonarchTile.Pair
  }

  /// - Parameters:
  ///   - type: what is handed on is rounded to.
  ///   - asides: of how many parts of the second chunk's spectrum there is no room in registers.
  ///   - load: a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, _ chunks: MonarchChunks, type: ElementType, asides: Int,
    load: (_ part: Int, _ chunk: Int) -> Tile
  ) {
    (self.k, self.chunks) = (k, chunks)
    let first = Pair(re: load(0, 0), im: load(1, 0))
    guard chunks.count == 2 else {
      (own, later) = (first, nil)
      return
    }
    let second = Pair(re: k.map(.add, load(0, 1), first.im), im: k.map(.subtract, load(1, 1), first.re))
    let largest = [first.re, first.im, second.re, second.im].map { k.rowMax(k.map(.abs, $0)) }
    let scale = k.map(
      .max, k.map(.max, k.map(.max, largest[0], largest[1]), k.map(.max, largest[2], largest[3])), 0x1p-100)
    let factor = k.map(.reciprocal, scale)
    func halved(_ x: Tile) -> Tile { k.cast(k.map(.multiply, x, factor), to: .float16) }
    own = Pair(re: halved(first.re), im: halved(first.im))
    func handed() -> Tile {
      let zero = k.filled(
        0, rows: first.re.rows, columns: first.re.columns, validRows: first.re.validRows,
        validColumns: first.re.validColumns)
      return k.cast(zero, to: type)
    }
    let next = Pair(re: halved(second.re), im: halved(second.im))
    for part in [next.re, next.im].prefix(asides) { k.setAside(part) }
    later = Later(
      spectrum: next, scale: scale,
      handed: Pair(re: handed(), im: handed()))
  }

  /// The spectrum of a step's result, from that of its input.
  func product(_ x: MonarchTile.Pair, step: Index, conjugated: Bool) -> MonarchTile.Pair {
    func times(_ spectrum: MonarchTile.Pair) -> MonarchTile.Pair {
      MonarchTile.product(x, spectrum, k, conjugated: conjugated)
    }
    guard let later else { return times(own) }
    let product = times(own)
    let sums = zip([product.re, product.im], [later.handed.re, later.handed.im]).map {
      k.map(.multiply, k.map(.add, $0, $1), later.scale)
    }
    return Pair(re: sums[0], im: sums[1])
  }

  /// Keeps what a step's input leaves for the next chunk; the last leaves nothing.
  func handOn(_ x: MonarchTile.Pair, step: Index, conjugated: Bool) {
    guard let later else { return }
    let (turn, last) = (chunks.turn(step), Index(chunks.count - 1))
    k.when(turn, lessThan: last) {
      let product = MonarchTile.product(x, later.spectrum, k, conjugated: conjugated)
      k.assign(later.handed.re, product.re)
      k.assign(later.handed.im, product.im)
    }
    k.when(last, lessThan: turn + 1) {
      k.assign(later.handed.re, 0)
      k.assign(later.handed.im, 0)
    }
  }
}
