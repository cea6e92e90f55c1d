internal import Memory
internal import Tiles

/// A channel's filter in the registers of a task: that of one half of the frequencies.
struct MonarchFilter {
  private typealias Pair = MonarchTile.Pair

  private let k: Recorder
  private let type: ElementType
  private let chunks: MonarchChunks
  /// Whether of several chunks the own part is as precise, and takes as many registers, as of one.
  private let isWhole: Bool
  /// Spectrum of the chunk's own part; of several chunks in halves of registers, over ``Later/scale``, where not whole.
  private let own: MonarchTile.Pair
  private let later: Later?

  /// What several chunks take beside: L₁ = K₁ − i·K₀, by what rows of all were divided, and what is handed on to the next chunk.
  private struct Later {
    let spectrum: MonarchTile.Pair
    let scale: Tile
    let handed: MonarchTile.Pair
    /// Of four chunks.
    let lags: MonarchLags?
  }

  /// - Parameters:
  ///   - type: what results, and what is handed on, are rounded to.
  ///   - rows: of all spectra: more than four.
  ///   - isWhole: whether there are registers for the chunk's own part in float32.
  ///   - asides: parts of the second spectrum that may be kept elsewhere than in registers.
  ///   - lags: where more than two chunks keep what they need.
  ///   - load: a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, _ chunks: MonarchChunks, type: ElementType, rows: Index, isWhole: Bool,
    asides: Int = 2, lags: MonarchLags.Place? = nil, load: (_ part: Int, _ chunk: Index) -> Tile
  ) {
    (self.k, self.type, self.chunks, self.isWhole) = (k, type, chunks, isWhole)
    guard chunks.count > 1 else {
      (own, later) = (Pair(re: load(0, 0), im: load(1, 0)), nil)
      return
    }
    // One pair of parts after the other: at once they would fill the registers, so each pair has a condition, which holds.
    var stage = 0
    func alone(_ body: () -> Void) {
      k.when(Index(stage), lessThan: rows, body)
      stage += 1
    }
    let scale: Tile
    if chunks.count == 2 {
      var largest: [Tile] = []
      for chunk in [Index(0), 1] {
        alone {
          let parts = (0..<2).map { k.rowMax(k.map(.abs, load($0, chunk))) }
          largest.append(k.map(.multiply, k.map(.max, parts[0], parts[1]), 4.0))
        }
      }
      // Four times what K₁ − i·K₀ cannot exceed, and K₀ less so: what is handed on is no larger than a quarter of T(u), so that in float16
      // it does not overflow before the results do.
      scale = k.map(.max, k.map(.add, largest[0], largest[1]), 0x1p-100)
    } else {
      scale = MonarchLags.scale(k, chunks: chunks.count, load)
    }
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
      spectrum: next, scale: scale, handed: Pair(re: handed(), im: handed()),
      lags: lags.map { MonarchLags(k, at: $0, type: type, factor: factor, load) })
  }

  /// The spectrum of a step's result from that of its input, rounded. What the input leaves for later chunks is kept.
  ///
  /// - Complexity: one product of spectra, and of several chunks those with what they leave.
  func factor(_ x: MonarchTile.Pair, step: Index, conjugated: Bool) -> MonarchTile.Pair {
    guard let later else {
      let product = MonarchTile.product(x, own, k, conjugated: conjugated)
      return Pair(re: k.cast(product.re, to: type), im: k.cast(product.im, to: type))
    }
    // The product is added to what was handed on, one chain for each part.
    let begun =
      isWhole
      ? Pair(
        re: k.map(.multiply, later.handed.re, later.scale), im: k.map(.multiply, later.handed.im, later.scale))
      : later.handed
    let sum = MonarchTile.sum(begun, x, own, k, conjugated: conjugated)
    func rounded(_ part: Tile) -> Tile {
      k.cast(isWhole ? part : k.map(.multiply, part, later.scale), to: type)
    }
    let result = Pair(re: rounded(sum.re), im: rounded(sum.im))
    handOn(x, later, turn: chunks.turn(step), conjugated: conjugated)
    return result
  }

  /// Makes what is handed on that of this chunk.
  private func handOn(_ x: MonarchTile.Pair, _ later: Later, turn: Index, conjugated: Bool) {
    func product() -> MonarchTile.Pair {
      MonarchTile.product(x, later.spectrum, k, conjugated: conjugated)
    }
    func hand(_ next: MonarchTile.Pair) {
      k.assign(later.handed.re, next.re)
      k.assign(later.handed.im, next.im)
    }
    let last = Index(chunks.count - 1)
    if let lags = later.lags {
      lags.handOn(x, turn: turn, conjugated: conjugated, nearest: product, hand)
    } else {
      k.when(turn, lessThan: last) { hand(product()) }
    }
    k.when(last, lessThan: turn + 1) {
      k.assign(later.handed.re, 0)
      k.assign(later.handed.im, 0)
    }
  }
}
