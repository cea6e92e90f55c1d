internal import Memory
internal import Tiles

/// What a group of 128 threads does for one task: the body in program order, with every wait that order needs.
///
/// Products run on after they were issued; a statement waits for those, and only those, whose results or factors it
/// touches. Slots are given back as soon as their last reader is done, and shared memory that the groups write is
/// guarded by a barrier only where some thread may still be reading it.
struct GroupProgram {
  let placement: Placement
  var result: [RoleStep] = []
  /// Products that may still run, oldest first, with the rings to give back when each is done.
  var running: [(product: Matmul, releases: [Int])] = []
  /// Tiles in shared memory, written by the groups, that slower threads may still read.
  var dirty: Set<Int>
  /// Those that were written since all threads met.
  var unpublished: Set<Int> = []
  /// Those that products want in shared memory and that are in registers only so far.
  private var unstaged: [Tile] = []
  /// Numbers of rows of which each group has its own part so far.
  var parts: [(tile: Tile, reduction: MapStep.Reduction, continuing: Bool)] = []

  init(_ placement: Placement, dirty: Set<Int>) {
    self.placement = placement
    self.dirty = dirty
  }

  static func steps(_ placement: Placement) -> [RoleStep] {
    var outer = GroupProgram(placement, dirty: [])
    let body = placement.kernel.body
    return outer.repeated { $0.add(body, rings: $0.rings(loadedBy: body)) }
  }

  /// Records what is done again and again: what is dirty at its end is so at its start, and nothing else.
  mutating func repeated(_ record: (inout GroupProgram) -> Void) -> [RoleStep] {
    publish()
    var start = dirty
    while true {
      var turn = GroupProgram(placement, dirty: start)
      record(&turn)
      turn.finish()
      // What the next time finds dirty was assumed, so the barriers recorded are enough; no less was, so all are needed.
      if turn.dirty.isSubset(of: start) {
        dirty.formUnion(turn.dirty)
        return turn.result
      }
      start.formUnion(turn.dirty)
    }
  }

  /// Records what is done once or not at all.
  private mutating func nested(_ record: (inout GroupProgram) -> Void) -> [RoleStep] {
    publish()
    var inner = GroupProgram(placement, dirty: dirty)
    record(&inner)
    inner.finish()
    dirty.formUnion(inner.dirty)
    return inner.result
  }

  func rings(loadedBy statements: [Statement]) -> Set<Int> {
    Set(
      statements.compactMap { statement in
        if case .load(let tile, _) = statement.operation, case .ring(let ring, _) = placement.places[tile.id]
        {
          ring
        } else {
          nil
        }
      })
  }

  func rings(readBy statement: Statement) -> Set<Int> {
    var found: Set<Int> = []
    for tile in statement.operation.tilesRead {
      if case .ring(let ring, _) = placement.places[tile.id] { found.insert(ring) }
    }
    for block in statement.operation.blocks {
      for inner in block { found.formUnion(rings(readBy: inner)) }
    }
    return found
  }

  // MARK: Lists

  /// Statements in order. `rings`: those whose slots this list gives back, and waits for unless they are `awaited`.
  mutating func add(_ statements: [Statement], rings: Set<Int>, awaited: Set<Int> = []) {
    var awaited = awaited
    for (position, statement) in statements.enumerated() {
      let read = self.rings(readBy: statement).intersection(rings)
      for ring in read.sorted() where awaited.insert(ring).inserted { result.append(.awaitFull(ring)) }
      let done = read.filter { ring in
        !statements[(position + 1)...].contains { self.rings(readBy: $0).contains(ring) }
      }
      add(statement, releasing: done.sorted())
    }
  }

