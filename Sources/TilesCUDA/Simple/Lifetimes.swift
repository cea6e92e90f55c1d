internal import Tiles

/// From where to where in a body each tile's content is needed: even places are reads of a statement, odd ones writes.
struct Lifetimes {
  /// Places by tile.
  private(set) var spans: [Int: ClosedRange<Int>] = [:]
  /// Every tile named, by number.
  private(set) var tiles: [Int: Tile] = [:]
  /// Place of each map, in the order in which they stand.
  private(set) var maps: [(place: Int, program: MapProgram)] = []
  private var place = 0

  /// - Parameter ignored: tiles that need no room.
  init(_ body: [Statement], ignoring ignored: Set<Int> = []) {
    visit(body, isConditional: false)
    for tile in ignored { spans[tile] = nil }
  }

  private mutating func visit(_ body: [Statement], isConditional: Bool) {
    for statement in body {
      place += 2
      let operation = statement.operation
      if case .map(let program) = operation { maps.append((place, program)) }
      // All but elementwise chains read while they write: their operands last to the end of the statement.
      let isMap = if case .map = operation { true } else { false }
      for tile in operation.tilesRead { touch(tile, isMap ? place : place + 1) }
      if case .load(let tile, _) = operation { touch(tile, place + 1) }
      for tile in operation.tilesWritten { touch(tile, place + 1) }
      switch operation {
      case .loop(_, _, _, let load, let inner): visitLoop(load + inner)
      case .when(_, _, let inner): visit(inner, isConditional: true)
      default: break
      }
    }
  }

  private mutating func visitLoop(_ body: [Statement]) {
    let first = place + 2
    visit(body, isConditional: false)
    let last = place + 1
    let carried = Self.carried(body)
    for (tile, span) in spans where span.upperBound >= first {
      if span.lowerBound < first || carried.contains(tile) {
        spans[tile] = min(span.lowerBound, first)...last
      }
    }
  }

  /// Tiles of a loop's body whose content of the step before is used.
  private static func carried(_ body: [Statement]) -> Set<Int> {
    var written: Set<Int> = []
    var carried: Set<Int> = []
    func visit(_ body: [Statement], isCertain: Bool) {
      for statement in body {
        for tile in statement.operation.tilesRead where !written.contains(tile.id) { carried.insert(tile.id) }
        var writes = statement.operation.tilesWritten
        if case .load(let tile, _) = statement.operation { writes.append(tile) }
        if isCertain {
          written.formUnion(writes.map(\.id))
        } else {
          carried.formUnion(writes.map(\.id).filter { !written.contains($0) })
        }
        for block in statement.operation.blocks { visit(block, isCertain: false) }
      }
    }
    visit(body, isCertain: true)
    return carried
  }

  private mutating func touch(_ tile: Tile, _ place: Int) {
    tiles[tile.id] = tile
    let span = spans[tile.id] ?? place...place
    spans[tile.id] = min(span.lowerBound, place)...max(span.upperBound, place)
  }

  /// Most that is alive at once, where a tile weighs what `weight` says.
  func peak(_ weight: (Tile) -> Int) -> Int {
    let all = spans.compactMap { number, span in tiles[number].map { (span, weight($0)) } }
    return all.map { one in all.reduce(0) { $0 + ($1.0.contains(one.0.lowerBound) ? $1.1 : 0) } }.max() ?? 0
  }
}
