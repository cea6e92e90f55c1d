internal import Memory
internal import Tiles

/// The form of kernels whose rows do not mix: tiles lie in registers, rows dealt to groups of lanes.
///
/// Each group runs the task's whole program for its row; loads and stores are 16 bytes wide where addresses allow it.
struct RowsLowering {
  let kernel: Kernel
  let layout: RowsLayout
  var index: IndexPrinter
  var code = CodeWriter(depth: 1)
  /// Loads that wait until their tile is read, so that few tiles are alive at a time.
  private var waiting: [Int: (tile: Tile, reference: TileReference)] = [:]
  private var usesBlocks = false
  /// Sums and maxima of a loop that each lane keeps for itself until the loop is done.
  var deferred: [Int: MapStep.Reduction] = [:]
  /// Whether what is printed is for rows that are there from end to end.
  var isWhole = false
  /// Tiles that are loaded once for all rows of a task.
  private var common: Set<Int> = []

  init(_ kernel: Kernel, _ layout: RowsLayout) {
    self.kernel = kernel
    self.layout = layout
    index = IndexPrinter(kernel: kernel)
  }

  mutating func program(_ target: CUDATarget) -> CUDAProgram {
    printKernel()
    let entry = CUDAProgram.entryName(kernel)
    let source = [
      "// \(plan)", Prelude.integers, Prelude.elementary, Prelude.elements, Prelude.functions,
      usesBlocks ? Prelude.blocks : "",
      Prelude.rows, kernel.schedule.startsEarly ? Prelude.follow : "",
      CUDAProgram.argumentsType(kernel, tensorMaps: 0),
      """
      extern "C" __global__ void __launch_bounds__(\(layout.threads), \(blocksAtOnce))
      \(entry)(const __grid_constant__ Arguments a) {
      """, code.text, "}", "",
    ].joined(separator: "\n")
    return CUDAProgram(
      kernel: kernel, entry: entry, source: source, target: target, threads: layout.threads, sharedBytes: 0,
      grid: layout.tasks == 1 ? .tasks : .persistent(perMultiprocessor: 2048 / layout.threads), plan: [plan])
  }

  /// Numbers of tiles that a lane holds at most.
  private var numbers: Int { Lifetimes(kernel.body).peak { layout.count($0) } }

  /// Whether registers are left for vectors that are under way, of all loads of a block together.
  var loadsAhead: Bool {
    let registers = min(255, 65536 / (layout.threads * blocksAtOnce))
    return registers - numbers >= 32 && registers - largestLoads(kernel.body) >= 40
  }

  /// Numbers that the loads of one block, or of one of those within it, bring to a lane.
  private func largestLoads(_ body: [Statement]) -> Int {
    var (own, within) = (0, 0)
    for statement in body {
      if case .load(let tile, _) = statement.operation, tile.columns > 1 { own += layout.count(tile) }
      for block in statement.operation.blocks { within = max(within, largestLoads(block)) }
    }
    return max(own, within)
  }

  /// Blocks that a multiprocessor must have room for, so that some compute while others wait for memory. A step's kernels, which are
  /// over as soon as the memory has answered, are held to it with a few more numbers than others can be without spilling.
  private var blocksAtOnce: Int {
    layout.warps == 1 && numbers <= (kernel.schedule.startsEarly ? 120 : 112)
      ? max(1, 512 / layout.threads) : 1
  }

  private var plan: String {
    "\(kernel.name): rows in registers, \(layout.lanes) lanes a row, \(layout.groups) rows at a time of "
      + "\(layout.rows), \(layout.tasks) tasks a block of \(layout.threads) threads, vectors of \(layout.vector), "
      + "\(numbers) numbers a lane in tiles, no dynamic shared memory"
  }

