internal import Memory
internal import Tiles

/// What spectra of a channel of several chunks are divided by where steps are in 16 bits: a power of two, by which results are multiplied.
///
/// So a step's products are not multiplied, only its result is. By low twiddles products are as large as T(u), else a quarter, at the most:
/// small rows lose no more than they do as one chunk, and rows with a mean are infinite four times sooner.
struct MonarchChannelScale {
  /// By what spectra are multiplied: a number a row, in float32.
  let factor: Tile
  /// By what results are multiplied.
  let result: Tile

  /// Reads spectra; `nil` where steps are in float32, or there is one chunk.
  ///
  /// - Parameters:
  ///   - rows: of all spectra: more than none.
  ///   - load: a part, re or im, of a part of the frequencies of a chunk, in float32.
  init?(
    _ k: Recorder, _ tile: MonarchTile, _ chunks: MonarchChunks, rows: Index,
    load: (_ part: Int, _ reOrIm: Int, _ chunk: Index) -> Tile
  ) {
    guard MonarchTile.isNarrow(tile.type), chunks.count > 1 else { return nil }
    var (factor, result): (Tile?, Tile?) = (nil, nil)
    // Under a condition, which holds, so that nothing of it is put off into the steps.
    k.when(0, lessThan: rows) {
      let first = MonarchFilter.largest(load(0, 0, 0), k)
      let total = k.map(.multiply, first, 0)
      k.loop(Index(chunks.count)) { chunk in
        let own = (0..<2 * tile.parts).map { MonarchFilter.largest(load($0 / 2, $0 % 2, chunk), k) }
        k.assign(total, k.map(.add, total, own.dropFirst().reduce(own[0]) { k.map(.max, $0, $1) }))
      }
      // Four times what no K_m exceeds: the channel's, from that of each of its rows.
      let bound = k.map(.max, k.map(.multiply, total, 4), 0x1p-100)
      let scale = MonarchFilter.powerOfTwo(k.rowMax(k.map(.max, bound, k.transposed(bound))), k)
      // What low twiddles forth and back divide by, or what T(u) is divided by.
      let rise = tile.hasLowTwiddles ? MonarchTile.rise * MonarchTile.rise : MonarchTile.rise
      factor = k.map(.multiply, k.map(.reciprocal, scale), rise)
      result = k.cast(scale, to: tile.type)
    }
    guard let factor, let result else { return nil }
    (self.factor, self.result) = (factor, result)
  }
}
