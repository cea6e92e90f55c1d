internal import Memory

/// Joins neighbouring elementwise operations into one pass over the data, and drops what nobody reads.
///
/// A chain such as mask, scale, exponential and row sum is recorded as single operations; fused, an element is loaded
/// once, stays in registers and is stored once.
struct Fusion {
  /// Tiles that only elementwise operations wrote, so a store that is not read can go.
  let temporaries: Set<Int>
  /// How often each tile is read outside the chain that writes it is decided on the whole body.
  private let body: [Statement]

  /// More live values than this would not fit the strip registers of a back end.
  static let registerLimit = 14

  init(body: [Statement], temporaries: Set<Int>) {
    self.body = body
    self.temporaries = temporaries
  }

  /// The program with chains joined and unread temporaries gone.
  func fused(_ statements: [Statement]) -> [Statement] {
    let joined = statements.joinedMaps()
    var reads: [Int: Int] = [:]
    joined.countTileReads(into: &reads)
    return joined.droppingUnread(temporaries, reads)
  }
}

extension [Statement] {
  fileprivate func joinedMaps() -> [Statement] {
    var result: [Statement] = []
    var pending: (program: MapProgram, location: SourceLocation)?
    func flush() {
      if let chain = pending {
        result.append(Statement(operation: .map(chain.program), location: chain.location))
      }
      pending = nil
    }
    for statement in self {
      switch statement.operation {
      case .map(let program):
        if let chain = pending, let both = chain.program.joined(with: program) {
          pending = (both, chain.location)
        } else {
          flush()
          pending = (program, statement.location)
        }
      case .load(let tile, let reference) where reference.tensor.access == .input:
        // Loading an input commutes with arithmetic on other tiles, so it need not end a chain.
        if let chain = pending, chain.program.mentions(tile) { flush() }
        result.append(statement)
      case .loop(let step, let count, let stages, let load, let body):
        flush()
        result.append(
          Statement(
            operation: .loop(
              step: step, count: count, stages: stages, load: load, body: body.joinedMaps()),
            location: statement.location))
      case .when(let lower, let upper, let body):
        flush()
        result.append(
          Statement(
            operation: .when(less: lower, than: upper, body: body.joinedMaps()), location: statement.location)
        )
      default:
        flush()
        result.append(statement)
      }
    }
    flush()
    return result
  }

  /// Counts how often each tile's content is read.
  package func countTileReads(into reads: inout [Int: Int]) {
    for statement in self {
      for tile in statement.operation.tilesRead { reads[tile.id, default: 0] += 1 }
      for block in statement.operation.blocks { block.countTileReads(into: &reads) }
    }
  }

  /// Counts how often each tile is written by anything but a load.
  package func countTileWrites(into writes: inout [Int: Int]) {
    for statement in self {
      for tile in statement.operation.tilesWritten { writes[tile.id, default: 0] += 1 }
      for block in statement.operation.blocks { block.countTileWrites(into: &writes) }
    }
  }

  fileprivate func droppingUnread(_ temporaries: Set<Int>, _ reads: [Int: Int]) -> [Statement] {
    compactMap { statement in
      var statement = statement
      switch statement.operation {
      case .map(var program):
        program.removeSteps { step in
          if case .store(_, let tile) = step {
            temporaries.contains(tile.id) && reads[tile.id] == nil
          } else {
            false
          }
        }
        if program.steps.allSatisfy(\.definesValue) { return nil }
        statement.operation = .map(program)
      case .loop(let step, let count, let stages, let load, let body):
        statement.operation = .loop(
          step: step, count: count, stages: stages, load: load, body: body.droppingUnread(temporaries, reads))
      case .when(let lower, let upper, let body):
        statement.operation = .when(
          less: lower, than: upper, body: body.droppingUnread(temporaries, reads))
      default: break
      }
      return statement
    }
  }
}

extension Operation {
  /// Tiles whose content the operation itself reads.
  package var tilesRead: [Tile] {
    switch self {
    case .load, .fill, .loop, .when: []
    case .store(let tile, _), .add(let tile, _): [tile]
    case .quantize(_, let source), .transpose(_, let source): [source]
    case .columns(_, let sources, _): sources
    case .matmul(let product):
      [product.left, product.right] + (product.continuing ? [product.accumulator] : [])
    case .map(let program): program.tilesRead
    }
  }

  /// Tiles the operation itself writes, loads left out.
  package var tilesWritten: [Tile] {
    switch self {
    case .load, .store, .add, .loop, .when: []
    case .fill(let tile, _), .quantize(let tile, _), .transpose(let tile, _), .columns(let tile, _, _): [tile]
    case .matmul(let product): [product.accumulator]
    case .map(let program): program.tilesWritten
    }
  }

  /// Nested statement lists.
  package var blocks: [[Statement]] {
    switch self {
    case .loop(_, _, _, let load, let body): [load, body]
    case .when(_, _, let body): [body]
    default: []
    }
  }
}

