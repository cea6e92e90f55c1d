internal import Memory
internal import Tiles

/// The transform of ``MonarchTile`` for filters and their gradients: factors are sums of two bfloat16 numbers, products are
/// three, and errors 2⁻¹⁶ of a result's norm instead of 2⁻⁸.
struct MonarchPrecise {
  /// A complex tile of factors.
  struct SplitPair {
    var re: MonarchSplit
    var im: MonarchSplit
  }

  typealias Pair = MonarchTile.Pair

  let k: Recorder
  let constants: MonarchConstants
  let valid: Index
  let rows: SplitPair
  let columns: SplitPair
  let columnsNegated: MonarchSplit
  let twiddles: TensorParameter

  /// Matrices in the order in which they are loaded, each as two.
  static func parts(_ constants: MonarchConstants) -> [[Double]] {
    let (rows, columns) = (constants.rows, constants.columns)
    let own = constants.sharesMatrix ? [] : [rows.re, rows.im]
    return (own + [columns.re, columns.im, columns.im.map { -$0 }]).flatMap { MonarchStack.split($0) }
  }

  /// The matrices `[count, 64, 64]` in bfloat16 and the twiddles `[2, 64, 64]` in float32.
  static func tensors(_ constants: MonarchConstants) throws -> [Tensor] {
    let (side, twiddles) = (MonarchConstants.side, constants.twiddles)
    return [
      try MonarchStack.tensor(parts(constants), rows: side, columns: side, .bfloat16),
      try MonarchStack.tensor([twiddles.re, twiddles.im], rows: side, columns: side, .float32),
    ]
  }

  /// The two parameters for ``tensors(_:)``.
  static func parameters(_ k: Recorder, _ constants: MonarchConstants) -> [TensorParameter] {
    let side = Index(MonarchConstants.side)
    let count = constants.sharesMatrix ? 6 : 10
    return [
      k.input("constants", .bfloat16, [Index(count), side, side]),
      k.input("twiddles", .float32, [2, side, side]),
    ]
  }

  /// Loads the matrices.
  init(_ k: Recorder, _ constants: MonarchConstants, from parameters: [TensorParameter], valid: Index) {
    (self.k, self.constants, self.valid, twiddles) = (k, constants, valid, parameters[1])
    let side = MonarchConstants.side
    var next = 0
    func load(_ valid: Index) -> MonarchSplit {
      func part() -> Tile {
        defer { next += 1 }
        return k.load(
          parameters[0], at: [Index(next), 0, 0], rows: side, columns: side, validRows: valid,
          validColumns: valid)
      }
      let high = part()
      return MonarchSplit(high: high, low: part())
    }
    let own = constants.sharesMatrix ? nil : SplitPair(re: load(valid), im: load(valid))
    let whole = Index(side)
    columns = SplitPair(re: load(whole), im: load(whole))
    columnsNegated = load(whole)
    rows = own ?? columns
  }

  private func split(_ x: Pair) -> SplitPair {
    SplitPair(re: MonarchSplit(x.re, k), im: MonarchSplit(x.im, k))
  }

  private func product(
    _ a: MonarchSplit, _ b: MonarchSplit, transposesLeft: Bool = false, transposesRight: Bool = false
  ) -> Tile {
    MonarchSplit.product(a, b, k, transposesLeft: transposesLeft, transposesRight: transposesRight)
  }

  private func add(
    _ a: MonarchSplit, _ b: MonarchSplit, to sum: Tile, transposesLeft: Bool = false,
    transposesRight: Bool = false
  ) {
    MonarchSplit.add(a, b, to: sum, k, transposesLeft: transposesLeft, transposesRight: transposesRight)
  }

  /// Twiddles, by which sums are multiplied; read only now, since registers are scarce.
  private func twiddled(_ a: Pair, conjugated: Bool) -> Pair {
    let side = MonarchConstants.side
    let t = (0..<2).map {
      k.load(twiddles, at: [Index($0), 0, 0], rows: side, columns: side, validRows: valid)
    }
    return MonarchTile.product(a, Pair(re: t[0], im: t[1]), k, conjugated: conjugated)
  }

  /// The spectrum of float32 tiles: a real one, or the parts of a complex one with ``MonarchConstants/sharesMatrix``.
  func spectrum(_ x: [Tile]) -> Pair {
    let inputs = x.map { MonarchSplit($0, k) }
    let turns = constants.sharesMatrix
    let sums = Pair(
      re: product(rows.re, inputs[0], transposesLeft: turns),
      im: product(rows.im, inputs[0], transposesLeft: turns))
    if inputs.count > 1 {
      add(columnsNegated, inputs[1], to: sums.re, transposesLeft: turns)
      add(rows.re, inputs[1], to: sums.im, transposesLeft: turns)
    }
    let begun = split(twiddled(sums, conjugated: false))
    let result = Pair(re: product(begun.re, columns.re), im: product(begun.re, columns.im))
    add(begun.im, columnsNegated, to: result.re)
    add(begun.im, columns.re, to: result.im)
    return result
  }

  /// The real part of the inverse, and, of a complex one, the imaginary part; each goes to `use` as soon as it is there.
  func inverse(_ x: Pair, isComplex: Bool, _ use: (Int, Tile) -> Void) {
    let spectrum = split(x)
    let sums = Pair(
      re: product(spectrum.re, columns.re, transposesRight: true),
      im: product(spectrum.im, columns.re, transposesRight: true))
    add(spectrum.im, columns.im, to: sums.re, transposesRight: true)
    add(spectrum.re, columnsNegated, to: sums.im, transposesRight: true)
    let returned = split(twiddled(sums, conjugated: true))
    let turns = !constants.sharesMatrix
    let real = product(rows.re, returned.re, transposesLeft: turns)
    add(rows.im, returned.im, to: real, transposesLeft: turns)
    use(0, real)
    guard isComplex else { return }
    let imaginary = product(rows.re, returned.im, transposesLeft: turns)
    add(columnsNegated, returned.re, to: imaginary, transposesLeft: turns)
    use(1, imaginary)
  }
}
