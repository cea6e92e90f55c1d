public import Memory
public import Tiles

/// act(g) · h of rows [g, h].
///
/// Floor: rows read and results written once over the memory bandwidth.
public enum GatedHalves {
  /// Columns of a task.
  private static let columns = 256

  /// Arguments: rows float32 `[M, 2N]`, result `[M, N]`.
  public static func kernel(_ activation: Activation, output: ElementType) throws(TileError) -> Kernel {
    try Kernel("gated_halves_\(activation.rawValue)_\(output.rawValue)") { k in
      let (rows, width) = (k.extent("M"), k.extent("N"))
      let x = k.input("x", .float32, [rows, 2 * width])
      let y = k.output("y", output, [rows, width])
      k.grid([rows, width.ceilDiv(Index(columns))], schedule: .early) { task in
        let (row, column) = (task[0], task[1] * Index(columns))
        let valid = (width - column).min(Index(columns))
        let halves = [column, width + column].map {
          k.load(x, at: [row, $0], columns: columns, validColumns: valid)
        }
        k.store(k.map(.multiply, activation.apply(to: halves[0], k), halves[1]), to: y, at: [row, column])
      }
    }
  }
}