  private mutating func add(_ statement: Statement, releasing done: [Int]) {
    let isNested = !statement.operation.blocks.isEmpty
    stageWhat { tile in isNested || statement.writes(tile) }
    switch statement.operation {
    case .load(let tile, let reference):
      switch placement.places[tile.id] {
      case .fragment, .perRow: result.append(.read(tile, reference))
      default: break
      }
    case .matmul(let product):
      waitFor { $0.accumulator != product.accumulator && $0.touches(product) }
      let factors = placement.sharedFactors(product)
      stageWhat { factors.contains($0) }
      if factors.contains(where: { unpublished.contains($0.id) }) { meet() }
      result.append(.issue(product))
      running.append((product, done))
      return
    case .map(let program):
      waitFor { running in
        program.tilesRead.contains(running.accumulator) || program.tilesWritten.contains(running.accumulator)
      }
      combine(program.tilesRead + program.tilesWritten)
      if program.tilesRead.contains(where: { unpublished.contains($0.id) }) { meet() }
      let reduced = placement.partialReductions(program)
      if reduced.contains(where: { dirty.contains($0.tile.id) }) { meet() }
      result.append(.map(program))
      parts += reduced.map { ($0.tile, $0.kind, $0.continuing) }
      unpublished.formUnion(reduced.map(\.tile.id))
      for tile in program.tilesRead where placement.places[tile.id] == .row { dirty.insert(tile.id) }
      for tile in program.tilesWritten { handOver(tile) }
    case .fill(let tile, let value):
      waitFor { $0.accumulator == tile }
      combine([tile])
      result.append(.fill(tile, value))
      handOver(tile)
    case .store(let tile, let reference):
      waitFor { $0.accumulator == tile }
      combine([tile])
      result.append(.store(tile, reference))
    case .add(let tile, let reference):
      waitFor { $0.accumulator == tile }
      combine([tile])
      result.append(.add(tile, reference))
    case .loop(let step, let count, _, let load, let body):
      finishProducts()
      addLoop(step, count, load, body)
    case .when(let lower, let upper, let body) where body.allSatisfy(\.staysInThreads):
      waitFor { running in
        body.contains { $0.reads(running.accumulator) || $0.writes(running.accumulator) }
      }
      let inner = nested { $0.add(body, rings: []) }
      result.append(.when(less: lower, than: upper, body: inner))
    case .when(let lower, let upper, let body):
      finishProducts()
      let inner = nested { $0.add(body, rings: $0.rings(loadedBy: body)) }
      result.append(.when(less: lower, than: upper, body: inner))
    case .transpose(let tile, let source):
      combine([source])
      if dirty.contains(tile.id) { meet() }
      result.append(.transpose(tile, from: source))
      unpublished.insert(tile.id)
    case .columns(let tile, let sources, let first):
      waitFor { sources.contains($0.accumulator) || $0.accumulator == tile }
      combine(sources)
      result.append(.columns(tile, of: sources, from: first))
      handOver(tile)
    case .quantize: break
    }
    for ring in done { result += [.release(ring, behind: 0), .advance(ring)] }
  }

  /// Packs or stages a tile that was just written, where products want it.
  private mutating func handOver(_ tile: Tile) {
    if placement.isLeftInRegisters(tile) {
      waitFor { $0.left == tile }
      result.append(.pack(tile))
    }
    guard placement.staged[tile.id] != nil else { return }
    unstaged.append(tile)
    if !placement.isLeftInRegisters(tile) { stageWhat { $0 == tile } }
  }

  /// Writes tiles to shared memory that products want there: late, beside products that take them from registers.
  private mutating func stageWhat(_ condition: (Tile) -> Bool) {
    let wanted = unstaged.filter(condition)
    unstaged.removeAll(where: condition)
    let placement = placement
    for tile in wanted {
      let place = placement.place(ofStaged: tile.id)
      waitFor { placement.sharedFactors($0).contains { placement.place(ofStaged: $0.id) == place } }
      if dirty.contains(place) { meet() }
      result.append(.stage(tile))
      unpublished.insert(tile.id)
    }
  }

  /// Everything written before is then seen by all, and everything read before is read.
  mutating func meet() {
    result.append(.meet(fences: unpublished.contains { placement.staged[$0] != nil }))
    (dirty, unpublished) = ([], [])
  }

  /// Joins the groups' parts where one of the tiles is still in parts: all at once, since one meeting publishes all.
  private mutating func combine(_ tiles: [Tile]) {
    guard parts.contains(where: { part in tiles.contains { $0.id == part.tile.id } }) else { return }
    publish()
  }

  /// Makes known all that was written to shared memory, and joins what the groups have parts of.
  private mutating func publish() {
    stageWhat { _ in true }
    if !unpublished.isEmpty { meet() }
    for part in parts {
      result.append(.combine(part.tile, part.reduction, continuing: part.continuing))
      dirty.insert(part.tile.id)
    }
    parts = []
  }

