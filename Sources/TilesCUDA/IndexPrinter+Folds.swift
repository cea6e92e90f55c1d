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
    let (number, extents) = (reference.tensor.number, reference.tensor.extents)
    let last = extents.count - 1
    let whole = "(\(self(reference.origin[last - 1])) + (\(row)))"
    let sequence = "\(whole) / \(fold.rows)"
    // Of its number among all, eight times anything makes no difference, nor that it may not fit 32 bits.
    let moved =
      "(((u32)\(self(reference.sequencesBefore)) + (u32)(\(sequence))) * (u32)\(self(extents[last])) % \(SequenceFold.alignment)u)"
    let start = "(\(whole) % \(fold.rows) * \(fold.step) + \(self(reference.origin[last])) - (int)\(moved))"
    let at = "(\(start) + (\(column)))"
    let leading = offset(number, Array(reference.origin[..<(last - 1)]))
    return (
      "\(leading) + \(stride(number, last - 1)) * (\(sequence)) + \(stride(number, last)) * \(at)",
      "(u32)\(at) < (u32)\(self(extents[last]))"
    )
  }
}
