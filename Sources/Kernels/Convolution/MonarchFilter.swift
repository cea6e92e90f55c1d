internal import Memory
internal import Tiles

/// A channel's filter in the registers of a task: that of one half of the frequencies.
struct MonarchFilter {
  private typealias Pair = MonarchTile.Pair

  private let k: Recorder
  private let type: ElementType
  private let chunks: MonarchChunks
  /// Whether of several chunks the own part is as precise, and takes as many registers, as of one; not where steps are in 16 bits.
  private let isWhole: Bool
  /// By what rows of spectra of several chunks are divided.
  private let scale: Tile?
  /// Columns of a piece follow those of the one before.
  private let pieces: [Piece]

  /// Some of the frequencies.
  private struct Piece {
    /// Spectrum of the chunk's own part; of several chunks in halves of registers, over the scale, where not whole.
    let own: MonarchTile.Pair
    let later: Later?
  }

  /// What several chunks take beside: L₁ = K₁ − i·K₀, and what is handed on to the next chunk.
  private struct Later {
    let spectrum: MonarchTile.Pair
    let handed: MonarchTile.Pair
    /// Of four chunks.
    let lags: MonarchLags?
  }

  /// - Parameters:
  ///   - type: what results, and what is handed on, are rounded to.
  ///   - rows: of all spectra: more than three.
  ///   - isWhole: whether, of a type whose steps are in float32, there are registers for the chunk's own part in float32.
  ///   - asides: parts of the second spectrum that may be kept elsewhere than in registers.
  ///   - lags: where more than two chunks keep what they need.
  ///   - load: columns of a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, _ chunks: MonarchChunks, type: ElementType, rows: Index, isWhole: Bool,
    asides: Int = 2, lags: MonarchLags.Place? = nil,
    load: (_ part: Int, _ chunk: Index, _ columns: Range<Int>) -> Tile
  ) {
    (self.k, self.type, self.chunks) = (k, type, chunks)
    let isNarrow = MonarchTile.isNarrow(type)
    let isWhole = isWhole && !isNarrow
    self.isWhole = isWhole
    let all = 0..<MonarchTile.width
    guard chunks.count > 1 else {
      (scale, pieces) = (nil, [Piece(own: Pair(re: load(0, 0, all), im: load(1, 0, all)), later: nil)])
      return
    }
    // What is prepared together has a condition, which holds: what follows would be read at once else, and fill the registers.
    var stage = 0
    func alone(_ body: () -> Void) {
      k.when(Index(stage), lessThan: rows, body)
      stage += 1
    }
    func settled(_ bound: Tile) -> (scale: Tile, factor: Tile) {
      let scale = isNarrow ? k.cast(Self.powerOfTwo(bound, k), to: type) : bound
      // What is multiplied in 16 bits is a quarter of T(u), as much as what is handed on: else it would be infinite four times as soon.
      return (scale, k.map(.multiply, k.map(.reciprocal, scale), isNarrow ? MonarchTile.rise : 1))
    }
    func halved(_ x: Tile, _ factor: Tile) -> Tile { k.cast(k.map(.multiply, x, factor), to: .float16) }
    func ownPart(_ x: Tile, _ factor: Tile) -> Tile { isWhole ? x : halved(x, factor) }
    func piece(_ own: MonarchTile.Pair, _ next: MonarchTile.Pair, lags: MonarchLags? = nil) -> Piece {
      func handed() -> Tile {
        let zero = k.filled(
          0, rows: own.re.rows, columns: own.re.columns, validRows: own.re.validRows,
          validColumns: own.re.validColumns)
        return k.cast(zero, to: type)
      }
      for part in [next.re, next.im].prefix(asides) { k.setAside(part) }
      return Piece(
        own: own, later: Later(spectrum: next, handed: Pair(re: handed(), im: handed()), lags: lags))
    }
    guard let lags else {
      var (parts, scale): ([Tile], Tile?) = ([], nil)
      alone {
        let spectra = [Index(0), 1].map { Pair(re: load(0, $0, all), im: load(1, $0, all)) }
        // Four times what K₁ − i·K₀ cannot exceed, and K₀ less so: what is handed on is about a quarter of T(u) at the most.
        let largest = spectra.map { k.map(.max, Self.largest($0.re, k), Self.largest($0.im, k)) }
        let bound = k.map(.multiply, k.map(.add, largest[0], largest[1]), 4)
        let (own, later) = (spectra[0], spectra[1])
        let settled = settled(k.map(.max, bound, 0x1p-100))
        scale = settled.scale
        parts = [ownPart(own.re, settled.factor), ownPart(own.im, settled.factor)]
        parts += [
          halved(k.map(.add, later.re, own.im), settled.factor),
          halved(k.map(.subtract, later.im, own.re), settled.factor),
        ]
      }
      self.scale = scale
      pieces = [piece(Pair(re: parts[0], im: parts[1]), Pair(re: parts[2], im: parts[3]))]
      return
    }
    let (scale, factor) = settled(MonarchLags.scale(k, chunks: chunks.count) { load($0, $1, all) })
    self.scale = scale
    pieces = MonarchLags.pieces.enumerated().map { number, columns in
      var parts: [Tile] = []
      alone {
        let (re, im) = (load(0, 0, columns), load(1, 1, columns))
        parts += [ownPart(re, factor), halved(k.map(.subtract, im, re), factor)]
      }
      alone {
        let (im, re) = (load(1, 0, columns), load(0, 1, columns))
        parts += [ownPart(im, factor), halved(k.map(.add, re, im), factor)]
      }
      let lags = MonarchLags(k, at: lags, piece: number, type: type, factor: factor) {
        load($0, $1, columns)
      }
      return piece(Pair(re: parts[0], im: parts[2]), Pair(re: parts[3], im: parts[1]), lags: lags)
    }
  }

  /// One chunk's, in the type of its steps.
  init(_ k: Recorder, _ type: ElementType, own: MonarchTile.Pair) {
    (self.k, self.type, chunks, isWhole, scale) = (k, type, MonarchChunks(count: 1), false, nil)
    pieces = [Piece(own: own, later: nil)]
  }

  /// The largest magnitude of each row.
  static func largest(_ x: Tile, _ k: Recorder) -> Tile { k.rowMax(k.map(.abs, x)) }

  /// The spectrum of a step's result from that of its input, rounded; in 16 bits from a quarter of it. What the input leaves for later
  /// chunks is kept.
  ///
  /// - Complexity: one product of spectra, and of several chunks those with what they leave.
  func factor(_ x: MonarchTile.Pair, step: Index, conjugated: Bool) -> MonarchTile.Pair {
    if pieces.count == 1 { return factor(x, pieces[0], step: step, conjugated: conjugated) }
    let width = MonarchTile.width / pieces.count
    let results = pieces.enumerated().map { number, piece in
      func part(_ tile: Tile) -> Tile { k.columns(of: tile, from: width * number, count: width) }
      return factor(Pair(re: part(x.re), im: part(x.im)), piece, step: step, conjugated: conjugated)
    }
    return results.dropFirst().reduce(results[0]) {
      Pair(re: k.beside($0.re, $1.re), im: k.beside($0.im, $1.im))
    }
  }

  private func factor(
    _ x: MonarchTile.Pair, _ piece: Piece, step: Index, conjugated: Bool
  ) -> MonarchTile.Pair {
    guard let later = piece.later, let scale else {
      if piece.own.re.type == type {
        return MonarchTile.product(x, piece.own, k, in: type, conjugated: conjugated)
      }
      let product = MonarchTile.product(x, piece.own, k, conjugated: conjugated)
      return Pair(re: k.cast(product.re, to: type), im: k.cast(product.im, to: type))
    }
    let turn = chunks.turn(step)
    if MonarchTile.isNarrow(type) {
      let sum = MonarchTile.product(
        x, piece.own, plus: later.handed, k, in: type, conjugated: conjugated)
      handOn(x, later, turn: turn, conjugated: conjugated)
      return Pair(
        re: k.map(.multiply, sum.re, scale, in: type), im: k.map(.multiply, sum.im, scale, in: type))
    }
    // The product is added to what was handed on, one chain for each part.
    func begun(_ part: Tile) -> Tile { isWhole ? k.map(.multiply, part, scale) : part }
    let sum = MonarchTile.sum(
      Pair(re: begun(later.handed.re), im: begun(later.handed.im)), x, piece.own, k, conjugated: conjugated)
    func rounded(_ part: Tile) -> Tile {
      k.cast(isWhole ? part : k.map(.multiply, part, scale), to: type)
    }
    let result = Pair(re: rounded(sum.re), im: rounded(sum.im))
    handOn(x, later, turn: turn, conjugated: conjugated)
    return result
  }

  /// Makes what is handed on that of this chunk, whose spectrum, or in 16 bits a quarter of it, is `x`.
  private func handOn(_ x: MonarchTile.Pair, _ later: Later, turn: Index, conjugated: Bool) {
    let isNarrow = MonarchTile.isNarrow(type)
    func product(_ x: MonarchTile.Pair) -> MonarchTile.Pair {
      MonarchTile.product(x, later.spectrum, k, in: type, conjugated: conjugated)
    }
    func hand(_ next: MonarchTile.Pair) {
      k.assign(later.handed.re, next.re, in: isNarrow ? type : nil)
      k.assign(later.handed.im, next.im, in: isNarrow ? type : nil)
    }
    // Nothing comes after the last chunk, and something takes its place after the others.
    k.assign(later.handed.re, 0)
    k.assign(later.handed.im, 0)
    if let lags = later.lags {
      lags.handOn(x, turn: turn, conjugated: conjugated, nearest: product, hand)
    } else {
      k.when(turn, lessThan: Index(chunks.count - 1)) { hand(product(x)) }
    }
  }

  /// The least power of two that is as large, of those that the type has with room to spare: nothing is rounded when it is multiplied.
  static func powerOfTwo(_ x: Tile, _ k: Recorder) -> Tile {
    let exponent = k.map(.fma, k.map(.log, x), 1 / 0.6931471805599453, 0.5)
    // Numbers from 2²³ on have no fraction.
    let whole = k.map(.subtract, k.map(.add, exponent, 0x1.8p23), 0x1.8p23)
    return k.map(.exp2, k.map(.min, k.map(.max, whole, -12), 15))
  }
}
