internal import Tiles

/// Sequences folded in rows, which begin and end anywhere: a row at a time. Meant to be right; long convolutions on cores have routines of
/// their own.
extension Lowering {
  /// Rows as windows of their sequences, which read zeros beside them.
  mutating func lowerFoldedLoad(_ tile: Tile, _ reference: TileReference, _ fold: SequenceFold) {
    let owned = ownedSlot(tile)
    for row in 0..<tile.rows {
      guard let part = part(of: owned, tile.type, row: row, column: 0) else {
        return fail("\(tile) has no memory of its own.")
      }
      let (line, place) = self.row(row, of: tile, reference, fold)
      let last = reference.tensor.extents.count - 1
      let view = viewSlot(place, rows: line.validRows, columns: line.validColumns)
      let window = windowSlot(line, place, last, view: view)
      emitCopy(
        from: MapPiece(slot: window, tile: line, type: reference.tensor.type),
        to: MapPiece(slot: part, tile: line, type: tile.type), rows: line.validRows,
        columns: line.validColumns)
    }
  }

  /// What there is of each row. Its first numbers may lie before the sequence, so they go one by one.
  mutating func lowerFoldedStore(_ tile: Tile, _ reference: TileReference, _ fold: SequenceFold) {
    let last = reference.tensor.extents.count - 1
    let length = reference.tensor.extents[last]
    let first = min(SequenceFold.alignment, tile.columns)
    let pieces = (0..<first).map { ($0, 1) } + (first < tile.columns ? [(first, tile.columns - first)] : [])
    for row in 0..<tile.rows {
      let (line, place) = self.row(row, of: tile, reference, fold)
      for (column, count) in pieces {
        guard let part = part(of: slot(of: tile), tile.type, row: row, column: column) else {
          return fail("\(tile) is a tensor's and is stored to sequences. Compute it first.")
        }
        let start = place.origin[last] + Index(column)
        // None where a single number lies before the sequence.
        let there = count == 1 ? (start + 1).max(0).min(1) : Index(count)
        let valid = there.min(line.validColumns - Index(column)).min(length - start).max(0)
        let piece = Tile(
          id: -1, type: tile.type, rows: 1, columns: count, validRows: line.validRows, validColumns: valid)
        let target = TileReference(
          tensor: reference.tensor, origin: place.origin[..<last] + [start.max(0)], rowAxis: last - 1,
          columnAxis: last)
        let view = viewSlot(target, rows: piece.validRows, columns: valid)
        emitCopy(
          from: MapPiece(slot: part, tile: piece, type: tile.type),
          to: MapPiece(slot: view, tile: piece, type: reference.tensor.type), rows: piece.validRows,
          columns: valid)
      }
    }
  }

  /// A row of a tile by itself, none where it is not valid, and its place in the tensor.
  private func row(
    _ row: Int, of tile: Tile, _ reference: TileReference, _ fold: SequenceFold
  ) -> (Tile, TileReference) {
    let place = reference.foldedRow(Index(row), fold)
    let last = reference.tensor.extents.count - 1
    return (
      Tile(
        id: -1, type: tile.type, rows: 1, columns: tile.columns,
        validRows: (tile.validRows - Index(row)).max(0).min(1), validColumns: tile.validColumns),
      TileReference(
        tensor: reference.tensor, origin: place.sequence + [place.start], rowAxis: last - 1, columnAxis: last)
    )
  }
}
