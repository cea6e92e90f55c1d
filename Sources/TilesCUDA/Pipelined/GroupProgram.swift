internal import Memory
internal import Tiles

/// What a group of 128 threads does for one task: the body in program order, with every wait that order needs.
///
/// Products run on after they were issued; a statement waits for those, and only those, whose results or factors it
/// touches. Slots are given back as soon as their last reader is done.
struct GroupProgram {
  let placement: Placement
  private var result: [RoleStep] = []
  /// Products that may still run, oldest first, with the rings to give back when each is done.
  private var running: [(product: Matmul, releases: [Int])] = []

  init(_ placement: Placement) { self.placement = placement }

  static func steps(_ placement: Placement) -> [RoleStep] {
    var program = GroupProgram(placement)
    program.add(placement.kernel.body, rings: program.rings(loadedBy: placement.kernel.body), opens: true)
    program.finishProducts()
    return program.result
  }

  private func rings(loadedBy statements: [Statement]) -> Set<Int> {
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

  private func rings(readBy statement: Statement) -> Set<Int> {
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

  /// Statements in order. `rings`: those whose slots this list waits for and gives back; `opens`: whether a slot is
  /// waited for at its first reader here (else an earlier part of the step has done so).
  private mutating func add(_ statements: [Statement], rings: Set<Int>, opens: Bool, closes: Bool = true) {
    var awaited: Set<Int> = opens ? [] : rings
    for (position, statement) in statements.enumerated() {
      let read = self.rings(readBy: statement).intersection(rings)
      for ring in read.sorted() where awaited.insert(ring).inserted { result.append(.awaitFull(ring)) }
      let done =
        closes
        ? read.filter { ring in
          !statements[(position + 1)...].contains { self.rings(readBy: $0).contains(ring) }
        }.sorted() : []
      add(statement, releasing: done)
    }
  }

  private mutating func add(_ statement: Statement, releasing done: [Int]) {
    switch statement.operation {
    case .load(let tile, let reference):
      switch placement.places[tile.id] {
      case .fragment, .perRow: result.append(.read(tile, reference))
      default: break
      }
    case .matmul(let product):
      waitFor { $0.accumulator != product.accumulator && $0.touches(product) }
      result.append(.issue(product))
      running.append((product, done))
      return
    case .map(let program):
      waitFor { running in
        program.tilesRead.contains(running.accumulator) || program.tilesWritten.contains(running.accumulator)
      }
      result.append(.map(program))
      for tile in program.tilesWritten { handOver(tile) }
    case .fill(let tile, let value):
      waitFor { $0.accumulator == tile }
      result.append(.fill(tile, value))
      handOver(tile)
    case .store(let tile, let reference):
      waitFor { $0.accumulator == tile }
      result.append(.store(tile, reference))
    case .add(let tile, let reference):
      waitFor { $0.accumulator == tile }
      result.append(.add(tile, reference))
    case .loop(let step, let count, _, let load, let body):
      finishProducts()
      addLoop(step, count, load, body)
    case .when(let lower, let upper, let body) where body.allSatisfy(\.isElementwise):
      waitFor { running in body.contains { $0.reads(running.accumulator) || $0.writes(running.accumulator) } }
      var inner = GroupProgram(placement)
      inner.add(body, rings: [], opens: true)
      result.append(.when(less: lower, than: upper, body: inner.result))
    case .when(let lower, let upper, let body):
      finishProducts()
      var inner = GroupProgram(placement)
      inner.add(body, rings: rings(loadedBy: body), opens: true)
      inner.finishProducts()
      result.append(.when(less: lower, than: upper, body: inner.result))
    case .transpose(let tile, let source): result.append(.transpose(tile, from: source))
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
    if placement.staged[tile.id] != nil {
      waitFor { $0.left == tile || $0.right == tile }
      result.append(.stage(tile))
    }
  }

  // MARK: Products that run

  private mutating func waitFor(_ condition: (Matmul) -> Bool) {
    guard let last = running.lastIndex(where: { condition($0.product) }) else { return }
    finish(last + 1)
  }

  private mutating func finishProducts() { if !running.isEmpty { finish(running.count) } }

  private mutating func finish(_ count: Int) {
    var finished: [Tile] = []
    for (product, _) in running[..<count] where !finished.contains(product.accumulator) {
      // A sum that a later product goes on with is not readable yet.
      if !running[count...].contains(where: { $0.product.accumulator == product.accumulator }) {
        finished.append(product.accumulator)
      }
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
    let body =
      load.filter { if case .load(let tile, _) = $0.operation { !placement.isInRing(tile) } else { false } }
      + body
    if body.count == 1, case .matmul(let product) = body[0].operation, own.count == 1, let ring = own.first,
      placement.rings[ring].stages > 1
    {
      stream(product, ring, step, count)
      return
    }
    if placement.kernel.schedule.overlapsSteps, let cut = overlapCut(body) {
      overlap(body, cut, own, step, count)
      return
    }
    var inner = GroupProgram(placement)
    inner.add(body, rings: own, opens: true)
    inner.finishProducts()
    result.append(.loop(step: step, from: 0, below: count, body: inner.result))
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

  /// Where the tail of a step begins, and which products open it: those that need nothing the step computes.
  private func overlapCut(_ body: [Statement]) -> (opening: Int, tail: Int)? {
    var opening = 0
    while opening < body.count, case .matmul(let product) = body[opening].operation, !product.continuing,
      !body.contains(where: { $0.writes(product.left) || $0.writes(product.right) })
    {
      opening += 1
    }
    guard opening > 0,
      let tail = body[opening...].firstIndex(where: { if case .matmul = $0.operation { true } else { false } }
      )
    else { return nil }
    // What opens the next step must not overwrite what the tail still reads.
    for statement in body[..<opening] {
      guard case .matmul(let product) = statement.operation else { return nil }
      if body[tail...].contains(where: { $0.reads(product.accumulator) }) { return nil }
    }
    return (opening, tail)
  }

  /// The products that open step i run beside the tail of step i − 1. Shah et al., 2024, arXiv:2407.08608.
  private mutating func overlap(
    _ body: [Statement], _ cut: (opening: Int, tail: Int), _ own: Set<Int>, _ step: Int, _ count: Index
  ) {
    let opening = Array(body[..<cut.tail])
    let tail = Array(body[cut.tail...])
    let openingRings = own.filter { ring in opening.contains { rings(readBy: $0).contains(ring) } }
    let tailRings = own.filter { ring in tail.contains { rings(readBy: $0).contains(ring) } }
    guard openingRings.isDisjoint(with: tailRings) else {
      // A slot that both ends of a step read would have to stay over two turns.
      var inner = GroupProgram(placement)
      inner.add(body, rings: own, opens: true)
      inner.finishProducts()
      result.append(.loop(step: step, from: 0, below: count, body: inner.result))
      return
    }
    func part(_ record: (inout GroupProgram) -> Void) -> [RoleStep] {
      var inner = GroupProgram(placement)
      record(&inner)
      inner.finishProducts()
      return inner.result
    }
    let first = part { $0.add(opening, rings: openingRings, opens: true) }
    let last = part { $0.add(tail, rings: tailRings, opens: true) }
    let products = Array(opening[..<cut.opening])
    let rest = Array(opening[cut.opening...])
    let steady = part { inner in
      // Rings of the opening products alone are given back when those are done.
      let takesTurns = placement.kernel.schedule.alternates && placement.groups > 1
      if takesTurns { inner.result.append(.awaitTurn) }
      let early = openingRings.filter { ring in !rest.contains { inner.rings(readBy: $0).contains(ring) } }
      inner.add(products, rings: early, opens: true)
      let late = openingRings.subtracting(early)
      for ring in late.sorted() { inner.result.append(.awaitFull(ring)) }
      let start = inner.result.count
      inner.add(tail, rings: tailRings, opens: true)
      if takesTurns { inner.result.append(.passTurn) }
      let tailSteps = Array(inner.result[start...])
      inner.result.removeSubrange(start...)
      inner.result.append(.with(step: step, value: .step(step) - 1, body: tailSteps))
      inner.add(rest, rings: late, opens: false)
    }
    result.append(
      .when(
        less: 0, than: count,
        body: [
          .with(step: step, value: 0, body: first), .loop(step: step, from: 1, below: count, body: steady),
          .with(step: step, value: count - 1, body: last),
        ]))
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
  /// Whether products take the tile as left factor straight from registers.
  func isLeftInRegisters(_ tile: Tile) -> Bool {
    guard case .fragment = places[tile.id], tile.type != .float32 else { return false }
    return kernel.body.contains { $0.hasLeftFactor(tile) }
  }

  /// Whether the loader brings the tile.
  func isInRing(_ tile: Tile) -> Bool { if case .ring = places[tile.id] { true } else { false } }
}

extension Statement {
  /// Whether it only computes element by element, in registers that no product packs.
  var isElementwise: Bool { if case .map = operation { true } else { false } }

  /// Whether a product in it takes the tile as its left factor, not transposed.
  func hasLeftFactor(_ tile: Tile) -> Bool {
    if case .matmul(let product) = operation, product.left == tile, !product.transposesLeft { return true }
    return operation.blocks.contains { $0.contains { $0.hasLeftFactor(tile) } }
  }
}
