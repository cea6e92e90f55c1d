internal import Memory
internal import Tiles

extension PipelinedLowering {
  /// Reads or writes a tile that a task keeps in global memory: each thread its own registers, of which 16-bit numbers share one,
  /// in pieces of 16 bytes that lie beside those of its neighbours. No other thread reads them, so that nothing has to be waited for.
  mutating func printKept(_ tile: Tile, _ reference: TileReference, isRead: Bool) {
    let axes = reference.tensor.extents.count
    let isPaired = placement.paired.contains(tile.id)
    guard case .fragment(let blocks, let columns, _) = placement.places[tile.id],
      isPaired || tile.type == .float32, tile.type == reference.tensor.type, asideOffsets[tile.id] == nil,
      columns % 16 == 0,
      tile.validRows.constantValue == tile.rows, tile.validColumns.constantValue == tile.columns,
      reference.rowAxis == axes - 2, reference.columnAxis == axes - 1,
      reference.tensor.extents.suffix(2) == [Index(tile.rows), Index(tile.columns)],
      reference.origin.suffix(2) == [0, 0]
    else {
      return fail(
        "\(tile) cannot be kept; take whole tiles of float32, or of 16 bits that elementwise steps alone touch"
      )
    }
    let number = reference.tensor.number
    let (piece, element, name) = isPaired ? ("uint4", "unsigned short", "q") : ("float4", "float", "t")
    // Pieces of a block of rows.
    let count = columns / (isPaired ? 16 : 8)
    code.open("")
    var index = self.index
    if kernel.schedule.recomputesAddresses {
      // Places that are the same in each turn would stay in registers.
      code.line("int own = task0;")
      code.line("asm volatile(\"\" : \"+r\"(own));")
      index.hoisted = [.task(0): "own"]
    }
    code.line(
      "\(piece) *const kept = (\(piece) *)((\(element) *)a.tensor[\(number)] + (\(index.offset(number, reference.origin)))) + threadIdx.x;"
    )
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.open("for (int v = 0; v < \(count); ++v)")
    let place = "kept[(\(count) * b + v) * \(128 * groups)]"
    let registers = (0..<4).map { "\(name)\(tile.id)[b][4 * v + \($0)]" }
    if isRead {
      code.line("const \(piece) four = \(place);")
      code.line(zip(registers, ["x", "y", "z", "w"]).map { "\($0) = four.\($1);" }.joined(separator: " "))
    } else {
      code.line("\(place) = make_\(piece)(\(registers.joined(separator: ", ")));")
    }
    code.close()
    code.close()
    code.close()
  }
}
