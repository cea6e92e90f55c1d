/// What the loading thread does.
extension BlockState {
  mutating func load(_ entry: RoleTrace.Entry) throws(RoleError) -> Bool {
    switch entry.action {
    case .awaitEmpty(let ring): return try awaitEmpty(ring)
    case .expect(let ring): try expect(ring)
    case .copy(let tile, let ring, let bytes): try copy(tile, ring, bytes, entry.execution ?? -1)
    case .advance(let ring):
      let (announced, copied) = (roles[loader].announced[ring], roles[loader].copied[ring])
      guard announced != nil || copied > 0 else {
        throw error(loader, .advancedEarly(ring: ring, slot: slot(loader, ring)))
      }
      guard announced == copied else {
        throw error(
          loader,
          .bytesDiffer(ring: ring, slot: slot(loader, ring), expected: announced ?? 0, copied: copied))
      }
      roles[loader].announced[ring] = nil
      roles[loader].copied[ring] = 0
      roles[loader].turns[ring] += 1
    case .openTurns, .prefetch: break
    default: throw error(loader, .undefinedStep)
    }
    return true
  }

  private mutating func awaitEmpty(_ ring: Int) throws(RoleError) -> Bool {
    let slot = slot(loader, ring)
    let lap = roles[loader].turns[ring] / program.rings[ring].stages
    let barrier = slots[ring][slot].empty
    // Of the phase before the first, which counts as completed.
    guard barrier.passes(parity: lap & 1 ^ 1) else { return false }
    guard barrier.completed == lap else {
      throw error(
        loader,
        .phaseAliased(ring: ring, slot: slot, barrier: "empty", wanted: lap, found: barrier.completed))
    }
    roles[loader].knowledge.join(barrier.published)
    return true
  }

  private mutating func expect(_ ring: Int) throws(RoleError) {
    let slot = slot(loader, ring)
    let announced = program.expectedBytes[ring]
    try requireFree(ring, slot, "its tiles")
    guard slots[ring][slot].full.arrive(roles[loader].knowledge, announcing: announced) else {
      throw error(loader, .tooManyArrivals(ring: ring, slot: slot, barrier: "full", counted: 1))
    }
    roles[loader].announced[ring, default: 0] += announced
  }

  private mutating func copy(_ tile: Int, _ ring: Int, _ bytes: Int, _ execution: Int) throws(RoleError) {
    let slot = slot(loader, ring)
    try requireFree(ring, slot, name(tile: tile))
    guard case .ring(_, let member) = program.placement.places[tile] else {
      throw error(loader, .undefinedStep)
    }
    slots[ring][slot].contents[member] = nil
    roles[loader].copied[ring] += bytes
    copies.append(Copy(ring: ring, slot: slot, member: member, execution: execution, bytes: bytes))
  }

  /// All warps have given back what the slot held a lap before, and the loader knows it.
  private func requireFree(_ ring: Int, _ slot: Int, _ tile: String) throws(RoleError) {
    let before = roles[loader].turns[ring] - program.rings[ring].stages
    let state = slots[ring][slot]
    for warp in 0..<loader
    where state.reading[warp] > 0 || state.lastRead[warp] > roles[loader].knowledge.seen[warp]
      || before >= 0 && roles[warp].released[ring][slot] < before
    {
      throw error(loader, .copiedOverReader(tile: tile, ring: ring, slot: slot, reader: name(warp)))
    }
  }
}

extension [Int?] {
  /// The number in a place, where none counts as `value`.
  fileprivate subscript(place: Int, default value: Int) -> Int {
    get { self[place] ?? value }
    set { self[place] = newValue }
  }
}
