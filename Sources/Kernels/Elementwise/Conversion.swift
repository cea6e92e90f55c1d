public import Memory
public import Tiles

/// Numbers in another type or order of memory.
public enum Conversion {
  /// y `[M, N]` of a plain type from x `[M, N]` of any, rounded to nearest.
  ///
  /// Arguments: x, y. Floor: both read or written once over the memory bandwidth.
  public static func kernel(
    columns: Int, from source: ElementType, to target: ElementType
  ) throws(TileError) -> Kernel {
    try Kernel("convert_\(source.rawValue)_\(target.rawValue)") { k in
      let m = k.extent("M")
      let x = k.input("x", source, [m, Index(columns)])
      let y = k.output("y", target, [m, Index(columns)])
      // Whole blocks of every block type.
      let (rows, width) = (4, 256)
      k.grid([m.ceilDiv(Index(rows)), Index(columns).ceilDiv(Index(width))]) { task in
        let place = [task[0] * Index(rows), task[1] * Index(width)]
        k.store(k.load(x, at: place, rows: rows, columns: width, as: .float32), to: y, at: place)
      }
    }
  }
}
