/// How rows of tiles lie in sequences of any length: a tensor `[…, H, L]` is seen as `[…, H · rows, step]`, row R being numbers
/// (R mod rows) · step to … + step of sequence R / rows, zero where the sequence has none.
///
/// Sequences begin up to seven numbers later than that, so many that sixteen bytes of 16-bit numbers of the tensor are sixteen bytes of
/// a row, which machines copy at once whatever the length: number n of a sequence that begins e numbers into a dense tensor is
/// number n + (e mod 8) of its rows. All tensors of one shape are seen alike. Valid rows of a tile are of sequences that are there.
public struct SequenceFold: Sendable, Hashable {
  /// Rows of a sequence.
  public let rows: Int
  /// Numbers from one row to the next, a multiple of 8.
  public let step: Int

  /// Numbers to a multiple of which sequences are moved.
  public static let alignment = 8

  /// A view in which sequences have so many rows of so many numbers.
  public init(rows: Int, step: Int) { (self.rows, self.step) = (rows, step) }

  /// Whether sequences of that length lie wholly in their rows, moved as they may be.
  public func holds(length: Int) -> Bool {
    let (room, overflow) = rows.multipliedReportingOverflow(by: step)
    return !overflow && length <= room - (length % Self.alignment == 0 ? 0 : Self.alignment - 1)
  }
}

extension TileReference {
  /// Where a row of a folded tile begins.
  package struct FoldedRow {
    /// Coordinates of the sequence: all but the last axis.
    package var sequence: [Index]
    /// Number of the sequence that the row begins with; negative where the sequence begins later.
    package var start: Index
  }

  /// The place of row `row` of the tile, which must be folded.
  package func foldedRow(_ row: Index, _ fold: SequenceFold) -> FoldedRow {
    let last = tensor.extents.count - 1
    let whole = origin[last - 1] + row
    let sequence = whole / Index(fold.rows)
    let moved = (sequencesBefore + sequence) * tensor.extents[last] % Index(SequenceFold.alignment)
    return FoldedRow(
      sequence: Array(origin[..<(last - 1)]) + [sequence],
      start: whole % Index(fold.rows) * Index(fold.step) + origin[last] - moved)
  }

  /// Sequences of a folded tensor before those along the axis of the tile's rows.
  package var sequencesBefore: Index {
    let axis = tensor.extents.count - 2
    return zip(origin[..<axis], tensor.extents).reduce(Index(0)) { $0 * $1.1 + $1.0 } * tensor.extents[axis]
  }
}
