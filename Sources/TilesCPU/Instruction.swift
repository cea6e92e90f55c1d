/// One step of a lowered tile program: a code and the numbers of the registers it works on.
struct Instruction: BitwiseCopyable {
  var code: Code
  var a: Int32 = 0
  var b: Int32 = 0
  var c: Int32 = 0
  var d: Int32 = 0
  var e: Int32 = 0

  enum Code: Int32, BitwiseCopyable {
    // Integer registers: a ← b op c.
    case add, subtract, multiply, divide, ceilDivide, remainder, min, max
    /// a ← int32 tensor b at element offset c.
    case element
    /// Tile a looks at tensor b from element offset c on, with row stride d and column stride e.
    case view
    /// Tile a looks at window number b: in the tensor, or at a copy where zeros belong to it.
    case window
    /// Tile a has b valid rows and c valid columns.
    case extent
    /// Tile a is set to the float whose bits are b.
    case fill
    /// Matrix product number a.
    case matmul
    /// Tile a, which other threads add to as well, += tile b.
    case addShared
    /// The same into integers, which take the nearest whole numbers.
    case addSharedRounded
    /// Tile a ← rows of tile b as integer groups.
    case quantize
    /// Tile b's integer groups go to the rows of d columns that tile a looks at, from column register c on.
    case copyGroups
    /// Tile a ← rows of tile b as float32; its blocks of type d have c numbers in e bytes.
    case widen
    /// Elementwise program number a.
    case map
    /// Loop over step register a up to b; c is where to go on after it.
    case loop
    /// End of a loop: step register a, count b, c is its first instruction.
    case next
    /// Goes on at c unless a < b.
    case unlessLess
    case end
  }
}

/// Where a tile's elements lie while a task runs.
@safe struct TileState: BitwiseCopyable {
  var base: UnsafeMutableRawPointer
  /// Elements from a row to the next.
  var rowStride: Int
  /// Elements from a column to the next.
  var columnStride: Int
  var rows: Int
  var columns: Int
}

/// A part of a tensor that may reach over its ends along one axis.
struct WindowPlan {
  /// Tile register that looks at the tensor, or would if it had all of it.
  var view: Int
  /// Tile register with memory for the window where the tensor has not all of it.
  var copy: Int
  /// Integer registers with the window's first coordinate along the axis and the tensor's extent.
  var origin: Int
  var extent: Int
  /// Whether the axis is that of rows.
  var isAlongRows: Bool
  /// Bytes of an element.
  var bytes: Int
}

/// How a matrix product reads its operands.
struct MatmulPlan {
  var accumulator: Int
  var left: Int
  var right: Int
  var transposesLeft: Bool
  var transposesRight: Bool
  var continuing: Bool
  /// Whether the left factor is negated.
  var subtracting: Bool
  /// Integer register of the loop step whose first value starts the sum anew.
  var startStep: Int?
  /// gw_type number of the left operand, where it is no row of integer groups.
  var leftType: UInt32
  /// gw_type number of the right operand.
  var rightType: UInt32
  /// Elements and bytes of one block of it.
  var blockElements: Int
  var blockBytes: Int
  var isInteger: Bool
}

/// An operand of an elementwise program.
struct MapOperandPlan {
  /// Tile register, or integer register when `isInteger`.
  var register: Int
  var isInteger: Bool
  /// Whether the tile has one row (column) where the space has several.
  var broadcastsRows: Bool
  var broadcastsColumns: Bool
  /// gw_type number.
  var type: Int32
}

/// A lowered elementwise program: a slice of the program's op list and the operands it names.
struct MapPlan {
  var firstOp: Int
  var opCount: Int
  var firstOperand: Int
  var operandCount: Int
  /// Integer registers with the rows and columns to cover.
  var rows: Int
  var columns: Int
  /// Vectors of one number a row run along their length as if it were a row.
  var isTransposed: Bool
}
