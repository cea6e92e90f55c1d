internal import Memory
internal import Tiles

extension Linear.Shape {
  /// Numbers of rows up to which kernels of their own are made; more rows take tiles of 128.
  public static let rowLimits = [8, 16, 32, 64]

  /// Tiles for matrix units that take 64 rows at a time.
  ///
  /// - Parameters:
  ///   - rowLimit: one of ``rowLimits`` for steps of no more rows, `nil` for any.
  ///   - sums: matrices that a task multiplies with the same activations.
  public static func sixteenBit(inputs: Int, outputs: Int, rowLimit: Int?, sums: Int = 1) -> Self {
    var shape = Self(inputs: inputs, outputs: outputs)
    if let rowLimit {
      // Time is that of reading W: 64 outputs a task where 128 would leave some of about 130 cores without one.
      shape.swapsSides = true
      shape.columns = outputs >= 128 * 130 ? 128 : 64
      shape.rows = rowLimit
      shape.stages = sums > 1 ? 6 : 8
      shape.schedule = Kernel.Schedule(groups: shape.columns / 64)
    } else {
      shape.rows = 128
      // Registers hold 128 numbers of sums a thread besides a residual.
      shape.columns = 128
      shape.stages = sums > 1 ? 3 : 5
      shape.schedule = Kernel.Schedule(groups: 2)
    }
    return shape
  }

  /// Rows and columns of a task's sums.
  var tile: (rows: Int, columns: Int) { swapsSides ? (columns, rows) : (rows, columns) }

  /// Axes of y along which they run.
  var axes: (row: Int, column: Int) { swapsSides ? (1, 0) : (0, 1) }
}

extension Linear {
  /// Numbers of a step along the inputs: 128 bytes, as wide as bulk copies and matrix units share a pattern.
  private static let sixteenBitStep = 64

  /// Sums of bfloat16 products, loaded as they are stored so that bulk copies can bring them.
  static func sixteenBitProducts(
    _ k: Recorder, _ x: TensorParameter, _ weights: [TensorParameter], row: Index, column: Index,
    _ shape: Shape
  ) -> [Tile] {
    let validRows = (x.extents[0] - row).min(Index(shape.rows))
    let validColumns = (Index(shape.outputs) - column).min(Index(shape.columns))
    let size = shape.tile
    let sums = weights.map { _ in
      k.filled(
        0, rows: size.rows, columns: size.columns, validRows: shape.swapsSides ? validColumns : validRows,
        validColumns: shape.swapsSides ? validRows : validColumns)
    }
    let step = sixteenBitStep
    k.pipeline(
      steps: Index(shape.inputs).ceilDiv(Index(step)), stages: shape.stages,
      load: { number in
        let at = number * Index(step)
        return [k.load(x, at: [row, at], rows: shape.rows, columns: step)]
          + weights.map { k.load($0, at: [column, at], rows: shape.columns, columns: step) }
      },
      compute: { _, tiles in
        for (sum, w) in zip(sums, tiles.dropFirst()) {
          if shape.swapsSides {
            k.matmul(into: sum, w, tiles[0], transposesRight: true)
          } else {
            k.matmul(into: sum, tiles[0], w, transposesRight: true)
          }
        }
      })
    return sums
  }
}