  private mutating func printKernel() {
    if layout.warps > 1 { code.line("__shared__ float partial[\(layout.threads / 32)];") }
    code.line("const int lane = threadIdx.x % \(layout.lanes);")
    code.line("const int group = threadIdx.x % \(layout.taskThreads) / \(layout.lanes);")
    let first =
      layout.tasks == 1
      ? "blockIdx.x" : "blockIdx.x * \(layout.tasks) + (int)threadIdx.x / \(layout.taskThreads)"
    if kernel.schedule.startsEarly {
      printEarly(first: first)
      code.line("follow();")
    }
    let conditions = wholeConditions()
    if conditions.isUseful {
      code.line("const bool aligned = \(conditions.launch.joined(separator: "\n    && "));")
    }
    code.open("for (int number = \(first); number < a.tasks; number += gridDim.x * \(layout.tasks))")
    for line in CUDAProgram.coordinates(kernel, index) { code.line(line) }
    kernel.body.forEachOperation { operation in
      for expression in operation.indices { for line in index.hoist(expression) { code.line(line) } }
    }
    // Expressions have their names by now.
    if conditions.isUseful { printBodies(wholeConditions()) } else { printRows() }
    code.close()
  }

  /// Asks for what the first task takes of some tensors, in all turns of its loops.
  private mutating func printEarly(first: String) {
    let loads = prefetches(kernel.body)
    let loops = kernel.body.compactMap { statement -> (step: Int, count: Index, loads: [Prefetch])? in
      guard case .loop(let step, let count, _, let load, let body) = statement.operation,
        !count.readsElements
      else { return nil }
      let loads = prefetches(load + body)
      return loads.isEmpty ? nil : (step, count, loads)
    }
    guard !loads.isEmpty || !loops.isEmpty else { return }
    code.open("for (int number = \(first); number < a.tasks; number = a.tasks)")
    for line in CUDAProgram.coordinates(kernel, index) { code.line(line) }
    code.line("const int row = group;")
    for (tile, reference) in loads + loops.flatMap(\.loads) {
      for expression in reference.origin + [tile.validRows, tile.validColumns] {
        for line in index.hoist(expression) { code.line(line) }
      }
    }
    for (tile, reference) in loads { printPrefetch(tile, reference) }
    for loop in loops {
      for line in index.hoist(loop.count) { code.line(line) }
      code.open(
        "for (int step\(loop.step) = 0, end = \(index(loop.count)); step\(loop.step) < end; ++step\(loop.step))"
      )
      for (tile, reference) in loop.loads { printPrefetch(tile, reference) }
      code.close()
    }
    index.hoisted = [:]
    code.close()
  }

  private typealias Prefetch = (tile: Tile, reference: TileReference)

  /// Loads of tensors that are asked for early. What lies where the data says is not.
  private func prefetches(_ body: [Statement]) -> [Prefetch] {
    body.compactMap { statement in
      guard case .load(let tile, let reference) = statement.operation, tile.columns > 1,
        kernel.schedule.prefetched.contains(reference.tensor.number), canPrefetch(reference),
        !(reference.origin + [tile.validRows, tile.validColumns]).contains(where: \.readsElements)
      else { return nil }
      return (tile, reference)
    }
  }

  /// The task's program for each of a group's rows.
  mutating func printRows() {
    let common = commonLoads()
    self.common = Set(common.map(\.tile.id))
    declareTiles { [own = self.common] in own.contains($0.id) }
    for (tile, reference) in common { printLoad(tile, reference) }
    if layout.passes > 1 {
      code.line("#pragma unroll \(rowsAtOnce(common, numbers: numbers))")
      code.open("for (int pass = 0; pass < \(layout.passes); ++pass)")
      code.line("const int row = pass * \(layout.groups) + group;")
    } else {
      code.line("const int row = group;")
    }
    declareTiles { [own = self.common] in !own.contains($0.id) }
    print(kernel.body)
    if layout.passes > 1 { code.close() }
  }

  private mutating func declareTiles(_ isWanted: (Tile) -> Bool) {
    let tiles = Lifetimes(kernel.body).tiles.values.filter(isWanted).sorted { $0.id < $1.id }
    for tile in tiles {
      code.line(
        tile.columns == 1
          ? "float t\(tile.id);  // \(tile)" : "float t\(tile.id)[\(layout.count(tile))];  // \(tile)")
      if tile.type == .q16_rows {
        code.line("float s\(tile.id)[\(layout.count(tile) / layout.vector)];  // its scales")
      }
    }
  }

