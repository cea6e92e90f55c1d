internal import Memory
internal import Tiles

/// The transform of one tile of numbers in 64 columns, forth and back, as its steps are recorded.
///
/// Forth: rows by a product from the left, twiddles, columns by products from the right. Back: the mirror image with conjugates.
/// The columns' first step is made in registers: sums of columns that are 32 apart have the even frequencies, differences the odd
/// ones. Each half is then one product by 64 by 64 numbers, re beside im: half the operations of a product by the whole matrix,
/// and a half's elementwise steps run beside the products of the other. Where steps are in 16 bits, the second step is made so too: each
/// quarter is a product by 32 by 32 numbers, a quarter of the operations. Fu et al., “FlashFFTConv”, 2023, arXiv:2311.05908; the form
/// in one tile after Spector et al., 2024, arXiv:2410.20399; the right-angle transform after Nussbaumer, 1978.
struct MonarchTile {
  /// A complex tile.
  struct Pair {
    var re: Tile
    var im: Tile
  }

  /// Frequencies of a half.
  static let width = MonarchConstants.side / 2

  let k: Recorder
  let type: ElementType
  let rows: Pair
  /// Transposes of both parts of the rows' matrix, where they are held.
  private let heldBack: Pair?
  /// ``MonarchConstants/columns(part:of:)`` of each part that is used.
  let columns: [Tile]
  /// Parts of the frequencies: two, or four, of which columns' second step is made in registers too.
  let parts: Int
  private(set) var twiddles: Pair
  /// Whether sums of products are kept in the 16 bits that they are rounded to, where those of float32 would take registers and steps.
  private var hasNarrowSums = false
  /// Whether twiddles are over ``rise``.
  private(set) var hasLowTwiddles = false

  /// Matrices of ``MonarchTile``, in the order in which they lie in the stack.
  static func parts(_ constants: MonarchConstants) -> [[Double]] {
    let (rows, twiddles) = (constants.rows, constants.twiddles)
    return [rows.re, rows.im] + MonarchConstants.halves + [twiddles.re, twiddles.im]
      + [MonarchConstants.quarters]
  }

  /// How many there are.
  static let count = 7

  /// Which of the rows' matrices a task holds in registers, of whole tiles alone. As left factors from there they take none of the bandwidth
  /// of shared memory, of which a product of 64 columns asks for as much for its left factor as for its right one.
  enum HeldRows { case none, back, both }

  /// A transform with matrices that are loaded already.
  init(k: Recorder, type: ElementType, rows: Pair, columns: [Tile], twiddles: Pair) {
    (self.k, self.type, self.rows, self.columns, self.twiddles) = (k, type, rows, columns, twiddles)
    (parts, heldBack) = (columns.count, nil)
  }

  /// Loads the matrices.
  ///
  /// - Parameters:
  ///   - valid: rows of the tile that are there.
  ///   - halves: those of the spectrum that are computed.
  ///   - held: matrices for which there are registers.
  init(
    _ k: Recorder, from stack: TensorParameter, valid: Index,
    halves: [Index] = [0, 1], parts: Int = 2, held: HeldRows = .none
  ) {
    (self.k, type, self.parts) = (k, stack.type, parts)
    let side = MonarchConstants.side
    func load(_ part: Index, _ validRows: Index, _ validColumns: Index) -> Tile {
      k.load(
        stack, at: [part, 0, 0], rows: side, columns: side, validRows: validRows, validColumns: validColumns)
    }
    func pair(_ part: Int, _ validColumns: Index) -> Pair {
      Pair(re: load(Index(part), valid, validColumns), im: load(Index(part + 1), valid, validColumns))
    }
    func heldRows(isTransposed: Bool) -> Pair {
      func part(_ number: Index) -> Tile {
        // Converted, which bulk copies cannot do: threads read their own numbers.
        let numbers = k.load(
          stack, at: [number, 0, 0], rows: side, columns: side, rowAxis: isTransposed ? 2 : 1,
          columnAxis: isTransposed ? 1 : 2, validRows: Index(side), validColumns: Index(side), as: .float32)
        return k.cast(numbers, to: stack.type)
      }
      return Pair(re: part(0), im: part(1))
    }
    rows = held == .both ? heldRows(isTransposed: false) : pair(0, valid)
    heldBack = held == .none ? nil : heldRows(isTransposed: true)
    columns =
      parts == 4
      ? (0..<4).map { Self.quarter($0, k, stack, Index(6)) }
      : halves.map { load($0 + 2, Index(side), Index(side)) }
    twiddles = pair(4, Index(side))
  }

