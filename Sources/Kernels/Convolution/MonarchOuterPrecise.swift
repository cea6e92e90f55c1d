package import Memory
package import Tiles

/// ``MonarchOuter`` for filters, in float32: factors are sums of two bfloat16 numbers, as in ``MonarchSpectrum``.
///
/// One tile of 64 by 64 numbers a task. Floor: 12 bytes a point (16 where complex) over the bandwidth.
package enum MonarchOuterPrecise {
  private static let side = MonarchConstants.side

  /// Matrices `[6, 64, 64]` in bfloat16: re, im and −im, each as two.
  package static func matrices(_ constants: MonarchConstants) throws -> Tensor {
    let rows = constants.rows
    return try MonarchStack.tensor(
      [rows.re, rows.im, rows.im.map { -$0 }].flatMap { MonarchStack.split($0) }, rows: side, columns: side,
      .bfloat16)
  }

  /// Arguments: ``matrices(_:)``, ``MonarchOuter/twiddles(_:columns:)``, filters float32 `[R, M]` (re and im where complex),
  /// results re and im likewise: spectra without the scales that matrices of data have.
  package static func forward(_ constants: MonarchConstants, isComplex: Bool) throws(TileError) -> Kernel {
    try Kernel(
      "monarch_outer_precise_\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")"
    ) { k in
      let (rows, columns) = (k.extent("R"), k.extent("M"))
      let stack = k.input("constants", .bfloat16, [6, Index(side), Index(side)])
      let twiddles = ["twiddles_re", "twiddles_im"].map { k.input($0, .float32, [Index(side), columns]) }
      let inputs = (isComplex ? ["x_re", "x_im"] : ["x"]).map { k.input($0, .float32, [rows, columns]) }
      let outputs = ["y_re", "y_im"].map { k.output($0, .float32, [rows, columns]) }
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      k.grid([rows.ceilDiv(Index(side)), columns / Index(side)], schedule: schedule) { task in
        let (row, column) = (task[0] * Index(side), task[1] * Index(side))
        let valid = (rows - row).min(Index(side))
        func load(_ tensor: TensorParameter, _ at: [Index], _ validColumns: Index) -> Tile {
          k.load(
            tensor, at: at, rows: side, columns: side, validRows: valid, validColumns: validColumns)
        }
        let matrices = (0..<3).map { part in
          (0..<2).map { load(stack, [Index(2 * part + $0), 0, 0], valid) }
        }
        let x = inputs.map { input -> [Tile] in
          let whole = load(input, [row, column], Index(side))
          let high = k.cast(whole, to: .bfloat16)
          return [high, k.cast(k.map(.subtract, whole, high), to: .bfloat16)]
        }
        func sum(_ terms: [(Int, Int)]) -> Tile {
          var sum: Tile?
          for (matrix, input) in terms {
            for (a, b) in [(0, 0), (0, 1), (1, 0)] {
              if let sum {
                k.matmul(into: sum, matrices[matrix][a], x[input][b])
              } else {
                sum = k.matmul(matrices[matrix][a], x[input][b])
              }
            }
          }
          return sum ?? x[0][0]
        }
        let sums = MonarchTile.Pair(
          re: sum(isComplex ? [(0, 0), (2, 1)] : [(0, 0)]),
          im: sum(isComplex ? [(1, 0), (0, 1)] : [(1, 0)]))
        let t = twiddles.map { load($0, [0, column], Index(side)) }
        let y = MonarchTile.product(sums, MonarchTile.Pair(re: t[0], im: t[1]), k)
        let scale = MonarchConstants.root(constants.radix) * constants.spectrumScale
        for (part, output) in zip([y.re, y.im], outputs) {
          k.store(k.map(.multiply, part, scale), to: output, at: [row, column])
        }
      }
    }
  }
}
