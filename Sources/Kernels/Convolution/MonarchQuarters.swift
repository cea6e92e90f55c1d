internal import Memory
internal import Tiles

/// The transform of 8,192 numbers as 64 rows of 128 columns, forth and back, as its steps are recorded.
///
/// As ``MonarchTile``, but columns halve twice in registers: of four columns that are 32 apart, which one thread holds, four sums
/// have the frequencies of a quarter each. A number takes 1,024 operations then, where a tile of 128 rows takes 1,536, and one
/// group has all that a row of the batch needs. The quarter step between columns that are 32 apart is a factor of each row, so that
/// twiddles are those of 32 columns. Columns are halves of 64, so that what is staged of one lies where the other did.
struct MonarchQuarters {
  typealias Pair = MonarchTile.Pair

  /// Rows of a tile, and columns of half of one.
  static let side = MonarchConstants.side
  /// Columns of a tile, and points of a channel.
  static let columns = 2 * side
  static let points = side * columns
  /// Frequencies of a quarter.
  static let width = MonarchTile.width
  static let rows = MonarchConstants(radix: side, isShifted: true)

  let k: Recorder
  /// Products of rows and of columns; its twiddles are the first quarters'.
  private let tile: MonarchTile
  private let twiddles: [Pair]
  private let turns: TensorParameter

  /// Loads the matrices.
  init(_ k: Recorder, _ type: ElementType, from parameters: [TensorParameter]) {
    func load(_ part: Int, columns: Int = Self.side, from column: Int = 0) -> Tile {
      k.load(
        parameters[0], at: [Index(part), 0, Index(column)], rows: Self.side, columns: columns,
        validRows: Index(Self.side), validColumns: Index(columns))
    }
    let rows = Pair(re: load(0), im: load(1))
    let columns = [2, 3].map { load($0) }
    twiddles = [0, 1].map { half in
      let parts = [4, 5].map { load($0, columns: Self.width, from: half * Self.width) }
      return Pair(re: parts[0], im: parts[1])
    }
    tile = MonarchTile(k: k, type: type, rows: rows, columns: columns, twiddles: twiddles[0])
    (self.k, turns) = (k, parameters[1])
  }

  /// Quarters of the frequency, k₁ − 1/4, of a row.
  private static func quarters(_ row: Int) -> Int { 4 * row - 1 }

  /// e^(−2πi·(k₁ − 1/4)·n/S), n < 32, and, beside, times e^(−2πi·n/128), for the odd columns; over 2, for the step of two.
  private static var twiddles: MonarchMatrix {
    MonarchMatrix(side, side) { row, column in
      let n = column % width
      let turn = MonarchMatrix.turn((quarters(row) + column / width * 4 * side) * n, of: 4 * points)
      return (turn.re / 2, turn.im / 2)
    }
  }

  /// e^(−2πi·(k₁ − 1/4)·32·j/S) of each row for j = 1, 2, 3.
  private static var turns: MonarchMatrix {
    MonarchMatrix(3, side) { j, row in
      MonarchMatrix.turn(quarters(row) * (j + 1) * width, of: 4 * points)
    }
  }

  /// Numbers of ``constants(_:)``.
  static var parts: (matrices: [[Double]], turns: [Double]) {
    let (rows, twiddles, turns) = (Self.rows.rows, twiddles, turns)
    return (
      [rows.re, rows.im] + [0, 1].map(MonarchConstants.columns(half:)) + [twiddles.re, twiddles.im],
      turns.re + turns.im
    )
  }

  /// Matrices `[6, 64, 64]` and turns of rows `[6, 64]` in float32.
  static func constants(_ type: ElementType) throws -> [Tensor] {
    let parts = parts
    return [
      try MonarchStack.tensor(parts.matrices, rows: side, columns: side, type),
      try MonarchStack.tensor([parts.turns], rows: 6, columns: side, .float32).reshaped([6, side]),
    ]
  }

  /// The parameters for ``constants(_:)``.
  static func parameters(_ k: Recorder, _ type: ElementType) -> [TensorParameter] {
    [
      k.input("matrices", type, [6, Index(side), Index(side)]),
      k.input("turns", .float32, [6, Index(side)]),
    ]
  }

