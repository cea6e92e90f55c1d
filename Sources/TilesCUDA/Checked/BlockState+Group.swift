internal import Tiles

/// What a warp of a computing group does.
extension BlockState {
  mutating func compute(_ warp: Int, _ entry: RoleTrace.Entry) throws(RoleError) -> Bool {
    switch entry.action {
    case .awaitFull(let ring): return try awaitFull(warp, ring)
    case .release(let ring, let behind): try release(warp, ring, behind)
    case .advance(let ring):
      let slot = slot(warp, ring)
      let turn = roles[warp].turns[ring]
      guard roles[warp].held[ring][slot] == turn || roles[warp].released[ring][slot] == turn else {
        throw error(warp, .advancedEarly(ring: ring, slot: slot))
      }
      roles[warp].turns[ring] += 1
    case .issue(let product, let operands):
      try issue(warp, product.accumulator.id, operands, continues: product.continuing, entry)
    case .awaitProducts(let pending, let finished): awaitProducts(warp, pending, finished)
    case .pack(let tile):
      try requireSettled(warp, tile)
      guard roles[warp].packedReaders[tile] == 0 else {
        throw error(warp, .productRuns(tile: name(tile: tile)))
      }
      roles[warp].packed[tile] = roles[warp].registers[tile]
    case .stage(let tile):
      try requireSettled(warp, tile)
      try write(warp, shared: tile, roles[warp].registers[tile])
    case .compute(let operands, let writes, let parts):
      for operand in operands { try read(warp, operand, entry) }
      for tile in writes {
        try requireSettled(warp, tile)
        roles[warp].registers[tile] = entry.execution
        loseSums(warp, roundedTo: tile, but: nil)
      }
      for tile in parts { try write(warp, shared: tile, entry.execution) }
    case .combine(let tile):
      try read(warp, .shared(tile, byProduct: false), entry)
      roles[warp].registers[tile] = shared[tile]?.contents[warp] ?? nil
    case .transpose(let tile, let source):
      try read(warp, source, entry)
      try write(warp, shared: tile, entry.execution)
    case .meet, .awaitTurn, .passTurn, .openTurns: return try meet(warp, entry)
    default: throw error(warp, .undefinedStep)
    }
    return true
  }

  // MARK: Slots

  private mutating func awaitFull(_ warp: Int, _ ring: Int) throws(RoleError) -> Bool {
    let slot = slot(warp, ring)
    let turn = roles[warp].turns[ring]
    let lap = turn / program.rings[ring].stages
    let barrier = slots[ring][slot].full
    guard barrier.passes(parity: lap & 1) else { return false }
    guard barrier.completed == lap + 1 else {
      throw error(
        warp,
        .phaseAliased(ring: ring, slot: slot, barrier: "full", wanted: lap + 1, found: barrier.completed))
    }
    guard roles[warp].released[ring][slot] < turn else {
      throw error(warp, .awaitedAgain(ring: ring, slot: slot))
    }
    roles[warp].knowledge.join(barrier.published)
    roles[warp].held[ring][slot] = turn
    return true
  }

  private mutating func release(_ warp: Int, _ ring: Int, _ behind: Int) throws(RoleError) {
    let slot = slot(warp, ring, behind: behind)
    let turn = roles[warp].held[ring][slot]
    guard turn >= 0 else { throw error(warp, .releasedUnheld(ring: ring, slot: slot)) }
    for product in roles[warp].products {
      for case .heldSlot(let tile, ring: ring, slot: slot) in product.operands {
        throw error(warp, .releasedWhileRead(ring: ring, slot: slot, tile: name(tile: tile)))
      }
    }
    (roles[warp].held[ring][slot], roles[warp].released[ring][slot]) = (-1, turn)
    guard slots[ring][slot].empty.arrive(roles[warp].knowledge) else {
      throw error(warp, .tooManyArrivals(ring: ring, slot: slot, barrier: "empty", counted: loader))
    }
  }

  // MARK: Products

