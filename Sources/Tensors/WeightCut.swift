/// How the product Aᵀ · B of long and narrow factors, a weight's gradient, is cut for matrix units.
///
/// Tiles of the result are few, so parts of the inner side are tasks too. What counts is how full the last round of tasks is,
/// against sums that are written, read and added.
struct WeightCut: Equatable {
  /// Numbers of the inner side that are not cut apart.
  static let chunk = 64
  /// Columns of a tile.
  private(set) var columns: Int
  /// Chunks of a part.
  private(set) var share: Int
  /// Parts.
  private(set) var parts: Int

  /// The cut that takes least time by count; `nil` where the inner side is no whole number of chunks.
  init?(rows m: Int, columns n: Int, inner: Int, cores: Int) {
    guard inner > 0, inner % Self.chunk == 0 else { return nil }
    let chunks = inner / Self.chunk
    var best: (time: Double, cut: WeightCut)?
    for (columns, rate) in [(256, 12.4), (128, 7.0)] where columns == 128 || n > 128 {
      let tiles = ((m + 127) / 128) * ((n + columns - 1) / columns)
      for wanted in 1...min(16, chunks) {
        let share = (chunks + wanted - 1) / wanted
        let parts = (chunks + share - 1) / share
        let rounds = (tiles * parts + cores - 1) / cores
        // Nanoseconds: of a tile's row of the inner side, of beginning and end of a task, of a number of the sums.
        let products = Double(rounds) * (Double(share * Self.chunk) * rate + 3000)
        let sums = parts > 1 ? Double(parts * m * n) * 0.0023 + 4000 : 0
        if products + sums < best?.time ?? .infinity {
          best = (products + sums, WeightCut(columns: columns, share: share, parts: parts))
        }
      }
    }
    guard let best else { return nil }
    self = best.cut
  }

  private init(columns: Int, share: Int, parts: Int) {
    (self.columns, self.share, self.parts) = (columns, share, parts)
  }
}
