internal import Tiles

extension IndexPrinter {
  /// Where a number of a folded tile lies in its tensor, in elements, and whether it is one of a sequence, as expressions.
  ///
  /// - Parameters:
  ///   - row: expression for the row of the tile.
  ///   - column: likewise for the column.
  func unfolded(
    _ reference: TileReference, _ fold: SequenceFold, row: String, column: String
  ) -> (place: String, isThere: String) {
    let number = reference.tensor.number
    let last = reference.tensor.extents.count - 1
    let place = line(reference, fold, row)
    let at = "(\(place.start) + (\(column)))"
    let leading = offset(number, Array(reference.origin[..<(last - 1)]))
    return (
      "\(leading) + \(stride(number, last - 1)) * (\(place.sequence)) + \(stride(number, last)) * \(at)",
      "(u32)\(at) < (u32)\(self(reference.tensor.extents[last]))"
    )
  }

  /// The sequence along its axis that a row of a folded tile belongs to, and the number of it that the row begins with.
  func line(
    _ reference: TileReference, _ fold: SequenceFold, _ row: String
  ) -> (sequence: String, start: String) {
    let extents = reference.tensor.extents
    let last = extents.count - 1
    let whole = "(\(self(reference.origin[last - 1])) + (\(row)))"
    let sequence = "\(whole) / \(fold.rows)"
    // Its number among all, of which eight times anything makes no difference.
    let leading = zip(reference.origin[..<(last - 1)], extents).reduce(Index(0)) { $0 * $1.1 + $1.0 }
    let moved =
      "(((u32)\(self(leading * extents[last - 1])) + (u32)(\(sequence))) * (u32)\(self(extents[last])) % \(SequenceFold.alignment)u)"
    return (
      sequence,
      "(\(whole) % \(fold.rows) * \(fold.step) + \(self(reference.origin[last])) - (int)\(moved))"
    )
  }
}