  private mutating func issue(
    _ warp: Int, _ accumulator: Int, _ operands: [Operand], continues: Bool, _ entry: RoleTrace.Entry
  ) throws(RoleError) {
    var settled: [Operand] = []
    for operand in operands {
      try read(warp, operand, entry)
      settled.append(count(warp, operand, 1))
    }
    if continues {
      try require(accumulator, holds: roles[warp].registers[accumulator], warp, entry)
    }
    roles[warp].registers[accumulator] = entry.execution
    if let rounded = program.placement.narrowSums[accumulator] {
      // Its registers are the sum's from now on.
      guard roles[warp].packedReaders[rounded.id] == 0 else {
        throw error(warp, .productRuns(tile: name(tile: rounded.id)))
      }
      roles[warp].registers[rounded.id] = nil
      loseSums(warp, roundedTo: rounded.id, but: accumulator)
    }
    roles[warp].running[accumulator] += 1
    roles[warp].isUnpinned[accumulator] = true
    roles[warp].products.append((accumulator, settled))
  }

  /// Sums in 16 bits that have the registers of a tile hold nothing any more once that, or another one of them, is written.
  private mutating func loseSums(_ warp: Int, roundedTo tile: Int, but own: Int?) {
    for (sum, rounded) in program.placement.narrowSums where rounded.id == tile && sum != own {
      roles[warp].registers[sum] = nil
    }
  }

  /// Counts a reading product in or out; slots are named by number from then on.
  @discardableResult
  private mutating func count(_ warp: Int, _ operand: Operand, _ change: Int) -> Operand {
    switch operand {
    case .packed(let tile): roles[warp].packedReaders[tile] += change
    case .shared(let tile, _):
      shared[place(tile)]?.reading[warp] += change
      shared[place(tile)]?.lastRead[warp] = roles[warp].clock
    case .slot(let tile, let ring, let behind):
      let slot = slot(warp, ring, behind: behind ? 1 : 0)
      slots[ring][slot].reading[warp] += change
      return .heldSlot(tile, ring: ring, slot: slot)
    case .heldSlot(_, let ring, let slot):
      slots[ring][slot].reading[warp] += change
      slots[ring][slot].lastRead[warp] = roles[warp].clock
    case .registers: break
    }
    return operand
  }

  private mutating func awaitProducts(_ warp: Int, _ pending: Int, _ finished: [Int]) {
    while roles[warp].products.count > pending {
      let product = roles[warp].products.removeFirst()
      roles[warp].running[product.accumulator] -= 1
      for operand in product.operands { count(warp, operand, -1) }
    }
    for tile in finished { roles[warp].isUnpinned[tile] = false }
  }

  // MARK: Meetings

  private mutating func meet(_ warp: Int, _ entry: RoleTrace.Entry) throws(RoleError) -> Bool {
    let (group, groups) = (warp / 4, turns.count)
    switch entry.action {
    case .openTurns:
      if group == groups - 1 { turns[0].arrive(roles[warp].knowledge, of: 8, waits: false) }
      return true
    case .passTurn:
      let next = (group + 1) % groups
      guard turns[next].passed < 4 else { throw error(warp, .turnPassedTwice(to: next)) }
      turns[next].arrive(roles[warp].knowledge, of: 8, waits: false)
      return true
    case .awaitTurn: return join(warp, \.turns[group], of: 8)
    default:
      let position = roles[warp].position
      if roles[warp].meeting == nil {
        if case .meet(fences: true) = entry.action { roles[warp].knowledge.fenced[warp] = roles[warp].clock }
        if meeting.waiting > 0, meetingEntry != position {
          let trace = program.trace(warp)
          throw error(
            warp, .meetsDiffer(other: trace.moments[trace.entries[meetingEntry].moment].description))
        }
        meetingEntry = position
      }
      return join(warp, \.meeting, of: loader)
    }
  }

  /// Comes to a meeting, or asks again whether it has taken place.
  private mutating func join(
    _ warp: Int, _ barrier: WritableKeyPath<BlockState, MeetingBarrier>, of count: Int
  ) -> Bool {
    let before: Int
    if let meeting = roles[warp].meeting {
      before = meeting
    } else {
      before = self[keyPath: barrier].completed
      self[keyPath: barrier].arrive(roles[warp].knowledge, of: count, waits: true)
      roles[warp].meeting = before
    }
    guard self[keyPath: barrier].completed > before else { return false }
    roles[warp].knowledge.join(self[keyPath: barrier].published)
    roles[warp].meeting = nil
    return true
  }
}
