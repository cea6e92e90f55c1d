internal import Memory

#if canImport(Glibc)
  internal import Glibc
#endif

/// Matrices of a transform of `radix` · 64 points as products of 64 by 64 tiles, computed in float64 and rounded once.
///
/// Input n = n₁·64 + n₂ lies at row n₁, column n₂; frequency k = k₁ + radix·k₂ comes out at row k₁, in the column that
/// ``frequency(ofColumn:)`` gives k₂, and where rows and columns share a matrix in such a row. A tile of 64
/// rows holds 64/radix channels, so the matrix of the rows is block-diagonal. Where `isShifted`, frequencies are those of the
/// right-angle transform, k − 1/4. Powers of two are spread so that each direction is a rotation up to ``spectrumScale``.
package struct MonarchConstants: Sendable, Hashable {
  /// Rows of a channel: a power of two up to 64.
  package let radix: Int
  /// Whether frequencies are k − 1/4: products of spectra are then convolutions modulo zˢ = i.
  package let isShifted: Bool

  /// Points of a row and rows of a tile.
  package static let side = 64

  /// - Precondition: `radix` is a power of two up to 64.
  package init(radix: Int, isShifted: Bool) {
    precondition((1...64).contains(radix) && radix & (radix - 1) == 0, "\(radix) is no power of two up to 64")
    self.radix = radix
    self.isShifted = isShifted
  }

  /// Points of the transform.
  package var points: Int { radix * Self.side }

  /// 2 to the half of the radix's logarithm, rounded up.
  private var root: Double { Self.root(radix) }

  static func root(_ radix: Int) -> Double {
    var (root, square) = (1.0, 1)
    while square < radix { (root, square) = (2 * root, 4 * square) }
    return root
  }

  /// What spectra of filters are multiplied by, since two rotations by an odd power of two are not 1/S.
  package var spectrumScale: Double { root * root / Double(radix) }

  /// Whether rows and columns are transformed by one matrix and its transpose.
  package var sharesMatrix: Bool { !isShifted && radix == Self.side }

  /// Frequencies times 4 are whole numbers: 4k − 1 or 4k.
  private func quarters(ofRow row: Int) -> Int {
    4 * (sharesMatrix ? Self.frequency(ofColumn: row) : row % radix) - (isShifted ? 1 : 0)
  }

  /// e^(−2πi·(k₁ − shift)·n₁/radix) on the diagonal blocks, over ``root``.
  var rows: MonarchMatrix {
    MonarchMatrix(Self.side, Self.side) { row, column in
      guard row / radix == column / radix else { return (0, 0) }
      let turn = MonarchMatrix.turn(quarters(ofRow: row) * (column % radix), of: 4 * radix)
      return (turn.re / root, turn.im / root)
    }
  }

  /// k₂ of a column of spectra: even frequencies, then odd ones, and of each the even of its numbers first, so that halves and quarters of them
  /// lie beside each other.
  static func frequency(ofColumn column: Int) -> Int {
    let width = side / 4
    return 4 * (column % width) + [0, 2, 1, 3][column / width]
  }

  /// e^(−2πi·k₂·n₂/64) / 8.
  var columns: MonarchMatrix {
    MonarchMatrix(Self.side, Self.side) { row, column in
      let turn = MonarchMatrix.turn(row * Self.frequency(ofColumn: column), of: Self.side)
      return (turn.re / 8, turn.im / 8)
    }
  }

  /// A part of e^(−2πi·n₂·k₂/64) / 8, its columns of spectra and as many n₂ from 0 on: re and im of n₂, as rows, to re and im of k₂. Its
  /// transpose leads back.
  ///
  /// - Parameter parts: into how many spectra are divided, 2 or 4.
  static func columns(part: Int, of parts: Int) -> [Double] {
    let width = side / parts
    return (0..<4 * width * width).map { place in
      let (row, column) = (place / (2 * width), place % (2 * width))
      let turn = MonarchMatrix.turn(
        row % width * frequency(ofColumn: width * part + column % width), of: side)
      if row / width == column / width { return turn.re / 8 }
      return (row < width ? turn.im : -turn.im) / 8
    }
  }

  /// Halves of the columns.
  static var halves: [[Double]] { (0..<2).map { columns(part: $0, of: 2) } }

  /// Quarters of the columns, two beside two.
  static var quarters: [Double] {
    let (parts, width) = ((0..<4).map { columns(part: $0, of: 4) }, side / 2)
    return (0..<side * side).map { place in
      let (row, column) = (place / side, place % side)
      return parts[row / width * 2 + column / width][row % width * width + column % width]
    }
  }

  /// e^(−2πi·(k₁ − shift)·n₂/S) for the tile's own 64 columns.
  var twiddles: MonarchMatrix { twiddles(columns: Self.side) }

  /// e^(−2πi·(k₁ − shift)·m/(radix · columns)), the same for each channel of a tile.
  func twiddles(columns: Int) -> MonarchMatrix {
    MonarchMatrix(Self.side, columns) { row, column in
      MonarchMatrix.turn(quarters(ofRow: row) * column, of: 4 * radix * columns)
    }
  }
}

/// A complex matrix in float64.
struct MonarchMatrix: Sendable {
  let rows: Int
  let columns: Int
  let re: [Double]
  let im: [Double]

  init(_ rows: Int, _ columns: Int, _ element: (Int, Int) -> (re: Double, im: Double)) {
    (self.rows, self.columns) = (rows, columns)
    var re: [Double] = []
    var im: [Double] = []
    re.reserveCapacity(rows * columns)
    im.reserveCapacity(rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        let value = element(row, column)
        re.append(value.re)
        im.append(value.im)
      }
    }
    (self.re, self.im) = (re, im)
  }

  /// e^(−2πi·p/q), with the turns taken off in whole numbers.
  static func turn(_ p: Int, of q: Int) -> (re: Double, im: Double) {
    let angle = -2 * Double.pi * Double((p % q + q) % q) / Double(q)
    return (cos(angle), sin(angle))
  }
}

/// Stacks of matrices as tensors.
enum MonarchStack {
  /// `[count, rows, columns]` in a type of 16 or 32 bits.
  static func tensor(_ parts: [[Double]], rows: Int, columns: Int, _ type: ElementType) throws -> Tensor {
    let tensor = try Tensor(zeros: type, [parts.count, rows, columns])
    let size = rows * columns
    if type == .float32 {
      tensor.withMutableElements(as: Float.self) { span in
        for index in span.indices { span[index] = Float(parts[index / size][index % size]) }
      }
    } else {
      tensor.withMutableElements(as: UInt16.self) { span in
        for index in span.indices {
          let value = Float(parts[index / size][index % size])
          span[index] = type == .float16 ? float16Bits(value) : BFloat16(value).bitPattern
        }
      }
    }
    return tensor
  }

  /// A part rounded to bfloat16, and what that leaves.
  static func split(_ part: [Double]) -> [[Double]] {
    let high = part.map { Double(Float(BFloat16(Float($0)))) }
    return [high, zip(part, high).map { $0 - $1 }]
  }
}
