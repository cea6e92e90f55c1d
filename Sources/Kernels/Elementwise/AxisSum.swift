public import Memory
public import Tiles

/// Sums along one axis of an array, or of its squares, in float32 and in a fixed order.
///
/// Floor: the array read once over the memory bandwidth.
public enum AxisSum: Sendable, Hashable {
  /// `[outer, R, inner]` → `[splits, outer, inner]`, sums of up to `length` numbers of the middle axis each, so that long
  /// axes keep many tasks busy; summed again where there is more than one. With one row a task adds row after row in
  /// registers, as GPUs like it; with more they are added up by a product.
  case middle(rows: Int, columns: Int, length: Int)
  /// `[outer, R]` → `[outer]`.
  case last(rows: Int, columns: Int)
  /// As `last`, of squares.
  case lastSquared(rows: Int, columns: Int)

  /// Rows of which a task that has one at a time asks for so many together.
  private static let several = 8

  private var squares: Bool { if case .lastSquared = self { true } else { false } }

  /// Arguments: the array, its sums.
  public func kernel(_ type: ElementType = .float32) throws(TileError) -> Kernel {
    let variant = type == .float32 ? "" : "_\(type.rawValue)"
    switch self {
    case .middle(let rows, let columns, let length):
      return try Kernel("sum_middle_\(rows)x\(columns)_\(length)\(variant)") { k in
        let (outer, count, inner) = (k.extent("outer"), k.extent("R"), k.extent("inner"))
        let x = k.input("x", type, [outer, count, inner])
        let y = k.output("y", .float32, [count.ceilDiv(Index(length)), outer, inner])
        k.grid([count.ceilDiv(Index(length)), outer, inner.ceilDiv(Index(columns))]) { task in
          let (start, column) = (task[0] * Index(length), task[2] * Index(columns))
          guard rows > 1 else {
            let total = k.filled(
              0, rows: 1, columns: columns, validRows: 1, validColumns: (inner - column).min(Index(columns)))
            let rows = (count - start).min(Index(length))
            func add(_ row: Index, _ several: Int) {
              // Asked for together: a task waits for several rows as long as for one.
              let loaded = (0..<several).map { next in
                k.load(x, at: [task[1], start + row + Index(next), column], columns: columns, as: .float32)
              }
              for row in loaded { k.assign(total, k.map(.add, total, row)) }
            }
            let several = Index(Self.several)
            k.loop(rows / several) { step in add(step * several, Self.several) }
            k.loop(rows % several) { step in add(rows / several * several + step, 1) }
            return k.store(total, to: y, at: [task[0], task[1], column])
          }
          let valid = (inner - column).min(Index(columns))
          let total = k.filled(0, rows: rows, columns: columns, validRows: Index(rows), validColumns: valid)
          let steps = (count - start).min(Index(length)).ceilDiv(Index(rows))
          k.pipeline(
            steps: steps, stages: 2,
            load: { step in
              // Zeros stand in for rows past the last.
              [
                k.load(
                  x, at: [task[1], start + step * Index(rows), column], rows: rows, columns: columns,
                  as: .float32,
                  paddedAxis: 1)
              ]
            }, compute: { _, tiles in k.assign(total, k.map(.add, total, tiles[0])) })
          let ones = k.filled(1, rows: rows, columns: 1, validRows: Index(rows), validColumns: 1)
          let sum = k.matmul(ones, total, transposesLeft: true)
          k.store(sum, to: y, at: [task[0], task[1], column], rowAxis: 1, columnAxis: 2)
        }
      }
    case .last(let rows, let columns), .lastSquared(let rows, let columns):
      let name = squares ? "sum_squares" : "sum_last"
      return try Kernel("\(name)_\(rows)x\(columns)\(variant)") { k in
        let (outer, count) = (k.extent("outer"), k.extent("R"))
        let x = k.input("x", type, [outer, count])
        let y = k.output("y", .float32, [outer])
        k.grid([outer.ceilDiv(Index(rows))]) { task in
          let row = task[0] * Index(rows)
          let total = k.filled(
            0, rows: rows, columns: 1, validRows: rows == 1 ? 1 : (outer - row).min(Index(rows)),
            validColumns: 1)
          k.loop(count.ceilDiv(Index(columns))) { step in
            let part = k.load(
              x, at: [row, step * Index(columns)], rows: rows, columns: columns, as: .float32)
            k.rowSum(squares ? k.map(.multiply, part, part) : part, addingTo: total)
          }
          k.store(total, to: y, at: [row], rowAxis: 0)
        }
      }
    }
  }
}
