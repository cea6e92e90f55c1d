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
      let rows = Rows(k, width: width, table: type, positions: positions)
      let y = k.output("y", .float32, [rows.count, Index(width)])
      k.grid([rows.count]) { task in k.store(rows.load(k, task[0]), to: y, at: [task[0], 0]) }
    }
  }

  /// The same, and the rows normalised: what a network's first layer takes.
  ///
  /// Arguments: as before, with weight and (layer only) bias of the norm, float32 `[D]`, in front of y; then z `[M, D]` of type `output`.
  public static func normalised(
    width: Int, table type: ElementType, positions: ElementType? = nil, by norm: Normalisation,
    output: ElementType
  ) throws(TileError) -> Kernel {
    try Kernel("embedding_\(type.rawValue)_\(norm)_\(output.rawValue)") { k in
      let rows = Rows(k, width: width, table: type, positions: positions)
      let weight = k.input("weight", .float32, [Index(width)])
      let shift: TensorParameter? =
        if case .layer = norm { k.input("shift", .float32, [Index(width)]) } else { nil }
      let y = k.output("y", .float32, [rows.count, Index(width)])
      let z = k.output("z", output, [rows.count, Index(width)])
      var schedule = Kernel.Schedule.early
      schedule.prefetched = Set(([shift].compactMap { $0 } + [weight]).map(\.number))
      k.grid([rows.count], schedule: schedule) { task in
        func vector(_ tensor: TensorParameter) -> Tile { k.load(tensor, at: [0], columns: width) }
        let known = (weight: vector(weight), shift: shift.map(vector))
        let row = rows.load(k, task[0])
        k.store(row, to: y, at: [task[0], 0])
        k.store(norm.apply(to: row, weight: known.weight, bias: known.shift, k), to: z, at: [task[0], 0])
      }
    }
  }

  /// The tables, and which of their rows are wanted.
  private struct Rows {
    /// M.
    let count: Index
    private let width: Int
    private let tables: [(ids: TensorParameter, table: TensorParameter)]

    init(_ k: Recorder, width: Int, table type: ElementType, positions: ElementType?) {
      self.width = width
      let m = k.extent("M")
      count = m
      func table(_ ids: String, _ name: String, _ extent: String, _ type: ElementType) -> (
        ids: TensorParameter, table: TensorParameter
      ) {
        (k.input(ids, .int32, [m]), k.input(name, type, [k.extent(extent), Index(width)]))
      }
      tables =
        [table("ids", "table", "V", type)] + (positions.map { [table("places", "positions", "P", $0)] } ?? [])
    }

    /// The sum of what the tables have for a number, float32.
    func load(_ k: Recorder, _ number: Index) -> Tile {
      let rows = tables.map { tables in
        let id = Index.element(tensor: tables.ids.number, at: [number])
        return k.load(tables.table, at: [id, 0], rows: 1, columns: width, as: .float32)
      }
      return rows.dropFirst().reduce(rows[0]) { k.map(.add, $0, $1) }
    }
  }
}
