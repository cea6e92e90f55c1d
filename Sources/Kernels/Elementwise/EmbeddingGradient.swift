internal import Memory
public import Tiles

/// Gradient of an ``Embedding``'s table: for each number the sum of the rows where it stood, in order of place.
///
/// Floor: the rows read and the table written once over the memory bandwidth.
public enum EmbeddingGradient {
  /// Arguments: places `[M]` int32, sorted by the number that stands there; first of each number's places `[V + 1]` int32;
  /// dy `[M, D]`; gradient of the table `[V, D]`.
  ///
  /// - Parameter columns: of a tile, any number.
  public static func kernel(columns: Int) throws(TileError) -> Kernel {
    try Kernel("embedding_gradient_\(columns)") { k in
      let (m, v, d, ends) = (k.extent("M"), k.extent("V"), k.extent("D"), k.extent("ends"))
      let places = k.input("places", .int32, [m])
      let starts = k.input("starts", .int32, [ends])
      let dy = k.input("dy", .float32, [m, d])
      let table = k.output("table", .float32, [v, d])
      k.grid([v, d.ceilDiv(Index(columns))]) { task in
        let column = task[1] * Index(columns)
        let first = Index.element(tensor: starts.number, at: [task[0]])
        let end = Index.element(tensor: starts.number, at: [task[0] + 1])
        let sum = k.filled(
          0, rows: 1, columns: columns, validRows: 1, validColumns: (d - column).min(Index(columns)))
        k.loop(end - first) { step in
          let row = Index.element(tensor: places.number, at: [first + step])
          k.assign(sum, k.map(.add, sum, k.load(dy, at: [row, column], columns: columns)))
        }
        k.store(sum, to: table, at: [task[0], column])
      }
    }
  }

  /// Sums of frequent numbers from sums of pieces of their places, which ``kernel(columns:)`` gave, into the table.
  ///
  /// Arguments: first of each number's pieces, and the end, `[F + 1]` int32; the numbers `[F]` int32, or −1 where there is none; sums of
  /// pieces `[P, D]`; gradient of the table `[V, D]`, of which these rows are written.
  ///
  /// - Parameter columns: of a tile, any number.
  public static func frequent(columns: Int) throws(TileError) -> Kernel {
    try Kernel("embedding_gradient_frequent_\(columns)") { k in
      let (p, v, d, f) = (k.extent("P"), k.extent("V"), k.extent("D"), k.extent("F"))
      let starts = k.input("starts", .int32, [k.extent("ends")])
      let numbers = k.input("numbers", .int32, [f])
      let parts = k.input("parts", .float32, [p, d])
      let table = k.update("table", .float32, [v, d])
      k.grid([f, d.ceilDiv(Index(columns))]) { task in
        let column = task[1] * Index(columns)
        let number = Index.element(tensor: numbers.number, at: [task[0]])
        let first = Index.element(tensor: starts.number, at: [task[0]])
        let end = Index.element(tensor: starts.number, at: [task[0] + 1])
        let sum = k.filled(
          0, rows: 1, columns: columns, validRows: 1, validColumns: (d - column).min(Index(columns)))
        k.loop(end - first) { step in
          k.assign(sum, k.map(.add, sum, k.load(parts, at: [first + step, column], columns: columns)))
        }
        k.when(-1, lessThan: number) { k.store(sum, to: table, at: [number, column]) }
      }
    }
  }
}