  /// The same with sums in 16 bits, if steps of the type are.
  ///
  /// - Parameter keepsTwiddles: whether there are registers for twiddles, which are then over ``rise``.
  func narrowed(keepsTwiddles: Bool = true) -> MonarchTile {
    guard isNarrow else { return self }
    var narrowed = self
    narrowed.hasNarrowSums = true
    narrowed.hasLowTwiddles = keepsTwiddles
    if keepsTwiddles { narrowed.twiddles = Pair(re: lowered(twiddles.re), im: lowered(twiddles.im)) }
    return narrowed
  }

  /// What spectra in 16 bits are divided by before columns are summed, so that they are infinite no sooner than what is made of them.
  static let rise: Float = 4

  /// Whether what columns are multiplied by is brought over ``rise`` only when it is known.
  private var isLoweredLate: Bool { hasNarrowSums && !hasLowTwiddles }

  private func lowered(_ x: Tile) -> Tile { k.map(.multiply, x, 1 / Self.rise, in: type) }

  /// Extents of sequences: `[B, R, 64]`, or, folded, `[B, H, L]`.
  static func extents(_ k: Recorder, _ batch: Index, _ rows: Index, isFolded: Bool) -> [Index] {
    isFolded ? [batch, k.extent("H"), k.extent("L")] : [batch, rows, Index(MonarchConstants.side)]
  }

  /// a · b, or a · conj b, element by element.
  static func product(_ a: Pair, _ b: Pair, _ k: Recorder, conjugated: Bool = false) -> Pair {
    let (rr, ii) = (k.map(.multiply, a.re, b.re), k.map(.multiply, a.im, b.im))
    let (ri, ir) = (k.map(.multiply, a.re, b.im), k.map(.multiply, a.im, b.re))
    return conjugated
      ? Pair(re: k.map(.add, rr, ii), im: k.map(.subtract, ir, ri))
      : Pair(re: k.map(.subtract, rr, ii), im: k.map(.add, ri, ir))
  }

  /// start + a · b, or start + a · conj b, element by element, one chain for each part.
  static func sum(_ start: Pair, _ a: Pair, _ b: Pair, _ k: Recorder, conjugated: Bool = false) -> Pair {
    func chain(_ start: Tile, _ first: (Tile, Tile), _ second: (Tile, Tile), negating: Bool) -> Tile {
      let begun = k.map(.fma, first.0, first.1, start)
      return k.map(.fma, negating ? k.map(.negate, second.0) : second.0, second.1, begun)
    }
    return Pair(
      re: chain(start.re, (a.re, b.re), (a.im, b.im), negating: !conjugated),
      im: chain(start.im, (a.im, b.re), (a.re, b.im), negating: conjugated))
  }

  /// a · b, or a · conj b, element by element.
  func product(_ a: Pair, _ b: Pair, conjugated: Bool = false) -> Pair {
    Self.product(a, b, k, conjugated: conjugated)
  }

  /// Whether twiddles, the columns' first step, gates and spectra of filters are multiplied, and sums of convolutions' products kept, in the
  /// 16 bits of factors where the machine has units for them. bfloat16 has too few bits for that.
  static func isNarrow(_ type: ElementType) -> Bool { type == .float16 }
  private var isNarrow: Bool { Self.isNarrow(type) }
  /// What sums may be kept in.
  private var sumType: ElementType? { hasNarrowSums ? type : nil }

