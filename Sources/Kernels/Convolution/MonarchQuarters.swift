internal import Memory
internal import Tiles

/// The transform of 64 or 128 rows of 128 columns, 8,192 or 16,384 numbers, forth and back, as its steps are recorded.
///
/// As ``MonarchTile``, but columns halve twice in registers: of four columns that are 32 apart, which one thread holds, four sums
/// have the frequencies of a quarter each: 1,024 operations a number with 64 rows, where 128 rows of 64 columns take 1,536. The
/// quarter step between columns that are 32 apart is a factor of each row, so that twiddles are those of 32 columns. Columns are
/// halves of 64, so that what is staged of one lies where the other did.
struct MonarchQuarters {
  typealias Pair = MonarchTile.Pair

  /// Columns of half a tile.
  static let side = MonarchConstants.side
  /// Columns of a tile.
  static let columns = 2 * side
  /// Frequencies of a quarter.
  static let width = MonarchTile.width

  let k: Recorder
  let height: Int
  /// Products of rows and of columns; its twiddles are the first quarters'.
  private let tile: MonarchTile
  private let twiddles: [Pair]
  private let turns: [Pair]

  /// Loads the matrices.
  init(_ k: Recorder, _ type: ElementType, height: Int, from parameters: [TensorParameter]) {
    func pair(_ stack: Int, columns: Int, rows: Int, from column: Int = 0) -> [Tile] {
      (0..<2).map {
        k.load(
          parameters[stack], at: [Index($0), 0, Index(column)], rows: rows, columns: columns,
          validRows: Index(rows), validColumns: Index(columns))
      }
    }
    let rows = pair(0, columns: height, rows: height)
    let columns = pair(1, columns: Self.side, rows: Self.side)
    twiddles = [0, 1].map { half in
      let parts = pair(2, columns: Self.width, rows: height, from: half * Self.width)
      return Pair(re: parts[0], im: parts[1])
    }
    tile = MonarchTile(
      k: k, type: type, rows: Pair(re: rows[0], im: rows[1]), columns: columns, twiddles: twiddles[0])
    // Of 128 rows there are registers for two; the third is their product.
    turns = (0..<(height > Self.side ? 2 : 3)).map { j in
      let parts = [j, j + 3].map {
        k.load(
          parameters[3], at: [Index($0), 0], rows: height, columns: 1, rowAxis: 1, validRows: Index(height))
      }
      return Pair(re: parts[0], im: parts[1])
    }
    (self.k, self.height) = (k, height)
  }

  /// Quarters of the frequency, k₁ − 1/4, of a row.
  private static func quarters(_ row: Int) -> Int { 4 * row - 1 }

  /// What spectra of filters are multiplied by, since two rotations by 1/128 are not 1/S.
  static func spectrumScale(height: Int) -> Double { Double(columns * columns / (height * columns)) }

  /// e^(−2πi·(k₁ − 1/4)·n₁/height), over the power of two that is nearest to a rotation.
  static func rows(height: Int) -> MonarchMatrix {
    MonarchMatrix(height, height) { row, column in
      let turn = MonarchMatrix.turn(quarters(row) * column, of: 4 * height)
      return (turn.re / MonarchConstants.root(height), turn.im / MonarchConstants.root(height))
    }
  }

  /// e^(−2πi·(k₁ − 1/4)·n/S), n < 32, and, beside, times e^(−2πi·n/128), for the odd columns.
  static func twiddles(height: Int) -> MonarchMatrix {
    MonarchMatrix(height, side) { row, column in
      let n = column % width
      return MonarchMatrix.turn(
        (quarters(row) + column / width * 4 * height) * n, of: 4 * height * columns)
    }
  }

  /// e^(−2πi·(k₁ − 1/4)·32·j/S) of each row for j = 1, 2, 3.
  static func turns(height: Int) -> MonarchMatrix {
    MonarchMatrix(3, height) { j, row in
      MonarchMatrix.turn(quarters(row) * (j + 1) * width, of: 4 * height * columns)
    }
  }

  /// Numbers of ``constants(_:height:)``.
  static func parts(height: Int) -> [[Double]] {
    let (rows, twiddles, turns) = (rows(height: height), twiddles(height: height), turns(height: height))
    // All steps of one direction together by 1/128.
    let scale = MonarchConstants.root(height) * MonarchConstants.root(side) / Double(columns)
    return [
      rows.re + rows.im, [0, 1].flatMap(MonarchConstants.columns(half:)),
      (twiddles.re + twiddles.im).map { $0 * scale }, turns.re + turns.im,
    ]
  }

  /// Matrices of rows `[2, height, height]` and of both halves of 64 columns `[2, 64, 64]`, twiddles `[2, height, 64]`, and
  /// turns of rows `[6, height]` in float32.
  static func constants(_ type: ElementType, height: Int) throws -> [Tensor] {
    let parts = parts(height: height)
    func stack(_ number: Int, rows: Int, columns: Int, _ type: ElementType) throws -> Tensor {
      let size = rows * columns
      let matrices = stride(from: 0, to: parts[number].count, by: size).map {
        Array(parts[number][$0..<$0 + size])
      }
      return try MonarchStack.tensor(matrices, rows: rows, columns: columns, type)
    }
    return [
      try stack(0, rows: height, columns: height, type), try stack(1, rows: side, columns: side, type),
      try stack(2, rows: height, columns: side, type),
      try stack(3, rows: 6, columns: height, .float32).reshaped([6, height]),
    ]
  }

  /// The parameters for ``constants(_:height:)``.
  static func parameters(_ k: Recorder, _ type: ElementType, height: Int) -> [TensorParameter] {
    let (height, side) = (Index(height), Index(side))
    return [
      k.input("rows", type, [2, height, height]), k.input("columns", type, [2, side, side]),
      k.input("twiddles", type, [2, height, side]), k.input("turns", .float32, [6, height]),
    ]
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

  /// The spectrum of a quarter in float32: frequencies k₁ + height·(4·m + 2·h + f) of quarter 2·f + h.
  func spectrum(_ x: Tile, quarter: Int) -> Pair { tile.pair(k.matmul(x, tile.columns[quarter % 2])) }

  // MARK: Back

  /// Columns of a quarter's rounded spectrum back.
  func back(_ x: Pair, quarter: Int) -> Pair { tile.pair(tile.back(x, half: quarter % 2)) }

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
