internal import Memory
internal import Tiles

/// Where the tiles of a kernel live when its tasks are shared among a loading warp and groups of 128 threads.
///
/// Results of products and elementwise operations are fragments in registers, rows dealt out among the groups in
/// blocks of 64; factors of products are in shared memory, brought by the loader or staged by the groups.
struct Placement {
  /// Where a tile lives.
  enum Place: Equatable {
    /// In the registers of the groups: as many blocks of 64 rows a group, and columns a group.
    case fragment(blocks: Int, columns: Int, dealsColumns: Bool)
    /// A number a row, in registers.
    case perRow(blocks: Int)
    /// One number, in a register of every thread.
    case scalar
    /// A row of numbers in shared memory that the groups wrote.
    case row
    /// A row of numbers in global memory, read where it is used.
    case perColumn(TileReference)
    /// In a ring that the loader fills.
    case ring(Int, slot: Int)
  }

  let kernel: Kernel
  let groups: Int
  private(set) var places: [Int: Place] = [:]
  /// Tiles by number.
  private(set) var tiles: [Int: Tile] = [:]
  private(set) var rings: [Ring] = []
  /// Fragments that are also written to shared memory as factors.
  private(set) var staged: [Int: SharedTile] = [:]
  /// Numbers of rows that are reduced where the groups share out columns, so that each group has a part of them.
  private(set) var exchanged: Set<Int> = []
  /// Fragments of 16-bit numbers of which a register holds two: those that elementwise operations alone write and read, and those of
  /// ``narrow(rounded:)``.
  private(set) var paired: Set<Int> = []
  /// Those of them that the kernel sets aside, with the bytes a thread has of each.
  private(set) var asides: [Int: Int] = [:]
  /// Staged tiles that lie where an earlier one did, which no product reads any more.
  private(set) var shares: [Int: Int] = [:]
  /// Sums that products keep in 16 bits, by tile, with the tile that each is rounded to, whose registers it has.
  private(set) var narrowSums: [Int: Tile] = [:]
  /// Sums that products go on with.
  private(set) var continued: Set<Int> = []
  /// References of ring tiles.
  private(set) var references: [Int: TileReference] = [:]
  /// Why the kernel does not fit this form.
  private(set) var problem: String?
  private var factors: [Int: Uses] = [:]
  private var ringKeys: [RingKey: [Int]] = [:]

  /// What rings have in common that loops may take turns with.
  private struct RingKey: Hashable {
    let slots: [SharedTile]
    /// Whether each is filled by threads.
    let folds: [Bool]
  }

  init(_ kernel: Kernel) {
    self.kernel = kernel
    groups = kernel.schedule.groups
    collect(kernel.body)
    guard !factors.isEmpty else {
      problem = "it has no product"
      return
    }
    placeComputed(kernel.body)
    place(kernel.body, busy: [])
    pair()
    if !asides.isEmpty || kernel.schedule.reusesStages { share(kernel.body) }
  }

  /// How products take a tile.
  private struct Uses: OptionSet {
    let rawValue: Int
    static let left = Uses(rawValue: 1)
    static let transposedLeft = Uses(rawValue: 2)
    static let right = Uses(rawValue: 4)
    static let transposedRight = Uses(rawValue: 8)
  }

  /// Whether products sum over the tile's rows, and over its columns.
  func sums(over tile: Tile) -> (rows: Bool, columns: Bool) {
    let uses = factors[tile.id] ?? []
    return (
      !uses.isDisjoint(with: [.transposedLeft, .right]), !uses.isDisjoint(with: [.left, .transposedRight])
    )
  }

  private mutating func fail(_ reason: String) { if problem == nil { problem = reason } }

  // MARK: Factors

  private mutating func collect(_ statements: [Statement]) {
    for statement in statements {
      for tile in statement.operation.tilesRead + statement.operation.tilesWritten { tiles[tile.id] = tile }
      switch statement.operation {
      case .load(let tile, let reference):
        if reference.paddedAxis != nil { fail("a load that starts before its tensor needs the plain form") }
        tiles[tile.id] = tile
      case .matmul(let product):
        if ![.bfloat16, .float16].contains(product.left.type) {
          fail("a product of \(product.left.type.rawValue) needs the plain form")
        }
        if product.continuing { continued.insert(product.accumulator.id) }
        factors[product.left.id, default: []].insert(product.transposesLeft ? .transposedLeft : .left)
        factors[product.right.id, default: []].insert(product.transposesRight ? .transposedRight : .right)
      case .quantize: fail("rows of integers need the plain form")
      default: break
      }
      for block in statement.operation.blocks { collect(block) }
    }
  }

