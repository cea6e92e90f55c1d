internal import Memory
internal import Tiles

/// A channel's filter, or those of a tile's channels, in a task: all parts of the frequencies, and a tile's way through it and back.
struct MonarchFilters {
  private let tile: MonarchTile
  private let parts: [MonarchFilter]
  /// Of one chunk whose steps are in 16 bits, twiddles back that undo what rows of the spectrum are divided by.
  private let twiddles: MonarchTile.Pair?
  /// Of several, what results are multiplied by.
  private let scale: Tile?

  /// Reads and prepares spectra.
  ///
  /// - Parameters:
  ///   - rows: of all spectra: more than none, and of four chunks more than three.
  ///   - width: frequencies of a part.
  ///   - isPrecise: whether there are registers for a part of the spectrum in float32, where steps are.
  ///   - asides: parts of the second spectrum that may be kept elsewhere than in registers.
  ///   - lags: where a part of four chunks keeps what it needs.
  ///   - load: some columns, in float32, of re (0) or im (1) of a part of a chunk's spectrum.
  init(
    _ k: Recorder, _ tile: MonarchTile, _ chunks: MonarchChunks, rows: Index, width: Int,
    isPrecise: (_ part: Int) -> Bool, asides: Int = 2,
    lags: (_ part: Int) -> MonarchLags.Place? = { _ in nil },
    load: (_ part: Int, _ reOrIm: Int, _ chunk: Index, _ columns: Range<Int>) -> Tile
  ) {
    self.tile = tile
    let scaled = MonarchScaledFilter(k, tile, chunks, rows: rows) { load($0, $1, 0, 0..<width) }
    let channel = MonarchChannelScale(k, tile, chunks, rows: rows) { load($0, $1, $2, 0..<width) }
    (twiddles, scale) = (scaled?.twiddles, channel?.result)
    parts =
      scaled?.parts
      ?? (0..<tile.parts).map { part in
        MonarchFilter(
          k, chunks, type: tile.type, rows: rows, width: width, isPrecise: isPrecise(part), asides: asides,
          channel: channel, lags: lags(part)
        ) { load(part, $0, $1, $2) }
      }
  }

  /// What rows and twiddles left, through columns, the filter, columns and twiddles back; for ``real(_:)`` and ``imaginary(_:)``.
  func returned(
    _ turned: MonarchTile.Pair, turn: MonarchChunks.Turn, conjugated: Bool
  ) -> MonarchTile.Pair {
    let spectra = tile.spectra(turned)
    let backs = parts.indices.map { part in
      let product = parts[part].factor(tile.pair(spectra[part]), turn: turn, conjugated: conjugated)
      return tile.back(product, part: part)
    }
    return tile.returned(backs, by: twiddles)
  }

  /// Rows back, the real part of the result.
  func real(_ x: MonarchTile.Pair) -> Tile { tile.real(x, isScaled: twiddles != nil, times: scale) }

  /// Rows back, the imaginary part; only of complex tiles.
  func imaginary(_ x: MonarchTile.Pair) -> Tile {
    precondition(scale == nil, "complex rows are one chunk")
    return tile.imaginary(x, isScaled: twiddles != nil)
  }
}
