internal import Memory
internal import Tiles

/// Fragments of 16-bit numbers of which a register holds two, because instructions take them so.
extension Placement {
  /// Sums of products that may be kept in 16 bits, by tile, with the tile that each is rounded to, whose registers it then has: chain by
  /// chain, those that one chain rounds.
  ///
  /// Such a sum is written by products alone, in order, and read by one chain that does nothing but round.
  func roundedSums(_ statements: [Statement]) -> [[Int: Tile]] {
    var found = statements.flatMap { $0.operation.blocks.flatMap { roundedSums($0) } }
    // Where products of the next step are begun beside this one's, the tile may still be read.
    guard !kernel.schedule.overlapsSteps else { return found }
    for (position, statement) in statements.enumerated() {
      guard case .map(let program) = statement.operation, let casts = program.casts,
        casts.allSatisfy({ isKeptNarrow($0.from, as: $0.to, roundedAt: position, in: statements) })
      else { continue }
      found.append(Dictionary(uniqueKeysWithValues: casts.map { ($0.from.id, $0.to) }))
    }
    return found
  }

  private func isKeptNarrow(
    _ sum: Tile, as rounded: Tile, roundedAt position: Int, in statements: [Statement]
  ) -> Bool {
    guard rounded.type == .float16, isWholePair(rounded.id), !kernel.asides.contains(rounded.id) else {
      return false
    }
    let writers = statements.indices.filter { statements[$0].writes(sum) }
    guard let first = writers.first, let last = writers.last, last < position else { return false }
    let areProducts = writers.allSatisfy { writer in
      guard case .matmul(let product) = statements[writer].operation else { return false }
      return product.narrowType == rounded.type && product.continuing == (writer != first)
    }
    let readers = statements.indices.filter { statements[$0].reads(sum) && !writers.contains($0) }
    // From the first product on, the registers hold the new sum.
    let isTaken = statements.indices.contains { place in
      if case .load(rounded, _) = statements[place].operation { return true }
      return place < position && statements[place].reads(rounded)
        || place != position && statements[place].writes(rounded)
    }
    return areProducts && readers == [position] && !isTaken && isOnlyIn(statements, [sum, rounded])
  }

  /// Whether nothing outside of the list touches the tiles.
  private func isOnlyIn(_ statements: [Statement], _ tiles: [Tile]) -> Bool {
    func touches(_ statement: Statement) -> Bool {
      tiles.contains { statement.reads($0) || statement.writes($0) }
    }
    func count(_ statements: [Statement]) -> Int {
      statements.reduce(0) { sum, statement in
        let inner = statement.operation.blocks.reduce(0) { $0 + count($1) }
        return sum + inner + (statement.operation.blocks.isEmpty && touches(statement) ? 1 : 0)
      }
    }
    return count(kernel.body) == count(statements)
  }

  /// Fragments that 16-bit arithmetic touches, and those that columns of them are or become. Products may take them too, if all of them
  /// is there: nothing is cleared then.
  ///
  /// - Parameter rounded: tiles whose registers sums in 16 bits have.
  func narrow(rounded: [Tile]) -> Set<Int> {
    var found = Set(rounded.map(\.id))
    var joined: [Set<Int>] = []
    var refused: Set<Int> = []
    func visit(_ statements: [Statement]) {
      for statement in statements {
        let tiles = Set((statement.operation.tilesRead + statement.operation.tilesWritten).map(\.id))
        switch statement.operation {
        case .map(let program): if program.narrowType != nil { found.formUnion(tiles) }
        case .columns: joined.append(tiles)
        case .matmul: break
        case .store(let tile, let reference) where reference.tensor.type == tile.type: break
        case .load(let tile, let reference):
          if reference.tensor.access != .scratch { refused.insert(tile.id) }
        case .loop, .when: for block in statement.operation.blocks { visit(block) }
        default: if !statement.staysInThreads { refused.formUnion(tiles) }
        }
      }
    }
    visit(kernel.body)
    func spread(_ set: inout Set<Int>) {
      var count = -1
      while count != set.count {
        count = set.count
        for tiles in joined where !tiles.isDisjoint(with: set) { set.formUnion(tiles) }
      }
    }
    spread(&found)
    for number in found where !isWholePair(number) { refused.insert(number) }
    spread(&refused)
    return found.subtracting(refused)
  }

  /// Whether the tile is a fragment of 16-bit numbers of which all are there, two beside each other in a thread.
  private func isWholePair(_ number: Int) -> Bool {
    guard case .fragment(_, let columns, _) = places[number], let tile = tiles[number] else { return false }
    return columns % 8 == 0 && [.bfloat16, .float16].contains(tile.type)
      && tile.validRows.constantValue == tile.rows && tile.validColumns.constantValue == tile.columns
  }
}

extension MapProgram {
  /// Which tiles it stores as others, each once, if it does nothing else.
  fileprivate var casts: [(from: Tile, to: Tile)]? {
    var loaded: [Int: Tile] = [:]
    var casts: [(from: Tile, to: Tile)] = []
    var value = 0
    for step in steps {
      switch step {
      case .load(let tile): loaded[value] = tile
      case .store(let source, let tile):
        guard let from = loaded.removeValue(forKey: source), from.isCongruent(to: tile) else { return nil }
        casts.append((from, tile))
      default: return nil
      }
      if step.definesValue { value += 1 }
    }
    let areDistinct = [casts.map(\.from.id), casts.map(\.to.id)].allSatisfy { Set($0).count == casts.count }
    return loaded.isEmpty && areDistinct ? casts : nil
  }
}
