internal import Tiles

/// Steps of a transform that are made in registers: of four columns that are 32 apart, of 128, one thread holds all.
struct MonarchButterflies {
  typealias Pair = MonarchTile.Pair

  let k: Recorder
  /// The factors of each row between columns that are 32, 64 and 96 apart.
  let turns: [Pair]

  private func both(_ a: Tile, _ b: Tile) -> (sum: Tile, difference: Tile) {
    (k.map(.add, a, b), k.map(.subtract, a, b))
  }

  /// a + b and a − b.
  private func halves(_ a: Pair, _ b: Pair) -> [Pair] {
    let (re, im) = (both(a.re, b.re), both(a.im, b.im))
    return [Pair(re: re.sum, im: im.sum), Pair(re: re.difference, im: im.difference)]
  }

  /// a − i·b and a + i·b.
  private func quarterTurn(_ a: Pair, _ b: Pair) -> [Pair] {
    let (re, im) = (both(a.re, b.im), both(a.im, b.re))
    return [Pair(re: re.sum, im: im.difference), Pair(re: re.difference, im: im.sum)]
  }

  private func turned(_ x: Pair, _ j: Int, conjugated: Bool = false) -> Pair {
    j == 0 ? x : MonarchTile.product(x, turns[j - 1], k, conjugated: conjugated)
  }

  /// Four columns to what even and odd ones (the second two) have of their even and odd frequencies. In an order with few numbers at
  /// once.
  func forth(_ x: [Pair]) -> [Pair] {
    let even = halves(x[0], turned(x[2], 2))
    let odd = halves(turned(x[1], 1), turned(x[3], 3))
    return halves(even[0], odd[0]) + quarterTurn(even[1], odd[1])
  }

  /// The transpose of ``forth(_:)`` with conjugated factors; each column is finished before the next is begun.
  func back(_ x: [Pair], _ finished: (Pair) -> Pair) -> [Pair] {
    let (even, odd) = (halves(x[0], x[1]), halves(x[2], x[3]))
    // The second differences by i.
    let (near, far) = (halves(even[0], odd[0]), quarterTurn(even[1], odd[1]))
    return [near[0], far[1], near[1], far[0]].enumerated().map {
      finished(turned($1, $0, conjugated: true))
    }
  }
}