  /// Whether the loader brings the tile in blocks, which a product decodes as it goes.
  func isPacked(_ tile: Tile) -> Bool {
    guard case .ring(let ring, let slot) = places[tile.id] else { return false }
    return rings[ring].slots[slot].type.isBlocked
  }

  /// Rows of a tile as the groups share them.
  func blocks(rows: Int) -> (blocks: Int, dealsColumns: Bool)? {
    if rows % (64 * groups) == 0 { return (rows / (64 * groups), false) }
    if rows % 64 == 0, rows < 64 * groups { return (rows / 64, true) }
    return nil
  }

  /// Reductions of which each group makes its own part, from its columns.
  func partialReductions(
    _ program: MapProgram
  ) -> [(kind: MapStep.Reduction, tile: Tile, continuing: Bool)] {
    let space = program.space
    guard space.rows > 1, space.columns > 1, let (_, dealsColumns) = blocks(rows: space.rows), dealsColumns
    else { return [] }
    return program.reductions
  }

  // MARK: Registers

  private mutating func placeComputed(_ statements: [Statement]) {
    for statement in statements {
      for tile in statement.operation.tilesWritten where places[tile.id] == nil { placeComputed(tile) }
      if case .map(let program) = statement.operation {
        exchanged.formUnion(partialReductions(program).map(\.tile.id))
      }
      for block in statement.operation.blocks { placeComputed(block) }
    }
  }

  private mutating func placeComputed(_ tile: Tile) {
    if tile.rows == 1 {
      places[tile.id] = tile.columns == 1 ? .scalar : .row
      return
    }
    guard let (blocks, dealsColumns) = blocks(rows: tile.rows) else {
      return fail("\(tile) has rows that \(groups) groups of 64 cannot share")
    }
    if tile.columns == 1 {
      places[tile.id] = .perRow(blocks: blocks)
      return
    }
    let columns = dealsColumns ? tile.columns / groups : tile.columns
    guard columns % 8 == 0, !dealsColumns || tile.columns % (8 * groups) == 0 else {
      return fail("\(tile) has columns that are no multiple of 8 a group")
    }
    places[tile.id] = .fragment(blocks: blocks, columns: columns, dealsColumns: dealsColumns)
    guard let uses = factors[tile.id], uses != .left || dealsColumns else { return }
    staged[tile.id] = shared(tile.type, outer: tile.rows, inner: tile.columns, isTransposed: false)
  }

  /// Finds the fragments that need no register for each number.
  private mutating func pair() {
    var others: Set<Int> = []
    func visit(_ statements: [Statement]) {
      for statement in statements {
        for block in statement.operation.blocks { visit(block) }
        if statement.staysInThreads || !statement.operation.blocks.isEmpty { continue }
        if case .load(let tile, _) = statement.operation { others.insert(tile.id) }
        others.formUnion((statement.operation.tilesRead + statement.operation.tilesWritten).map(\.id))
      }
    }
    visit(kernel.body)
    for (number, place) in places {
      if case .perRow(let blocks) = place, kernel.asides.contains(number) { asides[number] = 8 * blocks }
      guard case .fragment(let blocks, let columns, _) = place, columns % 8 == 0, let tile = tiles[number],
        [.bfloat16, .float16].contains(tile.type), !others.contains(number)
      else { continue }
      paired.insert(number)
      if kernel.asides.contains(number), columns % 16 == 0 { asides[number] = blocks * columns }
    }
    let rounded = roundedSums(kernel.body)
    paired.formUnion(narrow(rounded: rounded.flatMap(\.values)))
    for chain in rounded where chain.values.allSatisfy({ paired.contains($0.id) }) {
      narrowSums.merge(chain) { $1 }
    }
  }

  /// Finds staged tiles of one form of which one is read for the last time before the other is written.
  private mutating func share(_ statements: [Statement]) {
    for statement in statements { for block in statement.operation.blocks { share(block) } }
    func lifetime(_ tile: Int) -> (first: Int, last: Int)? {
      guard let tile = tiles[tile] else { return nil }
      let own = statements.indices.filter { statements[$0].reads(tile) || statements[$0].writes(tile) }
      guard let first = own.first, let last = own.last, statements[first].writes(tile) else { return nil }
      return (first, last)
    }
    for (tile, form) in staged.sorted(by: { $0.key < $1.key }) {
      guard let own = lifetime(tile), let first = tiles[tile], statements[own.first].begins(first),
        shares[tile] == nil
      else { continue }
      let earlier = staged.keys.sorted().first { other in
        guard other < tile, staged[other] == form, shares[other] == nil else { return false }
        // All that lie there already are read before this one is written.
        let others = [other] + shares.filter { $0.value == other }.map(\.key)
        return others.allSatisfy { lifetime($0).map { $0.last < own.first } ?? false }
      }
      guard let earlier else { continue }
      // What a list within this one put there comes with it, so that all that lie in a place name the same tile.
      for other in shares.keys where shares[other] == tile { shares[other] = earlier }
      shares[tile] = earlier
    }
  }

