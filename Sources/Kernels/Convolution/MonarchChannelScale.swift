internal import Memory
internal import Tiles

/// What spectra of a channel of several chunks are divided by where steps are in 16 bits: a power of two, by which results are multiplied.
///
/// So a step's products are neither multiplied nor far from what they may be at the most: what is handed on is about a quarter of T(u).
struct MonarchChannelScale {
  /// By what spectra are multiplied, a quarter of T(u) by four times what is left of them: a number a row, in float32.
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
      let scale = MonarchFilter.powerOfTwo(
        k.rowMax(k.map(.max, bound, k.transposed(bound))), k, atMost: 13)
      factor = k.map(.multiply, k.map(.reciprocal, scale), MonarchTile.rise)
      result = k.cast(
        tile.hasLowTwiddles ? k.map(.multiply, scale, MonarchTile.rise) : scale, to: tile.type)
    }
    guard let factor, let result else { return nil }
    (self.factor, self.result) = (factor, result)
  }
}
