internal import Memory
internal import Tiles

/// A channel's filter in the registers of a task: that of one part of the frequencies.
struct MonarchFilter {
  private typealias Pair = MonarchTile.Pair

  private let k: Recorder
  private let type: ElementType
  private let chunks: MonarchChunks
  /// Whether of several chunks the own part is as precise, and takes as many registers, as of one; not where steps are in 16 bits.
  private let isPrecise: Bool
  /// By what rows of spectra of several chunks are divided, and products multiplied; `nil` where results are.
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
  ///   - rows: of all spectra: more than none, and of four chunks more than three.
  ///   - width: frequencies of a row.
  ///   - isPrecise: whether, of a type whose steps are in float32, there are registers for the chunk's own part in float32.
  ///   - asides: parts of the second spectrum that may be kept elsewhere than in registers.
  ///   - channel: of several chunks whose steps are in 16 bits, what the channel's spectra are divided by.
  ///   - lags: where more than two chunks keep what they need.
  ///   - load: columns of a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, _ chunks: MonarchChunks, type: ElementType, rows: Index, width: Int, isPrecise: Bool,
    asides: Int = 2, channel: MonarchChannelScale?, lags: MonarchLags.Place? = nil,
    load: (_ part: Int, _ chunk: Index, _ columns: Range<Int>) -> Tile
  ) {
    (self.k, self.type, self.chunks) = (k, type, chunks)
    let isPrecise = isPrecise && !MonarchTile.isNarrow(type)
    self.isPrecise = isPrecise
    let all = 0..<width
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
    func halved(_ x: Tile, _ factor: Tile) -> Tile { k.cast(k.map(.multiply, x, factor), to: .float16) }
    func ownPart(_ x: Tile, _ factor: Tile) -> Tile { isPrecise ? x : halved(x, factor) }
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
        let factor: Tile
        if let channel {
          factor = channel.factor
        } else {
          // Four times what K₁ − i·K₀ cannot exceed, and K₀ less so: what is handed on is about a quarter of T(u) at the most.
          let largest = spectra.map { k.map(.max, Self.largest($0.re, k), Self.largest($0.im, k)) }
          let bound = k.map(.max, k.map(.multiply, k.map(.add, largest[0], largest[1]), 4), 0x1p-100)
          (scale, factor) = (bound, k.map(.reciprocal, bound))
        }
        let (own, later) = (spectra[0], spectra[1])
        parts = [ownPart(own.re, factor), ownPart(own.im, factor)]
        parts += [
          halved(k.map(.add, later.re, own.im), factor), halved(k.map(.subtract, later.im, own.re), factor),
        ]
      }
      self.scale = scale
      pieces = [piece(Pair(re: parts[0], im: parts[1]), Pair(re: parts[2], im: parts[3]))]
      return
    }
    let factor: Tile
    if let channel {
      (scale, factor) = (nil, channel.factor)
    } else {
      let bound = MonarchLags.scale(k, chunks: chunks.count) { load($0, $1, all) }
      (scale, factor) = (bound, k.map(.reciprocal, bound))
    }
    pieces = stride(from: 0, to: width, by: MonarchLags.width).enumerated().map { number, column in
      let columns = column..<(column + MonarchLags.width)
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
    (self.k, self.type, chunks, isPrecise, scale) = (k, type, MonarchChunks(count: 1), false, nil)
    pieces = [Piece(own: own, later: nil)]
  }

  /// The largest magnitude of each row.
  static func largest(_ x: Tile, _ k: Recorder) -> Tile { k.rowMax(k.map(.abs, x)) }

  /// The spectrum of a chunk's result from that of its input, rounded; in 16 bits from a quarter of it. What the input leaves for later
  /// chunks is kept.
  ///
  /// - Complexity: one product of spectra, and of several chunks those with what they leave.
  func factor(_ x: MonarchTile.Pair, turn: MonarchChunks.Turn, conjugated: Bool) -> MonarchTile.Pair {
    if pieces.count == 1 { return factor(x, pieces[0], turn: turn, conjugated: conjugated) }
    let width = x.re.columns / pieces.count
    let results = pieces.enumerated().map { number, piece in
      func part(_ tile: Tile) -> Tile { k.columns(of: tile, from: width * number, count: width) }
      return factor(Pair(re: part(x.re), im: part(x.im)), piece, turn: turn, conjugated: conjugated)
    }
    return results.dropFirst().reduce(results[0]) {
      Pair(re: k.beside($0.re, $1.re), im: k.beside($0.im, $1.im))
    }
  }

  private func factor(
    _ x: MonarchTile.Pair, _ piece: Piece, turn: MonarchChunks.Turn, conjugated: Bool
  ) -> MonarchTile.Pair {
    func rounded(_ x: Pair) -> Pair { Pair(re: k.cast(x.re, to: type), im: k.cast(x.im, to: type)) }
    guard let later = piece.later else {
      if piece.own.re.type == type {
        return MonarchTile.product(x, piece.own, k, in: type, conjugated: conjugated)
      }
      return rounded(MonarchTile.product(x, piece.own, k, conjugated: conjugated))
    }
    let result: Pair
    if let scale {
      func scaled(_ x: Pair) -> Pair {
        Pair(re: k.map(.multiply, x.re, scale), im: k.map(.multiply, x.im, scale))
      }
      // The product is added to what was handed on, one chain for each part.
      let begun = isPrecise ? scaled(later.handed) : later.handed
      let sum = MonarchTile.sum(begun, x, piece.own, k, conjugated: conjugated)
      result = rounded(isPrecise ? sum : scaled(sum))
    } else {
      result = MonarchTile.product(
        x, piece.own, plus: turn.isFirst ? nil : later.handed, k, in: type, conjugated: conjugated)
    }
    handOn(x, later, turn: turn, conjugated: conjugated)
    return result
  }

  /// Makes what is handed on that of this chunk, whose spectrum, or in 16 bits a quarter of it, is `x`.
  private func handOn(_ x: MonarchTile.Pair, _ later: Later, turn: MonarchChunks.Turn, conjugated: Bool) {
    let isNarrow = MonarchTile.isNarrow(type)
    func product(_ x: MonarchTile.Pair) -> MonarchTile.Pair {
      MonarchTile.product(x, later.spectrum, k, in: type, conjugated: conjugated)
    }
    func hand(_ next: MonarchTile.Pair) {
      k.assign(later.handed.re, next.re, in: isNarrow ? type : nil)
      k.assign(later.handed.im, next.im, in: isNarrow ? type : nil)
    }
    switch turn {
    case .known(let number):
      precondition(later.lags == nil, "chunks of lags are steps of one loop")
      if number < chunks.count - 1 { hand(product(x)) }
    case .step(let turn):
      // Nothing comes after the last chunk, and something takes its place after the others.
      k.assign(later.handed.re, 0)
      k.assign(later.handed.im, 0)
      if let lags = later.lags {
        lags.handOn(x, turn: turn, conjugated: conjugated, nearest: product, hand)
      } else {
        k.when(turn, lessThan: Index(chunks.count - 1)) { hand(product(x)) }
      }
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
