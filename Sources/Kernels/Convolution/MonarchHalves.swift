internal import Memory
internal import Tiles

/// The transform of one tile of 128 by 64 numbers, forth and back, as its steps are recorded.
///
/// As ``MonarchTile``, but the first step of the columns is made in registers: sums of columns that are 32 apart have the even
/// frequencies, differences the odd ones. Each half is one product by 64 by 64 numbers, re beside im, so columns take half as
/// many operations, and a half's elementwise steps run beside the products of the other.
struct MonarchHalves {
  typealias Pair = MonarchTile.Pair

  /// Frequencies of a half.
  static let width = MonarchConstants.side / 2

  let k: Recorder
  let type: ElementType
  let rows: Pair
  /// ``matrix(_:)`` of each half that is used.
  let columns: [Tile]
  let twiddles: Pair

  /// Half h of e^(−2πi·n₂·k₂/64) / 8, where k₂ = 2m + h and n₂ < 32: re and im of n₂ to re and im of m. Its transpose leads back.
  static func matrix(_ half: Int) -> [Double] {
    let side = MonarchConstants.side
    return (0..<side * side).map { place in
      let (row, column) = (place / side, place % side)
      let turn = MonarchMatrix.turn(row % width * (2 * (column % width) + half), of: side)
      if row / width == column / width { return turn.re / 8 }
      return (row < width ? turn.im : -turn.im) / 8
    }
  }

  /// Rows of a real tile, and twiddles, in float32.
  func turned(_ x: Tile) -> Pair {
    MonarchTile.product(Pair(re: k.matmul(rows.re, x), im: k.matmul(rows.im, x)), twiddles, k)
  }

  /// Columns of what ``turned(_:)`` left, for half 0 or 1: its spectrum in float32.
  func spectrum(_ x: Pair, half: Int) -> Tile { spectrum(x, sign: half == 0 ? 1 : -1, columns[half]) }

  /// Columns of what ``turned(_:)`` left, where the sign of the columns' second half is 1 for even and −1 for odd frequencies:
  /// re and im side by side in float32.
  func spectrum(_ x: Pair, sign: some MapOperand, _ matrix: Tile) -> Tile {
    func folded(_ part: Tile) -> Tile {
      let halves = [0, Self.width].map { k.columns(of: part, from: $0, count: Self.width) }
      return k.cast(k.map(.fma, halves[1], sign, halves[0]), to: type)
    }
    return k.matmul(k.beside(folded(x.re), folded(x.im)), matrix)
  }

  /// Re and im that lie side by side.
  func pair(_ x: Tile) -> Pair {
    Pair(
      re: k.columns(of: x, from: 0, count: Self.width),
      im: k.columns(of: x, from: Self.width, count: Self.width))
  }

  /// Columns of a half of a rounded spectrum back: re and im side by side, for ``returned(_:)``.
  func back(_ x: Pair, half: Int) -> Tile {
    k.matmul(k.beside(x.re, x.im), columns[half], transposesRight: true)
  }

  /// Both halves that came back as columns, and twiddles: a factor for ``real(_:)``.
  func returned(_ halves: [Tile]) -> Pair {
    let sums = pair(k.map(.add, halves[0], halves[1]))
    let differences = pair(k.map(.subtract, halves[0], halves[1]))
    let whole = Pair(re: k.beside(sums.re, differences.re), im: k.beside(sums.im, differences.im))
    let product = MonarchTile.product(whole, twiddles, k, conjugated: true)
    return Pair(re: k.cast(product.re, to: type), im: k.cast(product.im, to: type))
  }

  /// Rows back, the real part.
  func real(_ x: Pair) -> Tile {
    let sum = k.matmul(rows.re, x.re, transposesLeft: true)
    k.matmul(into: sum, rows.im, x.im, transposesLeft: true)
    return sum
  }
}
