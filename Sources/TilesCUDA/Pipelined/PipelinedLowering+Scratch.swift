internal import Memory
internal import Tiles

extension PipelinedLowering {
  /// Reads or writes a tile that a task keeps in global memory: each thread its own numbers, two a register, in pieces of 16 bytes
  /// that lie beside those of its neighbours. No other thread reads them, so that nothing has to be waited for.
  mutating func printKept(_ tile: Tile, _ reference: TileReference, isRead: Bool) {
    let axes = reference.tensor.extents.count
    guard case .fragment(let blocks, let columns, _) = placement.places[tile.id],
      placement.paired.contains(tile.id), asideOffsets[tile.id] == nil, blocks * columns % 16 == 0,
      columns % 16 == 0,
      tile.validRows.constantValue == tile.rows, tile.validColumns.constantValue == tile.columns,
      reference.rowAxis == axes - 2, reference.columnAxis == axes - 1,
      reference.tensor.extents.suffix(2) == [Index(tile.rows), Index(tile.columns)],
      reference.origin.suffix(2) == [0, 0]
    else { return fail("\(tile) cannot be kept; take whole tiles of 16-bit numbers that elementwise steps alone touch") }
    let number = reference.tensor.number
    code.open("")
    code.line(
      "uint4 *const kept = (uint4 *)((unsigned short *)a.tensor[\(number)] + (\(index.offset(number, reference.origin)))) + threadIdx.x;"
    )
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.open("for (int v = 0; v < \(columns / 16); ++v)")
    let place = "kept[(\(columns / 16) * b + v) * \(128 * groups)]"
    let words = (0..<4).map { "q\(tile.id)[b][4 * v + \($0)]" }
    if isRead {
      code.line("const uint4 four = \(place);")
      code.line(zip(words, ["x", "y", "z", "w"]).map { "\($0) = four.\($1);" }.joined(separator: " "))
    } else {
      code.line("\(place) = make_uint4(\(words.joined(separator: ", ")));")
    }
    code.close()
    code.close()
    code.close()
  }
}