  // MARK: Products that run

  private mutating func waitFor(_ condition: (Matmul) -> Bool) {
    guard let last = running.lastIndex(where: { condition($0.product) }) else { return }
    finish(last + 1)
  }

  mutating func finish() {
    finishProducts()
    publish()
  }

  mutating func finishProducts() { if !running.isEmpty { finish(running.count) } }

  mutating func finish(_ count: Int) {
    var finished: [Tile] = []
    for (product, _) in running[..<count] {
      for factor in [product.left, product.right] where placement.staged[factor.id] != nil {
        dirty.insert(placement.place(ofStaged: factor.id))
      }
      // A sum that a later product goes on with is not readable yet.
      let goesOn = running[count...].contains { $0.product.accumulator == product.accumulator }
      if !goesOn, !finished.contains(product.accumulator) { finished.append(product.accumulator) }
    }
    result.append(.awaitProducts(pending: running.count - count, finished: finished))
    for ring in running[..<count].flatMap(\.releases) {
      result += [.release(ring, behind: 0), .advance(ring)]
    }
    running.removeFirst(count)
  }

  // MARK: Loops

  private mutating func addLoop(_ step: Int, _ count: Index, _ load: [Statement], _ body: [Statement]) {
    let own = rings(loadedBy: load).union(rings(loadedBy: body))
    // Loads that stay with the group come first in each step.
    let kept = load.filter {
      if case .load(let tile, _) = $0.operation { !placement.isInRing(tile) } else { false }
    }
    let body = kept + body
    if body.count == 1, case .matmul(let product) = body[0].operation, own.count == 1, let ring = own.first,
      placement.rings[ring].stages > 1, !placement.isPacked(product.left)
    {
      stream(product, ring, step, count)
    } else if placement.kernel.schedule.overlapsSteps, let parts = StepParts(body, own, self) {
      overlap(parts, step, count)
    } else if placement.kernel.schedule.trailsSteps, kept.isEmpty,
      let parts = TrailingParts(body.filter { rings(loadedBy: [$0]).isEmpty }, placement.narrowSums),
      trail(parts, rings: own, step, count)
    {
      // Recorded.
    } else {
      let inner = repeated { $0.add(body, rings: own) }
      result.append(.loop(step: step, from: 0, below: count, body: inner))
    }
  }

  /// One product a step: it runs while the next is issued, so that the units never wait.
  private mutating func stream(_ product: Matmul, _ ring: Int, _ step: Int, _ count: Index) {
    result.append(
      .loop(
        step: step, from: 0, below: count,
        body: [
          .awaitFull(ring), .issue(product), .awaitProducts(pending: 1, finished: []),
          .when(less: 0, than: .step(step), body: [.release(ring, behind: 1)]), .advance(ring),
        ]))
    result.append(.awaitProducts(pending: 0, finished: [product.accumulator]))
    result.append(.when(less: 0, than: count, body: [.release(ring, behind: 1)]))
  }

  /// The products that open step i run beside the tail of step i − 1. Shah et al., 2024, arXiv:2407.08608.
  private mutating func overlap(_ parts: StepParts, _ step: Int, _ count: Index) {
    let takesTurns = placement.kernel.schedule.alternates && placement.groups > 1
    let kept = parts.keptRings.sorted()
    let awaitKept = kept.map { RoleStep.awaitFull($0) }
    let releaseKept = kept.map { RoleStep.release($0, behind: 1) }
    let advanceKept = kept.map { RoleStep.advance($0) }
    let first = nested { $0.add(parts.products + parts.rest, rings: parts.openingRings) }
    let steady = repeated { inner in
      inner.result += awaitKept
      if takesTurns { inner.result.append(.awaitTurn) }
      inner.add(parts.products, rings: parts.earlyRings)
      let late = parts.openingRings.subtracting(parts.earlyRings)
      for ring in late.sorted() { inner.result.append(.awaitFull(ring)) }
      let start = inner.result.count
      inner.add(parts.tail, rings: parts.tailRings)
      if takesTurns { inner.result.append(.passTurn) }
      let tail = Array(inner.result[start...])
      inner.result.removeSubrange(start...)
      inner.result.append(.with(step: step, value: .step(step) - 1, body: [.behind(kept, body: tail)]))
      inner.add(parts.rest, rings: late, awaited: late)
      inner.finishProducts()
      inner.result += releaseKept + advanceKept
    }
    let last = nested { $0.add(parts.tail, rings: parts.tailRings) }
    result.append(
      .when(
        less: 0, than: count,
        body: [
          .with(step: step, value: 0, body: awaitKept + first + advanceKept),
          .loop(step: step, from: 1, below: count, body: steady),
          .with(step: step, value: count - 1, body: [.behind(kept, body: last)] + releaseKept),
        ]))
  }
}