  /// Read only where they are wanted, since registers are scarce.
  private func turn(_ j: Int) -> Pair {
    let parts = [j - 1, j + 2].map {
      k.load(turns, at: [Index($0), 0], rows: Self.side, columns: 1, rowAxis: 1, validRows: Index(Self.side))
    }
    return Pair(re: parts[0], im: parts[1])
  }

  // MARK: Forth

  /// Rows of half a real tile: columns that are 32 apart. Those of the first half are rounded, since there are no registers for all.
  func turned(_ x: Tile, half: Int) -> [Pair] {
    let whole = Pair(re: k.matmul(tile.rows.re, x), im: k.matmul(tile.rows.im, x))
    let parts = [0, Self.width].map { first in
      func cut(_ x: Tile) -> Tile { k.columns(of: x, from: first, count: Self.width) }
      return Pair(re: cut(whole.re), im: cut(whole.im))
    }
    return half == 0 ? parts.map(tile.factor) : parts
  }

  private func both(_ a: Tile, _ b: Tile) -> (sum: Tile, difference: Tile) {
    (k.map(.add, a, b), k.map(.subtract, a, b))
  }

  /// a + b and a − b.
  private func butterfly(_ a: Pair, _ b: Pair) -> [Pair] {
    let (re, im) = (both(a.re, b.re), both(a.im, b.im))
    return [Pair(re: re.sum, im: im.sum), Pair(re: re.difference, im: im.difference)]
  }

  /// a − i·b and a + i·b.
  private func quarterTurn(_ a: Pair, _ b: Pair) -> [Pair] {
    let (re, im) = (both(a.re, b.im), both(a.im, b.re))
    return [Pair(re: re.sum, im: im.difference), Pair(re: re.difference, im: im.sum)]
  }

  /// Four columns as left factors of ``spectrum(_:quarter:)``, re beside im, one for each quarter.
  ///
  /// One chain of elementwise steps, so that four columns make room for what comes of them; in an order with few numbers at once.
  func folded(_ x: [Pair]) -> [Tile] {
    let turns = (1...3).map(turn)
    let even = butterfly(x[0], tile.product(x[2], turns[1]))
    let odd = butterfly(tile.product(x[1], turns[0]), tile.product(x[3], turns[2]))
    let sums = butterfly(even[0], odd[0]) + quarterTurn(even[1], odd[1])
    let factors = sums.enumerated().map { tile.factor(tile.product($1, twiddles[$0 / 2])) }
    return factors.map { k.beside($0.re, $0.im) }
  }

  /// The spectrum of a quarter in float32: frequencies k₁ + 64·(4·m + 2·h + f) of quarter 2·f + h.
  func spectrum(_ x: Tile, quarter: Int) -> Pair { tile.pair(k.matmul(x, tile.columns[quarter % 2])) }

  // MARK: Back

  /// Columns of a quarter's rounded spectrum back.
  func back(_ x: Pair, quarter: Int) -> Pair { tile.pair(tile.back(x, half: quarter % 2)) }

  /// What came back of all quarters as columns, rounded, for ``real(_:half:)``. One chain, as ``folded(_:)``.
  func joined(_ quarters: [Pair]) -> [Pair] {
    let turns = (1...3).map(turn)
    let t = quarters.enumerated().map { tile.product($1, twiddles[$0 / 2], conjugated: true) }
    let (even, odd) = (butterfly(t[0], t[1]), butterfly(t[2], t[3]))
    let near = butterfly(even[0], odd[0])
    // The second differences by i.
    let far = quarterTurn(even[1], odd[1])
    return [near[0], far[1], near[1], far[0]].enumerated().map { j, x in
      tile.factor(j == 0 ? x : tile.product(x, turns[j - 1], conjugated: true))
    }
  }

  /// Rows of half a tile back, the real part.
  func real(_ x: [Pair], half: Int) -> Tile {
    let (near, far) = (x[2 * half], x[2 * half + 1])
    return tile.real(Pair(re: k.beside(near.re, far.re), im: k.beside(near.im, far.im)))
  }
}
