internal import Memory
internal import Tiles

/// The form that fits every kernel: a block a task, tiles in shared memory, all threads at one statement at a time.
///
/// Tiles that are only loaded from inputs are not copied: they stay where they are, and readers decode them.
struct BlockLowering {
  let kernel: Kernel
  let body: [Statement]
  var index: IndexPrinter
  var code = CodeWriter(depth: 1)
  let lifetimes: Lifetimes
  /// Tiles that are read in place.
  let views: [Int: TileReference]
  /// Where the others lie in shared memory.
  let offsets: [Int: Int]
  let sharedBytes: Int
  /// Tiles that products write: their sides are those of the factors.
  private let products: Set<Int>
  /// First reason why the kernel cannot be printed.
  var problem: String?

  static let threads = 256
  /// Where products put pieces of their factors.
  static let stageBytes = 9728

  init(_ kernel: Kernel, body: [Statement]) {
    self.kernel = kernel
    self.body = body
    index = IndexPrinter(kernel: kernel)
    views = Self.views(body)
    products = Self.products(body)
    lifetimes = Lifetimes(body, ignoring: Set(views.keys))
    let arena = TileArena(lifetimes)
    offsets = arena.offsets.mapValues { $0 + Self.stageBytes }
    sharedBytes = Self.stageBytes + arena.bytes
  }

  /// Tiles that one load from an input brings in and nothing else writes.
  private static func views(_ body: [Statement]) -> [Int: TileReference] {
    var views: [Int: TileReference] = [:]
    var others: Set<Int> = []
    body.forEachOperation { operation in
      others.formUnion(operation.tilesWritten.map(\.id))
      guard case .load(let tile, let reference) = operation else { return }
      if reference.tensor.access != .input || views[tile.id] != nil || reference.fold != nil {
        others.insert(tile.id)
      }
      views[tile.id] = reference
    }
    return views.filter { !others.contains($0.key) }
  }

  private static func products(_ body: [Statement]) -> Set<Int> {
    var products: Set<Int> = []
    body.forEachOperation { if case .matmul(let product) = $0 { products.insert(product.accumulator.id) } }
    return products
  }

  mutating func program(_ target: CUDATarget) throws(ExecutionError) -> CUDAProgram {
    printKernel()
    if let problem { throw .invalid(kernel: kernel.name, reason: problem) }
    let entry = CUDAProgram.entryName(kernel)
    let source = [
      "// \(plan)", Prelude.integers, Prelude.elementary, Prelude.elements, Prelude.blocks, Prelude.functions,
      Prelude.products,
      kernel.schedule.startsEarly ? Prelude.follow : "", CUDAProgram.argumentsType(kernel, tensorMaps: 0),
      """
      extern "C" __global__ void __launch_bounds__(\(Self.threads), 1)
      \(entry)(const __grid_constant__ Arguments a) {
      \(kernel.schedule.startsEarly ? "  follow();" : "")
      """, code.text, "}", "",
    ].joined(separator: "\n")
    return CUDAProgram(
      kernel: kernel, entry: entry, source: source, target: target, threads: Self.threads,
      sharedBytes: sharedBytes, grid: .tasks, plan: [plan])
  }

  private var plan: String {
    "\(kernel.name): tiles in shared memory, \(Self.threads) threads a task, \(sharedBytes) bytes of shared memory, "
      + "\(offsets.count) tiles there and \(views.count) read in place"
      + (body == kernel.body ? "" : ", task cut into slabs")
  }

  private mutating func printKernel() {
    code.line("extern __shared__ __align__(16) u8 memory[];")
    code.line("const int thread = threadIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;")
    code.line("(void)thread, (void)warp, (void)lane;")
    code.open("for (int number = blockIdx.x; number < a.tasks; number += gridDim.x)")
    for line in CUDAProgram.coordinates(kernel, index) { code.line(line) }
    body.forEachOperation { operation in
      for expression in operation.indices { for line in index.hoist(expression) { code.line(line) } }
    }
    for tile in views.keys.sorted() { code.line("long long o\(tile) = 0;") }
    for (number, tile) in lifetimes.tiles.sorted(by: { $0.key < $1.key }) {
      if hasVariable(tile, tile.validRows) { code.line("int m\(number) = 0;") }
      if hasVariable(tile, tile.validColumns) { code.line("int n\(number) = 0;") }
    }
    print(body)
    code.close()
  }

  mutating func print(_ body: [Statement]) { for statement in body { print(statement.operation) } }

  private mutating func print(_ operation: Tiles.Operation) {
    for tile in operation.tilesWritten { printSize(tile) }
    switch operation {
    case .load(let tile, let reference): printLoad(tile, reference)
    case .store(let tile, let reference): printStore(tile, reference, adds: false)
    case .add(let tile, let reference): printStore(tile, reference, adds: true)
    case .fill(let tile, let value):
      printElements(tile) { "\($0.write(tile, "row", "column", value.printed))" }
    case .transpose(let tile, let source):
      printElements(tile) { $0.write(tile, "row", "column", $0.read(source, "column", "row")) }
    case .columns(let tile, let sources, let first):
      printElements(tile) { lowering in
        var reads = lowering.read(sources[0], "row", "(column + \(first))")
        var start = sources[0].columns
        for source in sources.dropFirst() {
          let place = "(column - \(start - first))"
          reads = "(column < \(start - first) ? \(reads) : \(lowering.read(source, "row", place)))"
          start += source.columns
        }
        return lowering.write(tile, "row", "column", reads)
      }
    case .map(let program): printMap(program)
    case .quantize(let tile, let source): printQuantize(tile, source)
    case .matmul(let product): printMatmul(product)
    case .loop(let step, let count, _, let load, let body):
      code.open("for (int step\(step) = 0, end = \(index(count)); step\(step) < end; ++step\(step))")
      print(load + body)
      code.close()
    case .when(let lower, let upper, let body):
      code.open("if (\(index(lower)) < \(index(upper)))")
      print(body)
      code.close()
    }
  }

  /// Whether a side's valid extent is a variable: it is not where it is known while recording.
  private func hasVariable(_ tile: Tile, _ valid: Index) -> Bool {
    products.contains(tile.id) || valid.constantValue == nil
  }

  /// Rows that the tile holds.
  func rows(_ tile: Tile) -> String {
    hasVariable(tile, tile.validRows) ? "m\(tile.id)" : index(tile.validRows)
  }

  /// Columns that the tile holds.
  func columns(_ tile: Tile) -> String {
    hasVariable(tile, tile.validColumns) ? "n\(tile.id)" : index(tile.validColumns)
  }

  /// Sets how many rows and columns the tile holds from now on.
  mutating func printSize(_ tile: Tile) {
    if hasVariable(tile, tile.validRows) { code.line("m\(tile.id) = max(0, \(index(tile.validRows)));") }
    if hasVariable(tile, tile.validColumns) {
      code.line("n\(tile.id) = max(0, \(index(tile.validColumns)));")
    }
  }

  /// A statement for each valid element of a tile, `row` and `column`, then a barrier.
  mutating func printElements(_ tile: Tile, _ statement: (BlockLowering) -> String) {
    code.line("#pragma unroll 1")
    code.open("for (int e = thread; e < \(rows(tile)) * \(columns(tile)); e += \(Self.threads))")
    code.line("const int row = e / \(columns(tile)), column = e - row * \(columns(tile));")
    code.line(statement(self))
    code.close()
    code.line("__syncthreads();")
  }

  mutating func fail(_ reason: String) { if problem == nil { problem = reason } }
}
