public import Memory

/// A block of numbers that one task works on: a matrix, or a vector when one side is 1.
///
/// The capacity (`rows` × `columns`) is fixed while recording; how much of it is valid follows from what was loaded
/// and is known when the kernel runs. Every operation works on the valid part only, so ragged edges need no care.
/// `[rows, 1]` holds a number for each row (perRow), `[1, columns]` one for each column (perColumn).
public struct Tile: Sendable, Hashable {
  /// Number of the tile within its kernel.
  public let id: Int
  /// What its numbers are.
  public let type: ElementType
  /// Capacity in rows.
  public let rows: Int
  /// Capacity in columns.
  public let columns: Int
  /// Rows that hold numbers.
  public let validRows: Index
  /// Columns that hold numbers.
  public let validColumns: Index

  /// A tile's description; the recorder makes tiles, back ends only describe parts of them.
  package init(
    id: Int, type: ElementType, rows: Int, columns: Int, validRows: Index, validColumns: Index
  ) {
    self.id = id
    self.type = type
    self.rows = rows
    self.columns = columns
    self.validRows = validRows
    self.validColumns = validColumns
  }

  /// Same capacity and same valid part.
  public func isCongruent(to other: Tile) -> Bool {
    rows == other.rows && columns == other.columns && validRows == other.validRows
      && validColumns == other.validColumns
  }
}

extension Tile: CustomStringConvertible {
  public var description: String { "%\(id) \(type.rawValue)[\(rows), \(columns)]" }
}

/// A tensor that the kernel is given when it runs.
public struct TensorParameter: Sendable, Hashable {
  /// Position among the arguments.
  public let number: Int
  /// Name for messages.
  public let name: String
  /// What its elements are.
  public let type: ElementType
  /// Extent of each axis; checked against the argument.
  public let extents: [Index]
  /// What the kernel does with it.
  public let access: Access

  /// What a kernel does with a tensor.
  public enum Access: Sendable, Hashable {
    /// Only reads.
    case input
    /// Writes every element exactly once, and does not read.
    case output
    /// Reads and writes parts of it; a task sees what it wrote itself.
    case update
    /// Keeps tiles there: a task reads those that it wrote itself, whole and in their form, and nobody else does, so that back ends
    /// may order their numbers as they like.
    case scratch
  }
}

/// The part of a tensor that a tile is loaded from or stored to.
public struct TileReference: Sendable, Hashable {
  /// The tensor.
  public let tensor: TensorParameter
  /// Where element `[0, 0]` of the tile lies, one coordinate an axis.
  public let origin: [Index]
  /// Axis along which the tile's rows run; `nil` for a tile of one row.
  public let rowAxis: Int?
  /// Axis along which the tile's columns run; `nil` for a tile of one column.
  public let columnAxis: Int?
  /// Axis along which the tile may reach over the tensor's ends, where it reads zeros: that of rows or of columns.
  public let paddedAxis: Int?
  /// How the last two coordinates are to be taken, where the tensor's sequences lie folded in rows.
  public let fold: SequenceFold?

  /// A reference whose coordinates the maker vouches for.
  package init(
    tensor: TensorParameter, origin: [Index], rowAxis: Int?, columnAxis: Int?, paddedAxis: Int? = nil,
    fold: SequenceFold? = nil
  ) {
    self.tensor = tensor
    self.origin = origin
    self.rowAxis = rowAxis
    self.columnAxis = columnAxis
    self.paddedAxis = paddedAxis
    self.fold = fold
  }
}
