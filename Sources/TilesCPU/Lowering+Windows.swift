internal import Memory
internal import Tiles

extension Lowering {
  /// A tile register that looks at a window of a tensor, which reads zeros where it reaches over the tensor's ends.
  ///
  /// - Parameter view: register that looks at the tensor as if it went on.
  mutating func windowSlot(_ tile: Tile, _ reference: TileReference, _ axis: Int, view: Int) -> Int {
    let (window, copy) = (newTile(), newTile())
    let bytes = reference.tensor.type.blockBytes
    let rowStride = (tile.columns + 15) & ~15
    program.owned.append(OwnedTile(tile: copy, offset: program.arenaBytes, rowStride: rowStride))
    program.arenaBytes += (tile.rows * rowStride * bytes + 127) & ~63
    program.windows.append(
      WindowPlan(
        view: view, copy: copy, origin: register(of: reference.origin[axis]),
        extent: register(of: reference.tensor.extents[axis]), isAlongRows: axis == reference.rowAxis,
        bytes: bytes))
    emit(Instruction(code: .window, a: Int32(window), b: Int32(program.windows.count - 1)))
    return window
  }
}
