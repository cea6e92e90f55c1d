internal import Memory
internal import Tiles

/// The transform of one tile of 64 by 64 numbers, forth and back, as its steps are recorded.
///
/// Forth: rows by a product from the left, twiddles, columns by a product from the right. Back: the mirror image with
/// conjugates. Fu et al., “FlashFFTConv”, 2023, arXiv:2311.05908; the form in one tile after Spector et al., 2024,
/// arXiv:2410.20399; the right-angle transform after Nussbaumer, 1978.
struct MonarchTile {
  /// A complex tile.
  struct Pair {
    var re: Tile
    var im: Tile
  }

  let k: Recorder
  let type: ElementType
  let rows: Pair
  /// The matrix of the columns, or some of its columns.
  let columns: Pair
  let twiddles: Pair

  /// Matrices of ``MonarchTile``, in the order in which they lie in the stack.
  static func parts(_ constants: MonarchConstants) -> [[Double]] {
    let (rows, columns, twiddles) = (constants.rows, constants.columns, constants.twiddles)
    let own = constants.sharesMatrix ? [] : [rows.re, rows.im]
    return own + [columns.re, columns.im, twiddles.re, twiddles.im]
  }

  /// How many there are.
  static func count(_ constants: MonarchConstants) -> Int { constants.sharesMatrix ? 4 : 6 }

  /// Loads the matrices.
  ///
  /// - Parameters:
  ///   - valid: rows of the tile that are there.
  ///   - width: columns of the spectrum that are computed.
  ///   - column: the first of them.
  init(
    _ k: Recorder, _ constants: MonarchConstants, from stack: TensorParameter, valid: Index,
    width: Int = MonarchConstants.side, column: Index = 0
  ) {
    (self.k, type) = (k, stack.type)
    let side = MonarchConstants.side
    func load(_ part: Int, _ validRows: Index, _ validColumns: Index) -> Tile {
      k.load(
        stack, at: [Index(part), 0, 0], rows: side, columns: side, validRows: validRows,
        validColumns: validColumns)
    }
    func loadColumns(_ part: Int) -> Tile {
      k.load(
        stack, at: [Index(part), 0, column], rows: side, columns: width, validRows: Index(side),
        validColumns: Index(width))
    }
    let first = constants.sharesMatrix ? 0 : 2
    columns = Pair(re: loadColumns(first), im: loadColumns(first + 1))
    if constants.sharesMatrix, width == side {
      rows = columns
    } else {
      rows = Pair(re: load(0, valid, valid), im: load(1, valid, valid))
    }
    twiddles = Pair(re: load(first + 2, valid, Index(side)), im: load(first + 3, valid, Index(side)))
  }

  /// a · b, or a · conj b, element by element.
  static func product(_ a: Pair, _ b: Pair, _ k: Recorder, conjugated: Bool = false) -> Pair {
    let (rr, ii) = (k.map(.multiply, a.re, b.re), k.map(.multiply, a.im, b.im))
    let (ri, ir) = (k.map(.multiply, a.re, b.im), k.map(.multiply, a.im, b.re))
    return conjugated
      ? Pair(re: k.map(.add, rr, ii), im: k.map(.subtract, ir, ri))
      : Pair(re: k.map(.subtract, rr, ii), im: k.map(.add, ri, ir))
  }

  /// a · b, or a · conj b, element by element.
  func product(_ a: Pair, _ b: Pair, conjugated: Bool = false) -> Pair {
    Self.product(a, b, k, conjugated: conjugated)
  }

  /// Rounded, as a factor of products.
  func factor(_ a: Pair) -> Pair { Pair(re: k.cast(a.re, to: type), im: k.cast(a.im, to: type)) }

  /// Rows of a real tile, and twiddles: a factor.
  func begun(_ x: Tile) -> Pair {
    twiddled(Pair(re: k.matmul(rows.re, x), im: k.matmul(rows.im, x)))
  }

  private func twiddled(_ sums: Pair) -> Pair { factor(product(sums, twiddles)) }

  /// Rows of a complex tile, and twiddles: a factor.
  func begun(_ x: Pair) -> Pair {
    let sums = Pair(re: k.matmul(rows.re, x.re), im: k.matmul(rows.im, x.re))
    k.matmul(into: sums.re, rows.im, x.im, subtracting: true)
    k.matmul(into: sums.im, rows.re, x.im)
    return twiddled(sums)
  }

  /// Columns of what ``begun(_:)-(Tile)`` left: the spectrum in float32.
  func spectrum(_ begun: Pair) -> Pair {
    // The second sum's registers are wanted only when the imaginary part is packed.
    let re = k.matmul(begun.re, columns.re)
    k.matmul(into: re, begun.im, columns.im, subtracting: true)
    let im = k.matmul(begun.re, columns.im)
    k.matmul(into: im, begun.im, columns.re)
    return Pair(re: re, im: im)
  }

  /// Columns of a rounded spectrum back, and twiddles: a factor for ``real(_:)`` and ``imaginary(_:)``.
  func returned(_ spectrum: Pair) -> Pair {
    let sums = Pair(re: k.matmul(spectrum.re, columns.re), im: k.matmul(spectrum.im, columns.re))
    k.matmul(into: sums.re, spectrum.im, columns.im)
    k.matmul(into: sums.im, spectrum.re, columns.im, subtracting: true)
    return factor(product(sums, twiddles, conjugated: true))
  }

  /// Rows back, the real part.
  func real(_ x: Pair) -> Tile {
    let sum = k.matmul(rows.re, x.re, transposesLeft: true)
    k.matmul(into: sum, rows.im, x.im, transposesLeft: true)
    return sum
  }

  /// Rows back, the imaginary part; only of complex tiles.
  func imaginary(_ x: Pair) -> Tile {
    let sum = k.matmul(rows.re, x.im, transposesLeft: true)
    k.matmul(into: sum, rows.im, x.re, transposesLeft: true, subtracting: true)
    return sum
  }
}
