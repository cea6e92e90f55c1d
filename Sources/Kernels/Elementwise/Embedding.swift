public import Memory
public import Tiles

/// Rows of a table chosen by number.
public enum Embedding {
  /// y `[M, D]` = table `[V, D]` at the M rows `ids`, widened to float32.
  ///
  /// Arguments: ids `[M]` int32 within 0 ..< V (the caller checks), table, y; with `positions` also places `[M]` int32
  /// and a second table `[P, D]` whose rows are added (learned positions).
  public static func kernel(
    width: Int, table type: ElementType, positions: ElementType? = nil
  ) throws(TileError) -> Kernel {
    try Kernel("embedding_\(type.rawValue)") { k in
      let m = k.extent("M")
      let ids = k.input("ids", .int32, [m])
      let table = k.input("table", type, [k.extent("V"), Index(width)])
      let places = positions.map { _ in k.input("places", .int32, [m]) }
      let second = positions.map { k.input("positions", $0, [k.extent("P"), Index(width)]) }
      let y = k.output("y", .float32, [m, Index(width)])
      k.grid([m]) { task in
        let id = Index.element(tensor: ids.number, at: [task[0]])
        var row = k.load(table, at: [id, 0], rows: 1, columns: width, as: .float32)
        if let places, let second {
          let place = Index.element(tensor: places.number, at: [task[0]])
          row = k.map(.add, row, k.load(second, at: [place, 0], rows: 1, columns: width, as: .float32))
        }
        k.store(row, to: y, at: [task[0], 0])
      }
    }
  }
}
