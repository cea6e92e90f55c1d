package import Memory
package import Tiles

/// Rows of one length as rows of another, multiplied by gates on the way: how lengths that no transform has, and such as bulk
/// copies cannot step by, are brought to one that has, and back.
///
/// Floor: what is read and written over the bandwidth.
package enum MonarchCopy {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// Type of what is read.
    package var source: ElementType
    /// Type of what is written.
    package var target: ElementType
    /// Gates by which rows are multiplied.
    package var gates = 0
    /// Whether a number for each row is added to its first element.
    package var addsFirst = false
    /// Whether every element of the target is written; else what lies beyond the source's end stays.
    package var isOutput = true

    /// A copy as it is.
    package init(from source: ElementType, to target: ElementType) {
      (self.source, self.target) = (source, target)
    }
  }

  /// Arguments: x `[M, N]`, gates as x, where there is one a number for each row `[M]` float32, result `[M, N']`.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel(
      "monarch_copy_\(shape.source.rawValue)_\(shape.target.rawValue)_\(shape.gates)"
        + "\(shape.addsFirst ? "_first" : "")\(shape.isOutput ? "" : "_part")"
    ) { k in
      let (rows, from, to) = (k.extent("M"), k.extent("N"), k.extent("N'"))
      let x = k.input("x", shape.source, [rows, from])
      let gates = (0..<shape.gates).map {
        k.input("gate\($0)", shape.source, [rows, shape.isOutput ? to : from])
      }
      let first = shape.addsFirst ? k.input("first", .float32, [rows]) : nil
      let y =
        shape.isOutput ? k.output("y", shape.target, [rows, to]) : k.update("y", shape.target, [rows, to])
      let (height, width) = (4, 512)
      k.grid([rows.ceilDiv(Index(height)), from.min(to).ceilDiv(Index(width))]) { task in
        let (row, column) = (task[0] * Index(height), task[1] * Index(width))
        func load(_ tensor: TensorParameter) -> Tile {
          k.load(
            tensor, at: [row, column], rows: height, columns: width,
            validColumns: from.min(to) - column, as: .float32)
        }
        var value = gates.reduce(load(x)) { k.map(.multiply, $0, load($1)) }
        if let first {
          let number = k.load(first, at: [row], rows: height, columns: 1, rowAxis: 0)
          value = k.map(
            .selectGreaterEqual, 0.0, MapValue.column(offset: column), k.map(.add, value, number), value)
        }
        k.store(value, to: y, at: [row, column])
      }
    }
  }
}
