internal import Memory
internal import Tiles

/// A filter of one chunk in 16 bits: each row of its spectrum over a power of two, and twiddles that bring it back.
///
/// So a step multiplies by nothing but the spectrum, and what it multiplies is far from overflowing where a filter is large.
struct MonarchScaledFilter {
  /// All parts of the frequencies.
  let parts: [MonarchFilter]
  /// Twiddles of the way back, times what rows were divided by.
  let twiddles: MonarchTile.Pair

  /// Reads and divides a spectrum; `nil` where steps are in float32, or chunks are several and have scales of their own.
  ///
  /// - Parameters:
  ///   - rows: of all spectra: more than none.
  ///   - load: re or im of a part of the frequencies, in float32.
  init?(
    _ k: Recorder, _ tile: MonarchTile, _ chunks: MonarchChunks, rows: Index,
    load: (_ part: Int, _ reOrIm: Int) -> Tile
  ) {
    guard MonarchTile.isNarrow(tile.type), chunks.count == 1 else { return nil }
    precondition(tile.hasLowTwiddles, "spectra and twiddles are not a quarter")
    var (parts, twiddles): ([MonarchFilter], MonarchTile.Pair) = ([], tile.twiddles)
    // Under a condition, which holds, so that nothing of it is put off into the steps.
    k.when(0, lessThan: rows) {
      let spectra = (0..<tile.parts).map { part in MonarchTile.Pair(re: load(part, 0), im: load(part, 1)) }
      let largest = spectra.map {
        k.map(.max, MonarchFilter.largest($0.re, k), MonarchFilter.largest($0.im, k))
      }
      let bound = k.map(
        .max,
        k.map(.multiply, largest.dropFirst().reduce(largest[0]) { k.map(.max, $0, $1) }, MonarchTile.rise),
        0x1p-100)
      let scale = k.cast(MonarchFilter.powerOfTwo(bound, k), to: tile.type)
      // A quarter of T(u) by four times what is a quarter at the most.
      let factor = k.map(.multiply, k.map(.reciprocal, scale), MonarchTile.rise)
      func divided(_ x: Tile) -> Tile { k.cast(k.map(.multiply, x, factor), to: tile.type) }
      parts = spectra.map { MonarchFilter(k, tile.type, own: .init(re: divided($0.re), im: divided($0.im))) }
      // Those of the tile are a quarter.
      func multiplied(_ x: Tile) -> Tile {
        k.map(.multiply, k.map(.multiply, x, MonarchTile.rise, in: tile.type), scale, in: tile.type)
      }
      twiddles = MonarchTile.Pair(re: multiplied(tile.twiddles.re), im: multiplied(tile.twiddles.im))
    }
    (self.parts, self.twiddles) = (parts, twiddles)
  }
}
