public import Memory
public import Tiles

/// Matrices of 16-bit numbers with their axes exchanged, by the matrix units: the product of ones on a diagonal with xᵀ is xᵀ, to the
/// bit.
///
/// On the way through registers alone numbers would have to be exchanged between threads; this way copies into and out of shared
/// memory go in whole lines. Infinities and NaN spread over the 64 numbers of their row's block. Floor: x read and y written once
/// over the memory bandwidth; 64 multiply-adds a number are less.
public struct Turn: Sendable, Hashable {
  /// bfloat16 or float16.
  public var type: ElementType
  /// Columns of x in a task, and ones on the diagonal.
  public static let side = 64
  /// Rows of x in a task.
  private static let length = 128

  /// - Parameter type: bfloat16 or float16.
  public init(type: ElementType) { self.type = type }

  /// Arguments: the ones `[64, 64]`, x `[B, R, C]`, y `[B, C, R]`.
  public func kernel() throws(TileError) -> Kernel {
    try Kernel("turn_\(type.rawValue)") { k in
      let (batch, rows, columns) = (k.extent("B"), k.extent("R"), k.extent("C"))
      let (side, length) = (Self.side, Self.length)
      let ones = k.input("ones", type, [Index(side), Index(side)])
      let x = k.input("x", type, [batch, rows, columns])
      let y = k.output("y", type, [batch, columns, rows])
      let grid = [batch, columns.ceilDiv(Index(side)), rows.ceilDiv(Index(length))]
      k.grid(grid, schedule: Kernel.Schedule(groups: 1, tasksPerCore: 2)) { task in
        let (column, row) = (task[1] * Index(side), task[2] * Index(length))
        let (there, down) = ((columns - column).min(Index(side)), (rows - row).min(Index(length)))
        let sum = k.filled(0, rows: side, columns: length, validRows: there, validColumns: down)
        k.pipeline(
          steps: 1, stages: 2,
          load: { _ in
            [
              k.load(
                ones, at: [0, 0], rows: side, columns: side, validRows: there, validColumns: there),
              k.load(x, at: [task[0], row, column], rows: length, columns: side),
            ]
          },
          compute: { _, tiles in k.matmul(into: sum, tiles[0], tiles[1], transposesRight: true) })
        k.store(sum, to: y, at: [task[0], column, row])
      }
    }
  }
}
