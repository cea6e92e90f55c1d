internal import Memory
internal import Tiles

/// The transform of 64 rows of 128 columns, 8,192 numbers, forth and back, as its steps are recorded.
///
/// As ``MonarchTile``, but columns halve twice in registers: of four columns that are 32 apart, which one thread holds, four sums
/// have the frequencies of a quarter each: 1,024 operations a number, where 128 rows of 64 columns take 1,536. The
/// quarter step between columns that are 32 apart is a factor of each row, so that twiddles are those of 32 columns. Columns are
/// halves of 64, so that what is staged of one lies where the other did.
struct MonarchQuarters {
  typealias Pair = MonarchTile.Pair

  /// Rows of a tile, and columns of half of one.
  static let side = MonarchConstants.side
  /// Columns of a tile.
  static let columns = 2 * side
  /// Frequencies of a quarter.
  static let width = MonarchTile.width

  private let k: Recorder
  /// Products of rows and of columns; its twiddles are the first quarters'.
  private let tile: MonarchTile
  private let twiddles: [Pair]
  private let turns: [Pair]

  /// Loads the matrices.
  init(_ k: Recorder, _ type: ElementType, from parameters: [TensorParameter]) {
    func pair(_ stack: Int, columns: Int, from column: Int = 0) -> [Tile] {
      (0..<2).map {
        k.load(
          parameters[stack], at: [Index($0), 0, Index(column)], rows: Self.side, columns: columns,
          validRows: Index(Self.side), validColumns: Index(columns))
      }
    }
    let (rows, columns) = (pair(0, columns: Self.side), pair(1, columns: Self.side))
    twiddles = [0, 1].map { half in
      let parts = pair(2, columns: Self.width, from: half * Self.width)
      return Pair(re: parts[0], im: parts[1])
    }
    tile = MonarchTile(
      k: k, type: type, rows: Pair(re: rows[0], im: rows[1]), columns: columns, twiddles: twiddles[0])
    turns = (0..<3).map { j in
      let parts = [j, j + 3].map {
        k.load(
          parameters[3], at: [Index($0), 0], rows: Self.side, columns: 1, rowAxis: 1,
          validRows: Index(Self.side))
      }
      return Pair(re: parts[0], im: parts[1])
    }
    self.k = k
  }

  /// Quarters of the frequency, k₁ − 1/4, of a row.
  private static func quarters(_ row: Int) -> Int { 4 * row - 1 }

  /// e^(−2πi·(k₁ − 1/4)·n/S), n < 32, and, beside, times e^(−2πi·n/128), for the odd columns.
  private static var twiddleMatrix: MonarchMatrix {
    MonarchMatrix(side, side) { row, column in
      let n = column % width
      return MonarchMatrix.turn(
        (quarters(row) + column / width * 4 * side) * n, of: 4 * side * columns)
    }
  }

  /// e^(−2πi·(k₁ − 1/4)·32·j/S) of each row for j = 1, 2, 3.
  private static var turnMatrix: MonarchMatrix {
    MonarchMatrix(3, side) { j, row in
      MonarchMatrix.turn(quarters(row) * (j + 1) * width, of: 4 * side * columns)
    }
  }

  /// Numbers of ``constants(_:)``.
  static var parts: [[Double]] {
    let rows = MonarchConstants(radix: side, isShifted: true).rows
    let (twiddles, turns) = (twiddleMatrix, turnMatrix)
    // The step of two that rows and columns leave is by 1/2.
    return [
      rows.re + rows.im, MonarchConstants.halves.flatMap { $0 },
      (twiddles.re + twiddles.im).map { $0 / 2 }, turns.re + turns.im,
    ]
  }

  /// Matrices of rows, of both halves of 64 columns, and twiddles, `[2, 64, 64]` each, and turns of rows `[6, 64]` in float32.
  static func constants(_ type: ElementType) throws -> [Tensor] {
    let parts = parts
    let size = side * side
    return try parts.dropLast().map { part in
      let halves = [0, 1].map { Array(part[$0 * size..<($0 + 1) * size]) }
      return try MonarchStack.tensor(halves, rows: side, columns: side, type)
    } + [try MonarchStack.tensor([parts[3]], rows: 6, columns: side, .float32).reshaped([6, side])]
  }

  /// The parameters for ``constants(_:)``.
  static func parameters(_ k: Recorder, _ type: ElementType) -> [TensorParameter] {
    ["rows", "columns", "twiddles"].map { k.input($0, type, [2, Index(side), Index(side)]) }
      + [k.input("turns", .float32, [6, Index(side)])]
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

  /// Four columns as left factors of ``spectrum(_:quarter:)``, re beside im, one for each quarter.
  ///
  /// One chain of elementwise steps, so that four columns make room for what comes of them; in an order with few numbers at once.
  func folded(_ x: [Pair]) -> [Tile] {
    let sums = MonarchButterflies(k: k, turns: turns).forth(x)
    let factors = sums.enumerated().map { tile.factor(tile.product($1, twiddles[$0 / 2])) }
    return factors.map { k.beside($0.re, $0.im) }
  }

  /// The spectrum of a quarter in float32: frequencies k₁ + 64·(4·m + 2·h + f) of quarter 2·f + h.
  func spectrum(_ x: Tile, quarter: Int) -> Pair { tile.pair(k.matmul(x, tile.columns[quarter % 2])) }

  // MARK: Back

  /// Columns of a quarter's rounded spectrum back.
  func back(_ x: Pair, quarter: Int) -> Pair { tile.pair(tile.back(x, part: quarter % 2)) }

  /// What came back of all quarters as columns, rounded, for ``real(_:half:)``. One chain, as ``folded(_:)``.
  func joined(_ quarters: [Pair]) -> [Pair] {
    let t = quarters.enumerated().map { tile.product($1, twiddles[$0 / 2], conjugated: true) }
    return MonarchButterflies(k: k, turns: turns).back(t, tile.factor)
  }

  /// Rows of half a tile back, the real part.
  func real(_ x: [Pair], half: Int) -> Tile {
    let (near, far) = (x[2 * half], x[2 * half + 1])
    return tile.real(Pair(re: k.beside(near.re, far.re), im: k.beside(near.im, far.im)))
  }
}
