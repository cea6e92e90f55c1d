public import Memory
public import Tiles

/// Matrices of 16-bit numbers with their axes exchanged, by the matrix units: the product of ones on a diagonal with xᵀ is xᵀ, to the
/// bit but for the sign of zero.
///
/// On the way through registers alone numbers would have to be exchanged between threads; this way copies into and out of shared
/// memory go in whole lines. Infinities and NaN spread over the 64 numbers of their row's block. Floor: x read and y written once
/// over the memory bandwidth; 64 multiply-adds a number are less.
public struct Turn: Sendable, Hashable {
  /// bfloat16 or float16.
  public var type: ElementType
  /// How many matrices are added up, in float32, before they are turned and rounded.
  public var parts: Int
  /// How often the result is written.
  public var copies: Int
  /// Columns of x in a task, and ones on the diagonal.
  public static let side = 64
  /// Rows of x in a task.
  private static let length = 128

  /// - Parameters:
  ///   - type: bfloat16 or float16.
  ///   - parts: how many matrices are added up.
  ///   - copies: how often the result is written.
  public init(type: ElementType, parts: Int = 1, copies: Int = 1) {
    precondition(parts > 0 && copies > 0, "\(parts) parts, \(copies) copies")
    (self.type, self.parts, self.copies) = (type, parts, copies)
  }

  /// Arguments: the ones `[64, 64]`, x `[B, parts, R, C]`, y `[B, copies, C, R]`.
  public func kernel() throws(TileError) -> Kernel {
    let form = (parts > 1 ? "_sum\(parts)" : "") + (copies > 1 ? "_copies\(copies)" : "")
    return try Kernel("turn_\(type.rawValue)\(form)") { k in
      let (batch, rows, columns) = (k.extent("B"), k.extent("R"), k.extent("C"))
      let (side, length) = (Self.side, Self.length)
      let ones = k.input("ones", type, [Index(side), Index(side)])
      let x = k.input("x", type, [batch, Index(parts), rows, columns])
      let y = k.output("y", type, [batch, Index(copies), columns, rows])
      let grid = [batch, columns.ceilDiv(Index(side)), rows.ceilDiv(Index(length))]
      k.grid(grid, schedule: Kernel.Schedule(groups: 1, tasksPerCore: 2)) { task in
        let (column, row) = (task[1] * Index(side), task[2] * Index(length))
        let (there, down) = ((columns - column).min(Index(side)), (rows - row).min(Index(length)))
        let sum = k.filled(0, rows: side, columns: length, validRows: there, validColumns: down)
        k.pipeline(
          steps: Index(parts), stages: 2,
          load: { part in
            [
              k.load(
                ones, at: [0, 0], rows: side, columns: side, validRows: there, validColumns: there),
              k.load(x, at: [task[0], part, row, column], rows: length, columns: side),
            ]
          },
          compute: { _, tiles in k.matmul(into: sum, tiles[0], tiles[1], transposesRight: true) })
        for copy in 0..<copies { k.store(sum, to: y, at: [task[0], Index(copy), column, row]) }
      }
    }
  }

  /// The ones on a diagonal that the kernel takes.
  public func ones() throws -> Tensor {
    let side = Self.side
    let numbers = (0..<side * side).map { $0 % (side + 1) == 0 ? 1.0 : 0 }
    return try MonarchStack.tensor([numbers], rows: side, columns: side, type).reshaped([side, side])
  }

  /// What the kernel takes, from x `[B, parts · R, C]` and y `[B, copies · C, R]`.
  public func arguments(ones: Tensor, _ x: Tensor, into y: Tensor) -> [Tensor] {
    func cut(_ tensor: Tensor, _ count: Int) -> Tensor {
      let (shape, strides) = (tensor.shape, tensor.strides)
      return Tensor(
        unchecked: tensor.storage, byteOffset: tensor.byteOffset, type: tensor.type,
        shape: [shape[0], count, shape[1] / count, shape[2]],
        strides: [strides[0], strides[1] * (shape[1] / count), strides[1], strides[2]])
    }
    return [ones, cut(x, parts), cut(y, copies)]
  }

  /// Whether bulk copies take x `[B, R, C]` and y, which is what makes it fast: lines begin at whole pieces of 16 bytes.
  public func isFast(_ x: Tensor, into y: Tensor) -> Bool {
    [x, y].allSatisfy { tensor in
      tensor.type == type && tensor.shape.count == 3 && tensor.strides[2] == 1
        && tensor.byteOffset % 16 == 0
        && tensor.shape[1] >= Self.side && tensor.shape[2] >= Self.side
        && (0..<2).allSatisfy { tensor.shape[$0] == 1 || tensor.strides[$0] % 8 == 0 }
    }
  }
}
