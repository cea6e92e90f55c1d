public import Memory

/// One recorded operation and where it stands in the Swift source.
public struct Statement: Sendable, Hashable {
  /// What is done.
  public var operation: Operation
  /// Where the author wrote it.
  public var location: SourceLocation

  /// A statement that a back end makes of others.
  package init(operation: Operation, location: SourceLocation) {
    self.operation = operation
    self.location = location
  }
}

/// A place in a Swift source file.
public struct SourceLocation: Sendable, Hashable, CustomStringConvertible {
  /// Module and file, as `#fileID` gives them.
  public let file: String
  /// Line number from 1.
  public let line: Int
  public var description: String { "\(file):\(line)" }
}

/// What a task does, on tiles.
public indirect enum Operation: Sendable, Hashable {
  /// Makes the tile hold the tensor's elements, converted to the tile's type.
  case load(Tile, from: TileReference)
  /// Writes the tile's valid elements to the tensor, converted to the tensor's type.
  case store(Tile, to: TileReference)
  /// Adds the tile's valid elements to the tensor's; tasks that add to one element do so in no fixed order.
  case add(Tile, to: TileReference)
  /// Sets every valid element.
  case fill(Tile, Float)
  /// accumulator = (continuing ? accumulator : 0) + left · right, float32 sums in order of the inner index.
  case matmul(Matmul)
  /// Elementwise steps and row reductions.
  case map(MapProgram)
  /// The numbers of a tile of one column as a tile of one row.
  case transpose(Tile, from: Tile)
  /// Columns of the sources side by side, from one of them on, as many as the tile has.
  case columns(Tile, of: [Tile], from: Int)
  /// Rows of the source as integer groups (``ElementType/q16_rows``).
  case quantize(Tile, from: Tile)
  /// Runs the load part, then the body, for each step from 0 up to `count`.
  ///
  /// `stages` is how many steps a back end may load ahead; a back end without asynchronous copies loads in place.
  case loop(step: Int, count: Index, stages: Int, load: [Statement], body: [Statement])
  /// Runs the body where `lower` < `upper`.
  case when(less: Index, than: Index, body: [Statement])
}

/// A matrix product on tiles.
public struct Matmul: Sendable, Hashable {
  /// Float32 `[m, n]`, read first when `continuing`.
  public let accumulator: Tile
  /// `[m, k]`, or `[k, m]` when transposed.
  public let left: Tile
  /// `[k, n]`, or `[n, k]` when transposed.
  public let right: Tile
  /// Whether `left` is stored as its transpose.
  public let transposesLeft: Bool
  /// Whether `right` is stored as its transpose, as weights `[out, in]` are.
  public let transposesRight: Bool
  /// Whether the product is added to what the accumulator holds.
  public let continuing: Bool
  /// Whether the product's negative is taken.
  public let subtracting: Bool
  /// A 16-bit type that a machine may keep the sum in, if nothing reads it but what rounds it to that; `nil` for float32.
  public let narrowType: ElementType?

  /// The same product of other tiles.
  package func replacingTiles(_ replacement: (Tile) -> Tile) -> Matmul {
    Matmul(
      accumulator: replacement(accumulator), left: replacement(left), right: replacement(right),
      transposesLeft: transposesLeft, transposesRight: transposesRight, continuing: continuing,
      subtracting: subtracting, narrowType: narrowType)
  }
}