  // MARK: Statements

  private mutating func print(_ body: [Statement]) {
    for statement in body {
      let operation = statement.operation
      if operation.blocks.isEmpty {
        for tile in operation.tilesRead + operation.tilesWritten { bringIn(tile) }
      } else {
        bringInAll()
      }
      print(operation)
    }
    bringInAll()
  }

  private mutating func bringIn(_ tile: Tile) {
    guard let load = waiting.removeValue(forKey: tile.id) else { return }
    printLoad(load.tile, load.reference)
  }

  private mutating func bringInAll() {
    for tile in waiting.keys.sorted() { waiting[tile].map { bringIn($0.tile) } }
  }

  private mutating func print(_ operation: Tiles.Operation) {
    switch operation {
    case .load(let tile, let reference):
      if reference.tensor.type.isBlocked { usesBlocks = true }
      if !common.contains(tile.id) { waiting[tile.id] = (tile, reference) }
    case .store(let tile, let reference), .add(let tile, let reference):
      // What is still to be read of the tensor is read before it is written.
      for (_, load) in waiting.sorted(by: { $0.key < $1.key })
      where load.reference.tensor.number == reference.tensor.number { bringIn(load.tile) }
      printStore(tile, reference, adds: operation == .add(tile, to: reference))
    case .fill(let tile, let value): printFill(tile, value)
    case .map(let program): printMap(program)
    case .quantize(let tile, let source):
      code.line("quantize_row<\(layout.vector)>(t\(tile.id), s\(tile.id), t\(source.id));")
    case .loop(let step, let count, _, let load, let body):
      let own = deferrable(load + body)
      for (tile, kind) in own.sorted(by: { $0.key < $1.key }) {
        code.line("float d\(tile) = \(kind.identity);")
        deferred[tile] = kind
      }
      let turns = turnsAtOnce(load + body)
      if turns > 1 { code.line("#pragma unroll \(turns)") }
      code.open("for (int step\(step) = 0, end = \(index(count)); step\(step) < end; ++step\(step))")
      print(load + body)
      code.close()
      for (tile, kind) in own.sorted(by: { $0.key < $1.key }) {
        deferred[tile] = nil
        code.line("t\(tile) = \(kind.combined("t\(tile)", combineLanes("d\(tile)", kind)));")
      }
    case .when(let lower, let upper, let body):
      code.open("if (\(index(lower)) < \(index(upper)))")
      print(body)
      code.close()
    case .matmul, .transpose, .columns: break  // the layout refuses them
    }
  }

  /// Tiles that a loop's body does nothing with but add to them along rows, or take maxima into them.
  private func deferrable(_ body: [Statement]) -> [Int: MapStep.Reduction] {
    var found: [Int: MapStep.Reduction] = [:]
    var others: Set<Int> = []
    body.forEachOperation { operation in
      guard case .map(let program) = operation else {
        others.formUnion(operation.tiles.map(\.id))
        return
      }
      for step in program.steps {
        switch step {
        case .load(let tile), .store(_, let tile): others.insert(tile.id)
        case .reduce(let kind, _, let tile, let continuing):
          if !continuing || program.space.columns == 1 || found[tile.id, default: kind] != kind {
            others.insert(tile.id)
          }
          found[tile.id] = kind
        default: break
        }
      }
    }
    return found.filter { !others.contains($0.key) && deferred[$0.key] == nil }
  }

  private mutating func printFill(_ tile: Tile, _ value: Float) {
    if tile.columns > 1 {
      code.line("#pragma unroll")
      code.line("for (int i = 0; i < \(layout.count(tile)); ++i) t\(tile.id)[i] = \(value.printed);")
    } else {
      code.line("t\(tile.id) = \(value.printed);")
    }
  }
}
