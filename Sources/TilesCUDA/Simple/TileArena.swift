internal import Memory
internal import Tiles

/// Places in shared memory for tiles: those never alive together may share one.
struct TileArena {
  /// Where each tile begins.
  private(set) var offsets: [Int: Int] = [:]
  /// Bytes of all.
  private(set) var bytes = 0

  init(_ lifetimes: Lifetimes) {
    var owner: [Int: Int] = [:]
    var spans = lifetimes.spans
    // An elementwise result takes the place of an operand that ends there: a thread reads an element before it writes it.
    for (place, program) in lifetimes.maps {
      for (number, step) in program.steps.enumerated() {
        guard case .store(_, let result) = step, spans[result.id]?.lowerBound == place + 1 else { continue }
        let operand = program.tilesRead.first { operand in
          spans[operand.id]?.upperBound == place && operand.id != result.id && owner[operand.id] == nil
            && operand.isCongruent(to: result) && operand.isCongruent(to: program.space)
            && operand.sharedBytes == result.sharedBytes && operand.type == result.type
            && !program.reads(operand, from: number)
        }
        guard let operand, let before = spans[operand.id], let after = spans[result.id] else { continue }
        // Told apart by the root of a chain of such tiles, which all lie at one place.
        owner[operand.id] = result.id
        spans[result.id] = before.lowerBound...after.upperBound
      }
    }
    func root(_ tile: Int) -> Int { owner[tile].map(root) ?? tile }
    let roots = spans.keys.filter { owner[$0] == nil }.sorted {
      (lifetimes.tiles[$0]?.sharedBytes ?? 0, $1) > (lifetimes.tiles[$1]?.sharedBytes ?? 0, $0)
    }
    var placed: [(span: ClosedRange<Int>, range: Range<Int>)] = []
    for tile in roots {
      guard let alive = spans[tile], let size = lifetimes.tiles[tile]?.sharedBytes else { continue }
      // What a chain reads elsewhere than it writes must last until all threads are through.
      let span = alive.lowerBound...(alive.upperBound | 1)
      var start = 0
      for other in placed.sorted(by: { $0.range.lowerBound < $1.range.lowerBound })
      where other.span.overlaps(span) && other.range.overlaps(start..<start + size) {
        start = other.range.upperBound
      }
      placed.append((span, start..<start + size))
      offsets[tile] = start
      bytes = max(bytes, start + size)
    }
    for tile in spans.keys where owner[tile] != nil { offsets[tile] = offsets[root(tile)] }
  }
}

extension Tile {
  /// Bytes it takes in shared memory, scales of integer groups after the integers.
  var sharedBytes: Int {
    let numbers = rows * columns * storageBytes
    return (numbers + (type == .q16_rows ? rows * columns / 32 * 4 : 0) + 15) / 16 * 16
  }

  /// Bytes of one number in shared memory.
  var storageBytes: Int {
    switch type {
    case .bfloat16, .float16, .q16_rows: 2
    case .int8: 1
    default: 4
    }
  }
}

extension MapProgram {
  /// Whether the tile is loaded by a step after that one.
  fileprivate func reads(_ tile: Tile, from step: Int) -> Bool {
    steps[step...].contains { if case .load(let other) = $0 { other.id == tile.id } else { false } }
  }
}