extension MapProgram {
  /// Tiles that are loaded, or continued by a reduction.
  package var tilesRead: [Tile] {
    steps.compactMap { step in
      switch step {
      case .load(let tile): tile
      case .reduce(_, _, let tile, true): tile
      default: nil
      }
    }
  }

  /// Tiles that are stored to or reduced into.
  package var tilesWritten: [Tile] {
    steps.compactMap { step in
      switch step {
      case .store(_, let tile), .reduce(_, _, let tile, _): tile
      default: nil
      }
    }
  }

  fileprivate func mentions(_ tile: Tile) -> Bool {
    tilesRead.contains { $0.id == tile.id } || tilesWritten.contains { $0.id == tile.id }
  }

  /// This chain followed by `next` as one chain, or `nil` where an element of `next` needs other elements first.
  fileprivate func joined(with next: MapProgram) -> MapProgram? {
    guard space.isCongruent(to: next.space), narrowType == next.narrowType else { return nil }
    // What steps compute and tiles of this type hold is the same.
    func isKept(_ tile: Tile) -> Bool { tile.type == narrowType ?? .float32 }
    var current: [Int: Int] = [:]  // tile → number of the value it holds
    var defined = 0
    for step in steps {
      if case .store(let value, let tile) = step, isKept(tile) { current[tile.id] = value }
      if step.definesValue { defined += 1 }
    }
    let reduced = Set(steps.compactMap { if case .reduce(_, _, let tile, _) = $0 { tile.id } else { nil } })
    let stored = Set(steps.compactMap { if case .store(_, let tile) = $0 { tile.id } else { nil } })
    let loaded = Set(tilesRead.filter { !$0.isCongruent(to: space) }.map(\.id))
    if next.tilesWritten.contains(where: { loaded.contains($0.id) || reduced.contains($0.id) }) { return nil }
    if next.tilesRead.contains(where: { reduced.contains($0.id) }) { return nil }
    if next.tilesRead.contains(where: { stored.contains($0.id) && !$0.isCongruent(to: space) }) { return nil }
    // What was rounded on its way into a tile is read back from there, once all of it is written.
    if next.tilesRead.contains(where: { stored.contains($0.id) && current[$0.id] == nil }) { return nil }
    var merged = self
    var numbers: [Int] = []  // value of `next` → value of the merged chain
    for step in next.steps {
      if case .load(let tile) = step, tile.isCongruent(to: space), let value = current[tile.id] {
        numbers.append(value)
        continue
      }
      merged.steps.append(step.renumbered { numbers[$0] })
      if step.definesValue {
        numbers.append(defined)
        defined += 1
      }
      if case .store(let value, let tile) = step {
        current[tile.id] = isKept(tile) ? numbers[value] : nil
      }
    }
    return merged.peakLiveValues <= Fusion.registerLimit ? merged : nil
  }

  /// Removes steps that define nothing, and then values that nobody uses.
  fileprivate mutating func removeSteps(where unwanted: (MapStep) -> Bool) {
    steps.removeAll { !$0.definesValue && unwanted($0) }
    var used: Set<Int> = []
    var kept: [Bool] = []
    var value = steps.count(where: \.definesValue)
    for step in steps.reversed() {
      if step.definesValue { value -= 1 }
      let keep = !step.definesValue || used.contains(value)
      if keep { used.formUnion(step.valuesUsed) }
      kept.append(keep)
    }
    kept.reverse()
    var numbers: [Int: Int] = [:]
    var result: [MapStep] = []
    var old = 0
    for (step, keep) in zip(steps, kept) {
      if keep { result.append(step.renumbered { numbers[$0] ?? 0 }) }
      if step.definesValue {
        if keep { numbers[old] = numbers.count }
        old += 1
      }
    }
    steps = result
  }

  /// Most values that are alive at once.
  package var peakLiveValues: Int {
    var last: [Int: Int] = [:]
    for (position, step) in steps.enumerated() {
      for value in step.valuesUsed { last[value] = position }
    }
    var live: Set<Int> = []
    var peak = 0
    var value = 0
    for (position, step) in steps.enumerated() {
      if step.definesValue {
        live.insert(value)
        value += 1
      }
      peak = max(peak, live.count)
      live = live.filter { last[$0, default: -1] > position }
    }
    return peak
  }
}

extension MapStep {
  /// Values it takes.
  package var valuesUsed: [Int] {
    switch self {
    case .compute(_, let values): values
    case .store(let value, _), .reduce(_, let value, _, _): [value]
    default: []
    }
  }

  fileprivate func renumbered(_ number: (Int) -> Int) -> MapStep {
    switch self {
    case .compute(let function, let values): .compute(function, values.map(number))
    case .store(let value, let tile): .store(value: number(value), to: tile)
    case .reduce(let reduction, let value, let tile, let continuing):
      .reduce(reduction, value: number(value), into: tile, continuing: continuing)
    default: self
    }
  }
}
