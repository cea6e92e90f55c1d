internal import Memory
internal import Tiles

/// Rows that a group goes through one after the other: what all of a task's rows take is read once, and several are under way
/// together, since a row of few numbers leaves most of the way to memory empty.
extension RowsLowering {
  /// A load of a tile.
  typealias Load = (tile: Tile, reference: TileReference)

  /// Registers of a lane for what rows have in common, what one of them holds, and what is on its way to all that are under way.
  private static let passRegisters = 96

  /// Loads that give every row of a task the same numbers, as weights of columns.
  func commonLoads() -> [Load] {
    guard layout.passes > 1 else { return [] }
    var writers: [Int: Int] = [:]
    kernel.body.forEachOperation { operation in
      if case .load(let tile, _) = operation { writers[tile.id, default: 0] += 1 }
      for tile in operation.tilesWritten { writers[tile.id, default: 0] += 1 }
    }
    let loads = kernel.body.compactMap { statement -> Load? in
      guard case .load(let tile, let reference) = statement.operation, !layout.isDealt(tile),
        reference.tensor.access == .input, writers[tile.id] == 1,
        (reference.origin + [tile.validRows, tile.validColumns]).allSatisfy(\.isFixedInTask)
      else { return nil }
      return (tile, reference)
    }
    let numbers = loads.reduce(0) { $0 + layout.count($1.tile) }
    return numbers <= Self.passRegisters / 2 ? loads : []
  }

  /// Rows that are under way together, a divisor of those that a group goes through.
  func rowsAtOnce(_ common: [Load], numbers: Int) -> Int {
    guard isWhole, layout.warps == 1, kernel.body.allSatisfy({ $0.operation.blocks.isEmpty }) else {
      return 1
    }
    let shared = common.reduce(0) { $0 + layout.count($1.tile) }
    var onTheWay = 0
    for case .load(let tile, let reference) in kernel.body.map(\.operation) where layout.isDealt(tile) {
      onTheWay += max(1, layout.count(tile) * reference.tensor.type.blockBytes / 4)
    }
    return [4, 2].first {
      layout.passes % $0 == 0 && max(numbers, shared) + $0 * onTheWay <= Self.passRegisters
    } ?? 1
  }
}