  /// Inputs times their gate, rounded.
  static func gated(_ x: Tile, _ gate: Tile, _ k: Recorder) -> Tile {
    // Of float16 the product is the same in either arithmetic: it has no more bits than float32.
    isNarrow(x.type)
      ? k.map(.multiply, x, gate, in: x.type) : k.cast(k.map(.multiply, x, gate), to: x.type)
  }

  /// Results times their gate; in 16 bits, rounded before too: of float16, a result beyond 65,504 is infinite whatever its gate.
  func gatedResult(_ y: Tile, _ gate: Tile) -> Tile {
    guard isNarrow, gate.type == type else { return k.map(.multiply, y, gate) }
    return k.map(.multiply, rounded(y), gate, in: type)
  }

  /// x · twiddles, rounded or in float32.
  private func twiddled(_ x: Pair) -> Pair {
    Self.product(isNarrow ? factor(x) : x, twiddles, k, in: type)
  }

  /// a · b, or a · conj b, plus `start` where there is one, element by element: all in 16 bits, or in float32, as factors of the type allow.
  static func product(
    _ a: Pair, _ b: Pair, plus start: Pair? = nil, _ k: Recorder, in type: ElementType,
    conjugated: Bool = false
  ) -> Pair {
    guard isNarrow(type) else {
      return start.map { sum($0, a, b, k, conjugated: conjugated) }
        ?? product(a, b, k, conjugated: conjugated)
    }
    func times(_ x: Tile, _ y: Tile, _ start: Tile?) -> Tile {
      start.map { k.map(.fma, x, y, $0, in: type) } ?? k.map(.multiply, x, y, in: type)
    }
    func negated(_ x: Tile, _ isNegated: Bool) -> Tile { isNegated ? k.map(.negate, x, in: type) : x }
    return Pair(
      re: k.map(.fma, negated(a.im, !conjugated), b.im, times(a.re, b.re, start?.re), in: type),
      im: k.map(.fma, negated(a.re, conjugated), b.im, times(a.im, b.re, start?.im), in: type))
  }

  private func rounded(_ x: Tile) -> Tile { x.type == type ? x : k.cast(x, to: type) }

  /// Rounded, as a factor of products.
  func factor(_ a: Pair) -> Pair { Pair(re: k.cast(a.re, to: type), im: k.cast(a.im, to: type)) }

  /// Rows of a real tile, and twiddles.
  func turned(_ x: Tile) -> Pair {
    let sums = Pair(re: k.matmul(rows.re, x, in: sumType), im: k.matmul(rows.im, x, in: sumType))
    return twiddled(sums)
  }

  /// Rows of a complex tile, and twiddles.
  func turned(_ x: Pair) -> Pair {
    let sums = Pair(re: k.matmul(rows.re, x.re, in: sumType), im: k.matmul(rows.im, x.re, in: sumType))
    k.matmul(into: sums.re, rows.im, x.im, subtracting: true, in: sumType)
    k.matmul(into: sums.im, rows.re, x.im, in: sumType)
    return twiddled(sums)
  }

  /// Quarter of ``MonarchConstants/quarters``.
  static func quarter(_ number: Int, _ k: Recorder, _ stack: TensorParameter, _ part: Index) -> Tile {
    k.load(
      stack, at: [part, Index(number / 2 * width), Index(number % 2 * width)], rows: width, columns: width,
      validRows: Index(width), validColumns: Index(width))
  }