/// A step of a loop cut so that its opening products can run beside the tail of the step before.
private struct StepParts {
  /// Products that need nothing the step computes.
  let products: [Statement]
  /// What follows them, up to the tail.
  let rest: [Statement]
  /// From the first product that needs what the step computed.
  let tail: [Statement]
  /// Rings that only products and rest read, those of them that only the products read, and those only the tail reads.
  let openingRings: Set<Int>
  let earlyRings: Set<Int>
  let tailRings: Set<Int>
  /// Rings that both ends of a step read: a slot is kept for two turns.
  let keptRings: Set<Int>

  init?(_ body: [Statement], _ own: Set<Int>, _ program: GroupProgram) {
    var opening = 0
    while opening < body.count, case .matmul(let product) = body[opening].operation, !product.continuing,
      !body.contains(where: { $0.writes(product.left) || $0.writes(product.right) })
    {
      opening += 1
    }
    guard opening > 0,
      let cut = body[opening...].firstIndex(where: { if case .matmul = $0.operation { true } else { false } })
    else { return nil }
    // What opens the next step must not overwrite what the tail still reads.
    for statement in body[..<opening] {
      guard case .matmul(let product) = statement.operation else { return nil }
      if body[cut...].contains(where: { $0.reads(product.accumulator) }) { return nil }
    }
    products = Array(body[..<opening])
    rest = Array(body[opening..<cut])
    tail = Array(body[cut...])
    func readers(_ statements: [Statement]) -> Set<Int> {
      own.filter { ring in statements.contains { program.rings(readBy: $0).contains(ring) } }
    }
    let (front, back) = (readers(Array(body[..<cut])), readers(tail))
    keptRings = front.intersection(back)
    openingRings = front.subtracting(back)
    tailRings = back.subtracting(front)
    earlyRings = openingRings.subtracting(readers(rest))
    if keptRings.contains(where: { program.placement.rings[$0].stages < 2 }) { return nil }
  }
}

extension Matmul {
  /// Whether the other product writes what this one reads or writes, or reads what it writes.
  fileprivate func touches(_ other: Matmul) -> Bool {
    accumulator == other.left || accumulator == other.right || left == other.accumulator
      || right == other.accumulator
  }
}

extension Placement {
  /// Factors that the product reads in shared memory.
  func sharedFactors(_ product: Matmul) -> [Tile] {
    isLeftInRegisters(product.left) && !product.transposesLeft
      ? [product.right] : [product.left, product.right]
  }

  /// Whether products take the tile as left factor straight from registers: each group must have whole rows of it.
  func isLeftInRegisters(_ tile: Tile) -> Bool {
    guard case .fragment(_, _, dealsColumns: false) = places[tile.id], tile.type != .float32 else {
      return false
    }
    return kernel.body.contains { $0.hasLeftFactor(tile) }
  }

  /// Whether the loader brings the tile.
  func isInRing(_ tile: Tile) -> Bool { if case .ring = places[tile.id] { true } else { false } }
}

extension Statement {
  /// Whether it only computes element by element, in registers that no product packs.
  var isElementwise: Bool { if case .map = operation { true } else { false } }

  /// Whether it is elementwise, or moves what a thread alone reads and writes.
  var staysInThreads: Bool {
    switch operation {
    case .load(_, let reference), .store(_, let reference): reference.tensor.access == .scratch
    default: isElementwise
    }
  }

  /// Whether a product in it takes the tile as its left factor, not transposed.
  fileprivate func hasLeftFactor(_ tile: Tile) -> Bool {
    if case .matmul(let product) = operation, product.left == tile, !product.transposesLeft { return true }
    return operation.blocks.contains { $0.contains { $0.hasLeftFactor(tile) } }
  }
}