  /// The staged tile whose place this one takes: itself, or an earlier one.
  func place(ofStaged tile: Int) -> Int { shares[tile] ?? tile }

  // MARK: Loads

  private mutating func place(_ statements: [Statement], busy: Set<Int>) {
    var once: [(Tile, TileReference, SharedTile)] = []
    for statement in statements {
      switch statement.operation {
      case .load(let tile, let reference):
        if let shared = sharedTile(tile, reference, isStep: false) {
          once.append((tile, reference, shared))
        } else {
          placeInRegisters(tile, reference)
        }
      default: break
      }
    }
    // Each ring costs the loader registers: where there may be many, all that a list loads once travels together.
    let sets = kernel.schedule.bringsOperands && !once.isEmpty ? [once] : once.map { [$0] }
    var busy = busy
    for set in sets { busy.insert(addRing(set, stages: 1, busy: busy, isOnce: true)) }
    for statement in statements {
      switch statement.operation {
      case .loop(_, _, let stages, let load, let body):
        place(body, busy: busy.union(placeLoop(load, body, stages: stages, busy: busy)))
      case .when(_, _, let body): place(body, busy: busy)
      default: break
      }
    }
  }

  /// Tiles of one loop with the same first and last reader share a slot: they are wanted and free at the same time. Where
  /// there are many tiles, all do: waiting for each of them alone would cost more than it frees.
  private mutating func placeLoop(
    _ load: [Statement], _ body: [Statement], stages: Int, busy: Set<Int>
  ) -> Set<Int> {
    var sets: [(last: Int, first: Int, members: [(Tile, TileReference, SharedTile)])] = []
    for statement in load {
      guard case .load(let tile, let reference) = statement.operation else { continue }
      guard let shared = sharedTile(tile, reference, isStep: stages > 1) else {
        placeInRegisters(tile, reference)
        continue
      }
      let readers = body.indices.filter { body[$0].reads(tile) }
      guard let last = readers.last, let first = readers.first else {
        fail("\(tile) is loaded and never read")
        continue
      }
      if let known = sets.firstIndex(where: { load.count > 2 || $0.last == last && $0.first == first }) {
        sets[known].members.append((tile, reference, shared))
      } else {
        sets.append((last, first, [(tile, reference, shared)]))
      }
    }
    var used: Set<Int> = []
    for set in sets { used.insert(addRing(set.members, stages: stages, busy: busy.union(used))) }
    return used
  }

  private mutating func addRing(
    _ members: [(tile: Tile, reference: TileReference, shared: SharedTile)], stages: Int, busy: Set<Int>,
    isOnce: Bool = false
  ) -> Int {
    let key = RingKey(slots: members.map(\.shared), folds: members.map { $0.reference.fold != nil })
    // Loops of one task that bring tiles of the same form take turns with one ring: those that bring them ahead, or all.
    let known = ringKeys[key, default: []].first {
      rings[$0].stages == stages && (stages > 1 || kernel.schedule.reusesStages) && rings[$0].isOnce == isOnce
        && !busy.contains($0)
    }
    let number = known ?? rings.count
    if known == nil {
      rings.append(Ring(number: number, stages: stages, isOnce: isOnce, slots: key.slots))
      ringKeys[key, default: []].append(number)
    }
    for (slot, member) in members.enumerated() {
      places[member.tile.id] = .ring(number, slot: slot)
      references[member.tile.id] = member.reference
    }
    return number
  }

  /// Its form in shared memory, or `nil` where threads read it straight from global memory.
  private mutating func sharedTile(_ tile: Tile, _ reference: TileReference, isStep: Bool) -> SharedTile? {
    if reference.tensor.access == .scratch { return nil }
    let lastAxis = reference.tensor.extents.count - 1
    if isStep, tile.type == .float32, reference.tensor.type == .float32, factors[tile.id] == nil {
      if tile.rows == 1, reference.columnAxis == lastAxis {
        return SharedTile(vector: .float32, count: tile.columns, isTransposed: false)
      }
      if tile.columns == 1, reference.rowAxis == lastAxis {
        return SharedTile(vector: .float32, count: tile.rows, isTransposed: true)
      }
    }
    // Rows of 16-bit numbers that only elementwise operations read come ahead like factors.
    let isAhead =
      (isStep || kernel.schedule.bringsOperands) && tile.rows > 1 && tile.columns > 1
      && tile.type == reference.tensor.type
      && [.bfloat16, .float16].contains(tile.type) && reference.columnAxis == lastAxis
    if let packed = packed(tile, reference) { return packed }
    if factors[tile.id] != nil || isAhead {
      guard tile.type == reference.tensor.type else {
        fail("\(tile) is converted while it is loaded, which bulk copies cannot do")
        return nil
      }
      if reference.columnAxis == lastAxis {
        return shared(tile.type, outer: tile.rows, inner: tile.columns, isTransposed: false)
      }
      if reference.rowAxis == lastAxis {
        return shared(tile.type, outer: tile.columns, inner: tile.rows, isTransposed: true)
      }
      fail("\(tile) is contiguous along neither of its sides")
      return nil
    }
    return nil
  }