  /// Columns of what `turned` left: spectra of all parts, re and im side by side, for ``pair(_:)``.
  func spectra(_ x: Pair) -> [Tile] {
    if parts == 2 { return (0..<2).map { spectrum(x, half: $0) } }
    let sums = Self.quarters(x, k) { k.map($0, $1, $2, in: type) }
    precondition(hasNarrowSums && hasLowTwiddles, "quarters have steps and sums in 16 bits, and low twiddles")
    return sums.enumerated().map { k.matmul(k.beside($1.re, $1.im), columns[$0], in: sumType) }
  }

  /// Columns' first two steps: of columns that are 16 apart, sums that have a quarter of the frequencies each, in the order of
  /// ``MonarchConstants/frequency(ofColumn:)``.
  static func quarters(
    _ x: Pair, _ k: Recorder, _ fold: (MapFunction, Tile, Tile) -> Tile
  ) -> [Pair] {
    let width = MonarchConstants.side / 4
    func first(_ function: MapFunction, _ part: Tile) -> [Tile] {
      // Columns that are 32 apart, 0 to 15 and 16 to 31 of them.
      (0..<2).map { at in
        let both = [0, 2].map { k.columns(of: part, from: ($0 + at) * width, count: width) }
        return fold(function, both[0], both[1])
      }
    }
    let even = (re: first(.add, x.re), im: first(.add, x.im))
    let odd = (re: first(.subtract, x.re), im: first(.subtract, x.im))
    return [
      Pair(re: fold(.add, even.re[0], even.re[1]), im: fold(.add, even.im[0], even.im[1])),
      Pair(re: fold(.subtract, even.re[0], even.re[1]), im: fold(.subtract, even.im[0], even.im[1])),
      // Less i times the second, and plus that.
      Pair(re: fold(.add, odd.re[0], odd.im[1]), im: fold(.subtract, odd.im[0], odd.re[1])),
      Pair(re: fold(.subtract, odd.re[0], odd.im[1]), im: fold(.add, odd.im[0], odd.re[1])),
    ]
  }

  /// Columns of what `turned` left, for half 0 or 1: its spectrum, re and im side by side, for ``pair(_:)``.
  func spectrum(_ x: Pair, half: Int) -> Tile { spectrum(x, sign: half == 0 ? 1 : -1, columns[half]) }

  /// The same for a half that is known only to tasks: the sign is 1 for even and −1 for odd frequencies.
  func spectrum(_ x: Pair, sign: some MapOperand, _ matrix: Tile) -> Tile {
    func folded(_ part: Tile) -> Tile {
      let halves = [0, Self.width].map { k.columns(of: part, from: $0, count: Self.width) }
      if isNarrow, case .constant(let sign) = sign.mapValue {
        let sum = k.map(sign > 0 ? .add : .subtract, halves[0], halves[1], in: type)
        return isLoweredLate ? lowered(sum) : sum
      }
      return k.cast(k.map(.fma, halves[1], sign, halves[0]), to: type)
    }
    return k.matmul(k.beside(folded(x.re), folded(x.im)), matrix, in: sumType)
  }

  /// Re and im of a spectrum, in float32 or, where sums are in 16 bits, in those and over ``rise``.
  func pair(_ spectrum: Tile) -> Pair {
    sides(hasNarrowSums ? rounded(spectrum) : spectrum)
  }

  /// Re and im that lie side by side.
  private func sides(_ x: Tile) -> Pair {
    let width = x.columns / 2
    return Pair(
      re: k.columns(of: x, from: 0, count: width), im: k.columns(of: x, from: width, count: width))
  }

  /// Columns of a part of a rounded spectrum back: re and im side by side, for ``returned(_:by:)``.
  func back(_ x: Pair, part: Int) -> Tile {
    k.matmul(k.beside(x.re, x.im), columns[part], transposesRight: true, in: sumType)
  }

