internal import Memory
internal import Tiles

/// A float32 factor as two of bfloat16, a rounded part and what that leaves: products are three, and errors 2⁻¹⁶ of a result's norm.
struct MonarchSplit {
  var high: Tile
  var low: Tile

  /// A float32 tile as two factors.
  init(_ x: Tile, _ k: Recorder) {
    high = k.cast(x, to: .bfloat16)
    low = k.cast(k.map(.subtract, x, high), to: .bfloat16)
  }

  /// Parts that are known already.
  init(high: Tile, low: Tile) { (self.high, self.low) = (high, low) }

  /// Re and im of a complex factor side by side.
  init(_ x: MonarchTile.Pair, _ k: Recorder) {
    let (re, im) = (MonarchSplit(x.re, k), MonarchSplit(x.im, k))
    self.init(high: k.beside(re.high, im.high), low: k.beside(re.low, im.low))
  }

  /// a · b, or with one of them transposed.
  static func product(
    _ a: MonarchSplit, _ b: MonarchSplit, _ k: Recorder, transposesLeft: Bool = false,
    transposesRight: Bool = false
  ) -> Tile {
    let sum = k.matmul(a.high, b.high, transposesLeft: transposesLeft, transposesRight: transposesRight)
    for (left, right) in [(a.high, b.low), (a.low, b.high)] {
      k.matmul(into: sum, left, right, transposesLeft: transposesLeft, transposesRight: transposesRight)
    }
    return sum
  }

  /// Adds a · b, or with one of them transposed.
  static func add(
    _ a: MonarchSplit, _ b: MonarchSplit, to sum: Tile, _ k: Recorder, transposesLeft: Bool = false,
    transposesRight: Bool = false
  ) {
    for (left, right) in [(a.high, b.high), (a.high, b.low), (a.low, b.high)] {
      k.matmul(into: sum, left, right, transposesLeft: transposesLeft, transposesRight: transposesRight)
    }
  }
}
