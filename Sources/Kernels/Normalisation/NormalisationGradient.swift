public import Memory
public import Tiles

/// Gradients of a ``Normalisation`` of rows `[M, D]`.
///
/// With x̂ the rows before the weight and h = w · dy: dx = (h − mean(h) − x̂ · mean(h · x̂)) / deviation, without mean(h) for
/// ``Normalisation/rms(epsilon:)``; dw = Σ dy · x̂ and db = Σ dy over rows. x̂ is computed again. Floor: x and dy read, dx
/// written once over the memory bandwidth.
public struct NormalisationGradient: Sendable, Hashable {
  /// What was computed.
  public var norm: Normalisation
  /// Numbers in a row, D.
  public var width: Int
  /// Rows that one task goes through.
  public var length: Int
  /// Type of x and dx: float32, or 16 bits.
  public var input = ElementType.float32
  /// Type of dy, likewise.
  public var gradient = ElementType.float32

  /// Whether dx is added to a gradient that there is already: that of what goes past the norm.
  public var adds = false

  /// Rows that a task has in hand, each with sums of its own, which ``AxisSum`` joins: no row mixes with another.
  public var rows: Int { Normalisation.rows(ofWidth: width) }

  /// Gradients of rows of that width.
  public init(_ norm: Normalisation, width: Int, length: Int = 256) {
    self.norm = norm
    self.width = width
    self.length = length
  }

  /// Arguments: x, weight, dy, where it ``adds`` the gradient so far (as x), then dx `[M, D]` and sums of dw and (layer only) db, `rows` for every
  /// `length` rows, `[P, rows, D]`.
  public func kernel() throws(TileError) -> Kernel {
    let isPlain = input == .float32 && gradient == .float32
    let types = isPlain ? "" : "_\(input.rawValue)_\(gradient.rawValue)"
    return try Kernel("normalisation_gradient_\(norm)_\(width)_\(length)\(types)\(adds ? "_added" : "")") {
      k in
      let (m, d) = (k.extent("M"), Index(width))
      let x = k.input("x", input, [m, d])
      let weight = k.input("weight", .float32, [d])
      let dy = k.input("dy", gradient, [m, d])
      let before = adds ? k.input("before", input, [m, d]) : nil
      let dx = k.output("dx", input, [m, d])
      let parts = m.ceilDiv(Index(length))
      let rows = rows
      let dw = k.output("dw", .float32, [parts, Index(rows), d])
      let isLayer = if case .layer = norm { true } else { false }
      let db = isLayer ? k.output("db", .float32, [parts, Index(rows), d]) : nil
      k.grid([parts]) { task in
        func zeros() -> Tile {
          k.filled(0, rows: rows, columns: width, validRows: Index(rows), validColumns: d)
        }
        let (dwSum, dbSum) = (zeros(), isLayer ? zeros() : nil)
        let scale = k.load(weight, at: [0], columns: width)
        let start = task[0] * Index(length)
        k.loop((m - start).min(Index(length)).ceilDiv(Index(rows))) { step in
          let row = start + step * Index(rows)
          // Rows past the last are zeros and add nothing.
          let input = k.load(x, at: [row, 0], rows: rows, columns: width, as: .float32, paddedAxis: 0)
          let g = k.load(dy, at: [row, 0], rows: rows, columns: width, as: .float32, paddedAxis: 0)
          let (unit, factor) = norm.standardised(input, k)
          k.assign(dwSum, k.map(.fma, g, unit, dwSum))
          if let dbSum { k.assign(dbSum, k.map(.add, g, dbSum)) }
          let h = k.map(.multiply, g, scale)
          let count = Double(width)
          let along = k.map(.divide, k.rowSum(k.map(.multiply, h, unit)), count)
          var rest = k.map(.subtract, h, k.map(.multiply, unit, along))
          if isLayer { rest = k.map(.subtract, rest, k.map(.divide, k.rowSum(h), count)) }
          let change: Tile
          if let before {
            let sum = k.load(before, at: [row, 0], rows: rows, columns: width, as: .float32, paddedAxis: 0)
            change = k.map(.fma, rest, factor, sum)
          } else {
            change = k.map(.multiply, rest, factor)
          }
          k.store(change, to: dx, at: [row, 0])
        }
        k.store(dwSum, to: dw, at: [task[0], 0, 0])
        if let db, let dbSum { k.store(dbSum, to: db, at: [task[0], 0, 0]) }
      }
    }
  }
}

extension Normalisation {
  /// Rows of a tile, a power of two: narrow ones are gone through many at a time.
  static func rows(ofWidth width: Int) -> Int {
    var rows = 64
    while rows > 8, rows * width > 2048 { rows /= 2 }
    return rows
  }

  /// Rows before the weight is applied, and what each row was multiplied by.
  func standardised(_ x: Tile, _ k: Recorder) -> (rows: Tile, factor: Tile) {
    let count = Double(x.columns)
    switch self {
    case .rms(let epsilon):
      let mean = k.map(.divide, k.rowSum(k.map(.multiply, x, x)), count)
      let factor = k.map(.rsqrt, k.map(.add, mean, epsilon))
      return (k.map(.multiply, x, factor), factor)
    case .layer(let epsilon):
      // The variance of centred rows: the difference of squares would cancel for rows far from zero.
      let centred = k.map(.subtract, x, k.map(.divide, k.rowSum(x), count))
      let variance = k.map(.divide, k.rowSum(k.map(.multiply, centred, centred)), count)
      let factor = k.map(.rsqrt, k.map(.add, variance, epsilon))
      return (k.map(.multiply, centred, factor), factor)
    }
  }
}