  /// The form of a left factor whose numbers are decoded from blocks: as they are stored, whole rows of it a group.
  private func packed(_ tile: Tile, _ reference: TileReference) -> SharedTile? {
    let type = reference.tensor.type
    guard Prelude.packedTypes.contains(type), tile.type == .bfloat16, factors[tile.id] == .left,
      reference.columnAxis == reference.tensor.extents.count - 1,
      let (blocks, dealsColumns) = blocks(rows: tile.rows),
      blocks == 1, !dealsColumns, tile.columns % type.blockElements == 0
    else { return nil }
    return SharedTile(blocks: type, rows: tile.rows, count: tile.columns / type.blockElements)
  }

  /// A factor's form, in the pattern that the schedule allows.
  private func shared(_ type: ElementType, outer: Int, inner: Int, isTransposed: Bool) -> SharedTile {
    SharedTile(
      type: type, outer: outer, inner: inner, isTransposed: isTransposed, swizzle: kernel.schedule.swizzle)
  }

  private mutating func placeInRegisters(_ tile: Tile, _ reference: TileReference) {
    if tile.rows == 1 {
      places[tile.id] = .perColumn(reference)
      return
    }
    guard let (blocks, dealsColumns) = blocks(rows: tile.rows) else {
      return fail("\(tile) has rows that \(groups) groups of 64 cannot share")
    }
    if tile.columns == 1 {
      places[tile.id] = .perRow(blocks: blocks)
    } else {
      places[tile.id] = .fragment(
        blocks: blocks, columns: dealsColumns ? tile.columns / groups : tile.columns,
        dealsColumns: dealsColumns)
    }
  }
}

extension Placement {
  /// The left factor of which `tile`, another one of its type, is the negative, where one chain of steps makes both.
  func negated(by tile: Tile) -> Tile? {
    func find(_ statements: [Statement]) -> Tile? {
      for statement in statements {
        if case .map(let program) = statement.operation, let found = program.negated(by: tile),
          isLeftInRegisters(found)
        {
          return found
        }
        for block in statement.operation.blocks { if let found = find(block) { return found } }
      }
      return nil
    }
    return find(kernel.body)
  }
}

extension MapProgram {
  /// A tile stored before `tile` with values of which that has the negatives, of one type and size.
  fileprivate func negated(by tile: Tile) -> Tile? {
    var computed: [Int: Int] = [:]  // value → what it is the negative of
    var stored: [Int: Tile] = [:]
    var value = 0
    for step in steps {
      if case .compute(.negate, let sources) = step { computed[value] = sources[0] }
      if case .store(let source, let target) = step {
        if target == tile {
          guard let original = computed[source].flatMap({ stored[$0] }), original.type == tile.type,
            original.isCongruent(to: tile)
          else { return nil }
          return original
        }
        stored[source] = target
      }
      if step.definesValue { value += 1 }
    }
    return nil
  }
}

extension Statement {
  /// Whether the tile is what it makes of it, from its first step on where it is a loop, and nothing that was there before.
  fileprivate func begins(_ tile: Tile) -> Bool {
    guard case .loop = operation else { return operation.blocks.isEmpty && writes(tile) }
    let touching = operation.blocks.joined().first { $0.reads(tile) || $0.writes(tile) }
    return touching?.begins(tile) ?? false
  }

  /// Whether it, or what is nested in it, reads the tile.
  func reads(_ tile: Tile) -> Bool {
    operation.tilesRead.contains { $0.id == tile.id }
      || operation.blocks.contains { $0.contains { $0.reads(tile) } }
  }

  /// Whether it, or what is nested in it, writes the tile.
  func writes(_ tile: Tile) -> Bool {
    operation.tilesWritten.contains { $0.id == tile.id }
      || operation.blocks.contains { $0.contains { $0.writes(tile) } }
  }
}
