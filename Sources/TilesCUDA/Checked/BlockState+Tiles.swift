/// Reads and writes of tiles, each checked against what program order has there and against who else is at it.
extension BlockState {
  /// A warp reads a tile where it is.
  mutating func read(_ warp: Int, _ operand: Operand, _ entry: RoleTrace.Entry) throws(RoleError) {
    switch operand {
    case .registers(let tile):
      try requireSettled(warp, tile)
      try require(tile, holds: roles[warp].registers[tile], warp, entry)
    case .packed(let tile): try require(tile, holds: roles[warp].packed[tile], warp, entry)
    case .shared(let tile, let byProduct): try readShared(warp, tile, byProduct: byProduct, entry)
    case .slot(let tile, let ring, let behind):
      let slot = slot(warp, ring, behind: behind ? 1 : 0)
      guard case .ring(_, let member) = program.placement.places[tile], roles[warp].held[ring][slot] >= 0
      else { throw error(warp, .slotNotHeld(tile: name(tile: tile), ring: ring, slot: slot)) }
      try require(tile, holds: slots[ring][slot].contents[member], warp, entry)
      slots[ring][slot].lastRead[warp] = roles[warp].clock
    case .heldSlot: break
    }
  }

  /// The tile holds what the same statement finds in program order.
  func require(
    _ tile: Int, holds found: Int?, _ warp: Int, _ entry: RoleTrace.Entry
  ) throws(RoleError) {
    guard let execution = entry.execution else { return }
    let order = program.order
    let expected = order.executions[execution].reads[tile]
    guard found == expected, found != nil else {
      throw error(
        warp,
        .wrongContents(
          tile: name(tile: tile), found: order.describe(found), expected: order.describe(expected)))
    }
  }

  /// No product of the warp uses the tile in registers, and the compiler knows.
  func requireSettled(_ warp: Int, _ tile: Int) throws(RoleError) {
    guard roles[warp].running[tile] == 0 else { throw error(warp, .productRuns(tile: name(tile: tile))) }
    guard !roles[warp].isUnpinned[tile] else { throw error(warp, .notPinned(tile: name(tile: tile))) }
  }

  private mutating func readShared(
    _ warp: Int, _ tile: Int, byProduct: Bool, _ entry: RoleTrace.Entry
  ) throws(RoleError) {
    guard let state = shared[place(tile)] else { throw error(warp, .undefinedStep) }
    let knowledge = byProduct ? roles[warp].knowledge.fenced : roles[warp].knowledge.seen
    for writer in 0..<loader where state.lastWrite[writer] > knowledge[writer] {
      throw error(warp, .unpublished(tile: name(tile: tile), writer: name(writer)))
    }
    // A part that differs from the warp's own is one that its writer has still to write, or has written again.
    for writer in 0..<loader where state.contents[writer] != state.contents[warp] {
      throw error(warp, .unpublished(tile: name(tile: tile), writer: name(writer)))
    }
    try require(tile, holds: state.contents[warp], warp, entry)
    shared[place(tile)]?.lastRead[warp] = roles[warp].clock
  }

  /// A warp writes its part of a tile in shared memory.
  mutating func write(_ warp: Int, shared tile: Int, _ execution: Int?) throws(RoleError) {
    guard let state = shared[place(tile)] else { throw error(warp, .undefinedStep) }
    let seen = roles[warp].knowledge.seen
    for reader in 0..<loader where state.reading[reader] > 0 || state.lastRead[reader] > seen[reader] {
      throw error(warp, .overwritten(tile: name(tile: tile), reader: name(reader)))
    }
    shared[place(tile)]?.contents[warp] = execution
    shared[place(tile)]?.lastWrite[warp] = roles[warp].clock
  }
}