  /// Sums and differences of what came back of quarters: columns.
  private func joined(_ quarters: [Tile]) -> Pair {
    func both(_ a: Int, _ b: Int, _ function: MapFunction) -> Pair {
      sides(k.map(function, quarters[a], quarters[b], in: type))
    }
    func fold(_ function: MapFunction, _ a: Tile, _ b: Tile) -> Tile { k.map(function, a, b, in: type) }
    let (e, f) = (both(0, 1, .add), both(0, 1, .subtract))
    let (g, h) = (both(2, 3, .add), both(2, 3, .subtract))
    let re = [
      fold(.add, e.re, g.re), fold(.subtract, f.re, h.im), fold(.subtract, e.re, g.re),
      fold(.add, f.re, h.im),
    ]
    let im = [
      fold(.add, e.im, g.im), fold(.add, f.im, h.re), fold(.subtract, e.im, g.im),
      fold(.subtract, f.im, h.re),
    ]
    func beside(_ x: [Tile]) -> Tile { k.beside(k.beside(x[0], x[1]), k.beside(x[2], x[3])) }
    return Pair(re: beside(re), im: beside(im))
  }

  /// All parts that came back as columns, and twiddles: a factor for ``real(_:isScaled:times:)`` and ``imaginary(_:isScaled:)``.
  ///
  /// - Parameter scaled: twiddles times what each row was divided by; `nil` for the tile's own.
  func returned(_ halves: [Tile], by scaled: Pair? = nil) -> Pair {
    let backs = hasNarrowSums ? halves.map(rounded) : halves
    if parts == 4 {
      return Self.product(joined(backs), scaled ?? twiddles, k, in: type, conjugated: true)
    }
    func both(_ function: MapFunction) -> Pair {
      sides(
        hasNarrowSums
          ? k.map(function, backs[0], backs[1], in: type) : k.map(function, backs[0], backs[1]))
    }
    let (sums, differences) = (both(.add), both(.subtract))
    let whole = Pair(re: k.beside(sums.re, differences.re), im: k.beside(sums.im, differences.im))
    guard isNarrow else { return factor(product(whole, twiddles, conjugated: true)) }
    let factor = Pair(re: rounded(whole.re), im: rounded(whole.im))
    return Self.product(factor, scaled ?? twiddles, k, in: type, conjugated: true)
  }

  /// Rows back, the real part.
  ///
  /// - Parameters:
  ///   - isScaled: whether columns came back by twiddles that are whole.
  ///   - scale: what the result is multiplied by, ``rise`` included.
  func real(_ x: Pair, isScaled: Bool = false, times scale: Tile? = nil) -> Tile {
    let sum = rowsBack(\.re, x.re)
    rowsBack(\.im, x.im, into: sum)
    if let scale { return k.map(.multiply, rounded(sum), scale, in: type) }
    return result(sum, isScaled: isScaled)
  }

  private func result(_ sum: Tile, isScaled: Bool) -> Tile {
    guard hasNarrowSums else { return sum }
    precondition(isScaled || hasLowTwiddles, "results by whole twiddles have a scale")
    return isScaled ? rounded(sum) : k.map(.multiply, rounded(sum), Self.rise, in: type)
  }

  /// Rows back, the imaginary part; only of complex tiles.
  func imaginary(_ x: Pair, isScaled: Bool = false) -> Tile {
    let sum = rowsBack(\.re, x.im)
    rowsBack(\.im, x.re, into: sum, subtracting: true)
    return result(sum, isScaled: isScaled)
  }

  /// The transpose of a part of the rows' matrix times x.
  private func rowsBack(_ part: KeyPath<Pair, Tile>, _ x: Tile) -> Tile {
    k.matmul((heldBack ?? rows)[keyPath: part], x, transposesLeft: heldBack == nil, in: sumType)
  }

  /// The same, added to a sum.
  private func rowsBack(
    _ part: KeyPath<Pair, Tile>, _ x: Tile, into sum: Tile, subtracting: Bool = false
  ) {
    k.matmul(
      into: sum, (heldBack ?? rows)[keyPath: part], x, transposesLeft: heldBack == nil,
      subtracting: subtracting, in: sumType)
  }
}
