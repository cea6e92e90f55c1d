internal import Memory
internal import Tiles

/// Which rows of a batch a task visits, where a channel's row is one tile or several.
///
/// Two tiles are chunks of a causal row. With filters K₀ and K₁ of the two halves, spectra of results are K₀·U₀ and
/// K₀·U₁ + (K₁ − i·K₀)·U₀, since a product of transforms is a convolution modulo zˢ = i: what the first chunk leaves for
/// the second costs no transform. In the adjoint chunks come in the other order.
struct MonarchChunks {
  /// One, two, or, with ``MonarchLags``, more.
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
  private let type: ElementType
  private let chunks: MonarchChunks
  /// Whether of two chunks the own part is as precise, and takes as many registers, as of one.
  private let isWhole: Bool
  /// Spectrum of the chunk's own part; of two chunks in halves of registers, over ``Later/scale``, where not whole.
  private let own: MonarchTile.Pair
  private let later: Later?
  /// Of more than two chunks.
  private let lags: MonarchLags?

  /// What two chunks take beside: K₁ − i·K₀, by what rows of both were divided, and what is handed on.
  private struct Later {
    let spectrum: MonarchTile.Pair
    let scale: Tile
    let handed: MonarchTile.Pair
  }

  /// - Parameters:
  ///   - type: what results, and what is handed on, are rounded to.
  ///   - rows: of all spectra: more than four.
  ///   - isWhole: whether there are registers for the chunk's own part in float32.
  ///   - asides: parts of the second spectrum that may be kept elsewhere than in registers.
  ///   - lags: what more than two chunks need.
  ///   - load: a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, _ chunks: MonarchChunks, type: ElementType, rows: Index, isWhole: Bool,
    asides: Int = 2, lags: MonarchLags? = nil,
    load: (_ part: Int, _ chunk: Index) -> Tile
  ) {
    (self.k, self.type, self.chunks, self.isWhole) = (k, type, chunks, isWhole)
    self.lags = lags
    guard chunks.count == 2 else {
      var parts = [load(0, 0), load(1, 0)]
      if let lags, !isWhole {
        parts = parts.map { k.cast(k.map(.multiply, $0, k.map(.reciprocal, lags.scale)), to: .float16) }
      }
      (own, later) = (Pair(re: parts[0], im: parts[1]), nil)
      return
    }
    // One pair of parts after the other: at once they would fill the registers, so each pair has a condition, which holds.
    var stage = 0
    func alone(_ body: () -> Void) {
      k.when(Index(stage), lessThan: rows, body)
      stage += 1
    }
    var largest: [Tile] = []
    for chunk in [Index(0), 1] {
      alone {
        let parts = (0..<2).map { k.rowMax(k.map(.abs, load($0, chunk))) }
        largest.append(k.map(.multiply, k.map(.max, parts[0], parts[1]), 4.0))
      }
    }
    // Four times what K₁ − i·K₀ cannot exceed, and K₀ less so: what is handed on is no larger than a quarter of T(u), so that in float16 it
    // does not overflow before the results do.
    let scale = k.map(.max, k.map(.add, largest[0], largest[1]), 0x1p-100)
    let factor = k.map(.reciprocal, scale)
    func halved(_ x: Tile) -> Tile { k.cast(k.map(.multiply, x, factor), to: .float16) }
    var parts: [Tile] = []
    alone {
      let (re, im) = (load(0, 0), load(1, 1))
      parts += [isWhole ? re : halved(re), halved(k.map(.subtract, im, re))]
    }
    alone {
      let (im, re) = (load(1, 0), load(0, 1))
      parts += [isWhole ? im : halved(im), halved(k.map(.add, re, im))]
    }
    let own = Pair(re: parts[0], im: parts[2])
    let next = Pair(re: parts[3], im: parts[1])
    func handed() -> Tile {
      let zero = k.filled(
        0, rows: own.re.rows, columns: own.re.columns, validRows: own.re.validRows,
        validColumns: own.re.validColumns)
      return k.cast(zero, to: type)
    }
    self.own = own
    for part in [next.re, next.im].prefix(asides) { k.setAside(part) }
    later = Later(
      spectrum: next, scale: scale,
      handed: Pair(re: handed(), im: handed()))
  }

  /// What chunks before a step's add to its result, where chunks are more than two.
  func received(step: Index, conjugated: Bool) -> MonarchTile.Pair? {
    lags?.sum(step: step, conjugated: conjugated)
  }

  /// The spectrum of a step's result from that of its input, rounded. What the input leaves for later chunks is kept.
  ///
  /// - Complexity: one product of spectra, and one more for the first of two chunks.
  func factor(
    _ x: MonarchTile.Pair, received: MonarchTile.Pair? = nil, step: Index, conjugated: Bool
  ) -> MonarchTile.Pair {
    func times(_ spectrum: MonarchTile.Pair) -> MonarchTile.Pair {
      MonarchTile.product(x, spectrum, k, conjugated: conjugated)
    }
    guard let handed = received ?? later?.handed, let scale = lags?.scale ?? later?.scale else {
      let product = times(own)
      return Pair(re: k.cast(product.re, to: type), im: k.cast(product.im, to: type))
    }
    // The product is added to what was handed on, one chain for each part.
    let (re, im, w, z) = (x.re, x.im, own.re, own.im)
    func chain(_ first: (Tile, Tile), _ second: (Tile, Tile), from start: Tile, negating: Bool) -> Tile {
      let begun = isWhole ? k.map(.multiply, start, scale) : start
      let sum = k.map(.fma, first.0, first.1, begun)
      let whole = k.map(.fma, negating ? k.map(.negate, second.0) : second.0, second.1, sum)
      return k.cast(isWhole ? whole : k.map(.multiply, whole, scale), to: type)
    }
    let sums = [
      chain((re, w), (im, z), from: handed.re, negating: !conjugated),
      chain((im, w), (re, z), from: handed.im, negating: conjugated),
    ]
    lags?.keep(x, step: step)
    guard let later else { return Pair(re: sums[0], im: sums[1]) }
    let (turn, last) = (chunks.turn(step), Index(chunks.count - 1))
    k.when(turn, lessThan: last) {
      let next = times(later.spectrum)
      k.assign(later.handed.re, next.re)
      k.assign(later.handed.im, next.im)
    }
    k.when(last, lessThan: turn + 1) {
      k.assign(later.handed.re, 0)
      k.assign(later.handed.im, 0)
    }
    return Pair(re: sums[0], im: sums[1])
  }
}
