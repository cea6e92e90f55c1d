internal import Memory
internal import Tiles

/// How the rows of a task's tiles are dealt to groups of lanes, and their columns to lanes.
struct RowsLayout {
  /// Rows of the task's tiles; tiles of one row are held by every group.
  let rows: Int
  /// Consecutive numbers of a row in one lane: 16 bytes of the narrowest type in memory.
  let vector: Int
  /// Lanes that share a row: a power of two up to 32, or whole warps.
  let lanes: Int
  /// Rows that a task has in hand at a time.
  let groups: Int
  /// Tasks that share a block.
  let tasks: Int

  /// Where a tensor is read or written.
  private struct Place: Hashable {
    let reference: TileReference
    let rows: Int
    let columns: Int

    init(_ tile: Tile, _ reference: TileReference) {
      (self.reference, rows, columns) = (reference, tile.rows, tile.columns)
    }
  }

  /// Numbers of registers that a lane spends on tiles.
  static let columnRegisters = 96
  /// The same where a row is added up several times.
  static let reducedRegisters = 144

  /// The layout, or `nil` where rows mix or cannot be dealt out.
  init?(_ kernel: Kernel) {
    var tiles: [Tile] = []
    var isPossible = true
    var isNarrow = false
    var reductions = 0
    var mixesLanes = false
    var stored: [Int: Set<Place>] = [:]
    var loaded: [Int: Set<Place>] = [:]
    kernel.body.forEachOperation { operation in
      tiles += operation.tiles
      switch operation {
      case .matmul, .transpose, .columns: isPossible = false
      case .load(let tile, let reference):
        loaded[reference.tensor.number, default: []].insert(Place(tile, reference))
        if tile.type.isBlocked || reference.fold != nil { isPossible = false }
        if tile.columns > 1, reference.tensor.type.blockBytes <= 2 { isNarrow = true }
      case .store(let tile, let reference):
        stored[reference.tensor.number, default: []].insert(Place(tile, reference))
        if reference.fold != nil { isPossible = false }
        if tile.columns > 1, reference.tensor.type.blockBytes <= 2 { isNarrow = true }
      case .add(let tile, let reference):
        stored[reference.tensor.number, default: []].insert(Place(tile, reference))
      case .map(let program):
        tiles.append(program.space)
        if program.space.columns > 1 { reductions += program.reductions.count }
      case .quantize: mixesLanes = true
      default: break
      }
    }
    let rows = tiles.map(\.rows).max() ?? 1
    // Rows run apart from each other: none may read what another one wrote, and a lane no more than it wrote itself. What is read and
    // written at one place only is each row's own.
    let areApart = loaded.allSatisfy { number, places in
      guard let others = stored[number] else { return true }
      return places == others && places.count == 1 && places.allSatisfy { $0.rows == rows }
    }
    guard isPossible, areApart, tiles.allSatisfy({ $0.rows == rows || $0.rows == 1 })
    else { return nil }
    let columns = tiles.map(\.columns).max() ?? 1
    let vector = isNarrow ? 8 : 4
    let held = Lifetimes(kernel.body).peak { $0.columns > 1 ? $0.columns : 0 }
    var warps = 1
    // Warps that share a row wait for each other at every sum; one does not, which is worth more than many warps where
    // there are many sums.
    if reductions < 3 || held > Self.reducedRegisters * 32 {
      while warps < 32, held > Self.columnRegisters * 32 * warps { warps *= 2 }
    }
    guard held <= 2 * Self.columnRegisters * 32 * warps else { return nil }
    var lanes = 32 * warps
    if warps == 1 { while lanes > 1, lanes / 2 * vector >= columns { lanes /= 2 } }
    let quantises = mixesLanes || tiles.contains { $0.type == .q16_rows }
    // A group of 32 numbers shares a scale.
    self.lanes = quantises ? max(lanes, 32 / vector) : lanes
    self.rows = rows
    self.vector = vector
    // Lanes that ask each other are whole warps; others are dealt to tasks where there are more than a row's.
    mixesLanes = quantises || reductions > 0
    var groups = 1
    while groups * 2 * self.lanes <= 256, groups < rows || mixesLanes && groups * self.lanes < 32 {
      groups *= 2
    }
    self.groups = groups
    tasks = warps == 1 ? max(1, 128 / (groups * self.lanes)) : 1
    // Whole vectors of narrow tiles may be more than what was reckoned with.
    guard Lifetimes(kernel.body).peak(count) <= 2 * Self.columnRegisters else { return nil }
  }

  /// Threads of a task.
  var taskThreads: Int { groups * lanes }
  /// Threads of a block.
  var threads: Int { tasks * taskThreads }
  /// Warps that share a row.
  var warps: Int { max(1, lanes / 32) }
  /// How often a task's groups take a row.
  var passes: Int { (rows + groups - 1) / groups }
  /// Numbers of a tile in one lane.
  func count(_ tile: Tile) -> Int { (tile.columns + lanes * vector - 1) / (lanes * vector) * vector }
  /// Whether each group has rows of its own of that tile.
  func isDealt(_ tile: Tile) -> Bool { tile.rows == rows }
}
