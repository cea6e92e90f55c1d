internal import Memory
package import Tiles

/// The form for kernels made of 16-bit products on sm_90a: one warp loads tiles into rings with bulk copies, groups of
/// 128 threads multiply them, and blocks stay on their multiprocessor while tasks last.
///
/// Spector et al., “ThunderKittens”, 2024, arXiv:2410.20399.
package struct PipelinedLowering {
  let kernel: Kernel
  let placement: Placement
  var index: IndexPrinter
  var rings: [Ring]
  var code = CodeWriter(depth: 1)
  var products: Set<WarpgroupProduct> = []
  /// Types of blocks that are decoded to factors.
  var packedTypes: Set<ElementType> = []
  /// Types of pairs that elementwise steps compute with.
  var narrowTypes: Set<ElementType> = []
  var maps: [CUDAProgram.TensorMap] = []
  /// Tensors of which threads read two numbers at a time.
  var pairedReads: Set<Int> = []
  /// Tensors of which threads copy rows of folded sequences.
  var folds: Set<Int> = []
  var copyRanks: Set<Int> = []
  var prefetchRanks: Set<Int> = []
  var storeRanks: Set<Int> = []
  var addRanks: Set<Int> = []
  /// Where staged tiles lie, by tile.
  var stagedOffsets: [Int: Int] = [:]
  /// Where tiles lie that were set aside, by tile, as far as there is room: a thread's numbers are its own.
  var asideOffsets: [Int: Int] = [:]
  /// Where rows of numbers lie, by tile.
  var rowOffsets: [Int: Int] = [:]
  /// Where the groups' parts of numbers of rows lie, by tile.
  var exchangeOffsets: [Int: Int] = [:]
  /// Where each group's buffers for stores lie; `nil` where nothing is stored through them.
  var storeOffset: Int?
  /// Buffers of a group: two, so that the next is written while the last is copied, or one where two have no room.
  var storeBuffers = 2
  var barrierOffset = 0
  /// Rings of which the slot before the present one is read.
  var behind: Set<Int> = []
  var sharedBytes = 0
  /// First reason why the kernel does not fit.
  var problem: String?
  /// Whether what is printed is for the groups, not for the loader.
  var isGroup = false
  /// Tiles of which a warp reads four matrices of 8 by 8 at once in the loop that is printed.
  var quartets: Set<Int> = []
  /// Vectors in global memory of which two numbers are read at once in the loop that is printed.
  var pairedVectors: Set<Int> = []
  /// Names already given to hoisted numbers.
  var nameCount = 0

  static let storeBufferBytes = 8192
  /// First of the barriers by which groups take turns; 1 is for all groups, those from 2 on for one group each.
  static let turnBarrier = 8
  /// That of the loader's threads.
  static let loaderBarrier = 15

  /// Whether the kernel's products are of the kind that this form makes.
  package static func suits(_ kernel: Kernel) -> Bool {
    let placement = Placement(kernel)
    return placement.problem == nil
  }

  /// The program, or the reason why the kernel does not fit this form.
  package static func emit(_ kernel: Kernel) throws(ExecutionError) -> CUDAProgram {
    var lowering = PipelinedLowering(kernel)
    return try lowering.emit()
  }

  /// The rings as they are printed: there may be more slots than the kernel asks for.
  static func plannedRings(_ kernel: Kernel) -> [Ring] {
    var lowering = PipelinedLowering(kernel)
    lowering.planShared()
    return lowering.rings
  }

  private init(_ kernel: Kernel) {
    self.kernel = kernel
    placement = Placement(kernel)
    index = IndexPrinter(kernel: kernel)
    rings = placement.rings
    problem = placement.problem
  }

  var groups: Int { placement.groups }
  var threads: Int { 128 * (groups + 1) }

  private mutating func emit() throws(ExecutionError) -> CUDAProgram {
    if let problem { throw .invalid(kernel: kernel.name, reason: problem) }
    planShared()
    printKernel()
    if let problem { throw .invalid(kernel: kernel.name, reason: problem) }
    let limit = CUDATarget.sm_90a.sharedBytesPerBlock / kernel.schedule.tasksPerCore
    guard sharedBytes <= limit else {
      throw .invalid(
        kernel: kernel.name,
        reason:
          "its rings and buffers take \(sharedBytes) bytes of shared memory, \(limit) are there. Use fewer "
          + "stages or smaller tiles: \(planLines.joined(separator: "; ")).")
    }
    let entry = CUDAProgram.entryName(kernel)
    let source = [
      planLines.map { "// \($0)" }.joined(separator: "\n"), Prelude.integers, Prelude.elementary,
      Prelude.hopper, Prelude.numbers,
      (kernel.schedule.startsEarly ? Prelude.follow : "") + (folds.isEmpty ? "" : Prelude.folds),
      Prelude.packed(packedTypes), Prelude.narrow(narrowTypes, hasSums: !placement.narrowSums.isEmpty),
      Prelude.copies(ranks: copyRanks, prefetches: prefetchRanks, stores: storeRanks, sums: addRanks),
      products.sorted { $0.name < $1.name }.map(\.definition).joined(separator: "\n"),
      CUDAProgram.argumentsType(kernel, tensorMaps: maps.count),
      """
      extern "C" __global__ void __launch_bounds__(\(threads), \(kernel.schedule.tasksPerCore))
      \(entry)(const __grid_constant__ Arguments a) {
      """, code.text, "}", "",
    ].joined(separator: "\n")
    return CUDAProgram(
      kernel: kernel, entry: entry, source: source, target: .sm_90a, threads: threads,
      sharedBytes: sharedBytes,
      grid: kernel.schedule.persists
        ? .persistent(perMultiprocessor: kernel.schedule.tasksPerCore) : .tasks, tensorMaps: maps,
      pairedReads: pairedReads.sorted(), folds: folds.sorted(), plan: planLines)
  }

  /// Registers that the compiler gives each thread at the most: an even share of the core's, in eights.
  var evenRegisters: Int { min(255, 65_536 / (threads * kernel.schedule.tasksPerCore) / 8 * 8) }

  /// Registers of the loader and of each group; `nil` where the even share is enough.
  ///
  /// Together no more than even shares: a group that asks for what no one gives back waits for ever.
  var registers: (loader: Int, group: Int)? {
    guard evenRegisters < 240 else { return nil }
    let all = evenRegisters * (groups + 1)
    // Threads that copy rows themselves have addresses of their own; two groups get no more of what they leave.
    let loader = sharesLoads ? (groups == 2 ? 40 : 32) : groups == 3 ? 32 : 24
    return (loader, (all - loader) / groups / 8 * 8)
  }

  // MARK: Storage

  private mutating func planShared() {
    var offset = 0
    for number in rings.indices {
      rings[number].offset = offset
      offset += rings[number].stages * rings[number].slotBytes
    }
    for (tile, shared) in placement.staged.sorted(by: { $0.key < $1.key }) {
      if let earlier = placement.shares[tile] {
        stagedOffsets[tile] = stagedOffsets[earlier]
        continue
      }
      stagedOffsets[tile] = offset
      offset += shared.alignedBytes
    }
    for tile in asideOffsets.keys.sorted() {
      asideOffsets[tile] = offset
      offset += groups * 128 * (placement.asides[tile] ?? 0)
    }
    if kernel.body.contains(where: { storesThroughBuffer($0) { _ in true } }) {
      storeOffset = offset
      offset += groups * storeBuffers * Self.storeBufferBytes
    }
    for (tile, place) in placement.places.sorted(by: { $0.key < $1.key }) where place == .row {
      rowOffsets[tile] = offset
      offset += ((placement.tiles[tile]?.columns ?? 0) * 4 + 127) / 128 * 128
    }
    for tile in placement.exchanged.sorted() {
      exchangeOffsets[tile] = offset
      offset += (groups * (placement.tiles[tile]?.rows ?? 0) * 4 + 127) / 128 * 128
    }
    barrierOffset = (offset + 7) / 8 * 8
    sharedBytes = barrierOffset + rings.reduce(0) { $0 + 16 * $1.stages }
    let available = CUDATarget.sm_90a.sharedBytesPerBlock / kernel.schedule.tasksPerCore
    let saved = groups * Self.storeBufferBytes
    // What is set aside comes before a second buffer for stores.
    let spare = available - sharedBytes + (storeOffset != nil && storeBuffers == 2 ? saved : 0)
    if let tile = placement.asides.keys.sorted().first(where: { asideOffsets[$0] == nil }),
      groups * 128 * (placement.asides[tile] ?? 0) <= spare
    {
      asideOffsets[tile] = 0
      return planShared()
    }
    if storeOffset != nil, storeBuffers == 2, sharedBytes > available, sharedBytes - saved <= available {
      storeBuffers = 1
      return planShared()
    }
    // Tiles of the next task are loaded before this one has ended, where there is room for both.
    let limit = available - 1024
    let single = rings.indices.filter { rings[$0].isOnce && rings[$0].stages == 1 }
    if !single.isEmpty, sharedBytes + single.reduce(0, { $0 + rings[$1].slotBytes + 16 }) <= limit {
      for number in single { rings[number].stages = 2 }
      planShared()
    }
  }

  /// Whether tasks add to tensors.
  var hasSums: Bool {
    func sums(_ statement: Statement) -> Bool {
      if case .add = statement.operation { return true }
      return statement.operation.blocks.contains { $0.contains(where: sums) }
    }
    return kernel.body.contains(where: sums)
  }

  /// Whether bulk copies take from buffers for stores.
  var storesInBulk: Bool { kernel.body.contains { storesThroughBuffer($0) { $0.fold == nil } } }

  private func storesThroughBuffer(_ statement: Statement, _ counts: (TileReference) -> Bool) -> Bool {
    if let target = statement.operation.target, counts(target.reference),
      storeForm(target.tile, target.reference, adds: target.adds) != nil
    {
      return true
    }
    return statement.operation.blocks.contains { $0.contains { storesThroughBuffer($0, counts) } }
  }

  var planLines: [String] {
    var lines = [
      "\(kernel.name): \(groups) groups of 128 threads and a loading warp, \(sharedBytes) bytes of shared memory"
    ]
    for ring in rings {
      let tiles = ring.slots.map { "\($0.type.rawValue)[\($0.outer), \($0.inner)] span \($0.span)" }
      lines.append(
        "ring \(ring.number): \(ring.stages) stages of \(ring.slotBytes) bytes at \(ring.offset): \(tiles.joined(separator: ", "))"
      )
    }
    for (tile, offset) in stagedOffsets.sorted(by: { $0.key < $1.key }) {
      lines.append("staged tile \(tile) at \(offset)")
    }
    for (tile, offset) in asideOffsets.sorted(by: { $0.key < $1.key }) {
      lines.append("tile \(tile) set aside at \(offset)")
    }
    if let storeOffset { lines.append("store buffers at \(storeOffset), \(storeBuffers) a group") }
    if let registers { lines.append("registers: loader \(registers.loader), groups \(registers.group)") }
    return lines
  }

  // MARK: Kernel

  private mutating func printKernel() {
    code.line("extern __shared__ __align__(1024) unsigned char memory[];")
    code.line("const u32 shared = shared_address(memory);")
    code.line("const int role = __shfl_sync(0xFFFFFFFFu, (int)threadIdx.x / 128, 0);")
    for ring in rings {
      let first = barrierOffset + rings[..<ring.number].reduce(0) { $0 + 16 * $1.stages }
      code.line("const u32 ring\(ring.number) = shared + \(ring.offset);")
      code.line(
        "const u32 full\(ring.number) = shared + \(first), empty\(ring.number) = full\(ring.number) + \(8 * ring.stages);"
      )
      code.line("int slot\(ring.number) = 0;")
      code.line("u32 phase\(ring.number) = 0;")
    }
    code.open("if (threadIdx.x == 0)")
    for ring in rings {
      code.open("for (int i = 0; i < \(ring.stages); ++i)")
      code.line("barrier_init(full\(ring.number) + 8 * i, \(arrivals(ring.number)));")
      code.line("barrier_init(empty\(ring.number) + 8 * i, \(4 * groups));")
      code.close()
    }
    code.line("barrier_init_fence();")
    code.close()
    code.line("__syncthreads();")
    let loader = LoaderProgram(placement: placement).steps()
    let group = GroupProgram.steps(placement)
    let outer = code
    code = CodeWriter(depth: 2)
    if let registers { code.line("registers_give<\(registers.loader)>();") }
    if sharesLoads { code.line("const int thread = threadIdx.x & 127;") }
    printTasks(loader, head: "if (\(sharesLoads ? "true" : "threadIdx.x == \(128 * groups)"))")
    let loaderCode = code
    code = CodeWriter(depth: 2)
    if let registers { code.line("registers_take<\(registers.group)>();") }
    code.line("const int group = role;")
    code.line("const int thread = threadIdx.x & 127, quad = threadIdx.x & 3, lane = threadIdx.x & 31;")
    code.line(
      "\(kernel.schedule.recomputesAddresses ? "" : "const ")int row0 = thread / 32 * 16 + (lane >> 2);  // first row of the thread within a block of 64"
    )
    isGroup = true
    if storeOffset != nil {
      code.line(
        "const u32 buffer = shared + \(storeOffset ?? 0) + group * \(storeBuffers * Self.storeBufferBytes);")
      if storeBuffers > 1 { code.line("u32 turn = 0;") }
    }
    if kernel.schedule.settlesFactors { code.line("u32 held = 0, none = (u32)a.tasks >> 31;") }
    declareTiles()
    if takesTurns(group) { code.line("if (group == \(groups - 1)) group_arrive(\(Self.turnBarrier), 256);") }
    printTasks(group, head: nil)
    if storeOffset != nil { code.line("if (thread == 0) store_wait_all();") }
    let groupCode = code
    code = outer
    isGroup = false
    code.line("if (role == \(groups)) {")
    code.append(loaderCode)
    code.line("} else {")
    code.append(groupCode)
    code.line("}")
  }

  private func takesTurns(_ steps: [RoleStep]) -> Bool {
    steps.contains { step in
      switch step {
      case .awaitTurn: true
      case .loop(_, _, _, let body), .with(_, _, let body), .when(_, _, let body), .behind(_, let body):
        takesTurns(body)
      default: false
      }
    }
  }

  private mutating func printTasks(_ steps: [RoleStep], head: String?) {
    if let head { code.open(head) }
    if head != nil {
      for number in maps.indices { code.line("\(byOneThread)prefetch_map(&a.map[\(number)]);") }
    }
    if kernel.schedule.startsEarly {
      // What the first task asks for before it may be known what others have written.
      let early = head == nil ? [] : LoaderProgram(placement: placement).early()
      if !early.isEmpty { printTasks(early, next: "number = a.tasks") }
      code.line("follow();")
    }
    printTasks(steps, next: "number += gridDim.x")
    if head != nil { code.close() }
  }

  /// A program for each task of a block.
  ///
  /// - Parameter next: goes from one to the next, or behind the last.
  private mutating func printTasks(_ steps: [RoleStep], next: String) {
    code.open("for (int number = blockIdx.x; number < a.tasks; \(next))")
    for line in CUDAProgram.coordinates(kernel, index) { code.line(line) }
    for step in steps { hoist(step) }
    for step in steps { print(step) }
    index.hoisted = [:]
    code.close()
  }

  /// Computes what a step's bounds and coordinates share once a task: divisions are slow.
  private mutating func hoist(_ step: RoleStep) {
    var indices: [Index] = []
    switch step {
    case .loop(_, _, let below, let body):
      indices = [below]
      for inner in body { hoist(inner) }
    case .behind(_, let body): for inner in body { hoist(inner) }
    case .with(_, let value, let body):
      indices = [value]
      for inner in body { hoist(inner) }
    case .when(let lower, let upper, let body):
      indices = [lower, upper]
      for inner in body { hoist(inner) }
    case .copy(let tile), .prefetch(let tile): indices = placement.references[tile]?.origin ?? []
    case .map(let program):
      indices = program.steps.compactMap { if case .index(let index) = $0 { index } else { nil } }
      if !program.reductions.isEmpty { indices.append(program.space.validColumns) }
    case .read(let tile, let reference), .store(let tile, let reference), .add(let tile, let reference):
      indices = reference.origin + [tile.validRows, tile.validColumns]
    case .pack(let tile), .stage(let tile): indices = [tile.validRows, tile.validColumns]
    default: break
    }
    for expression in indices { for line in index.hoist(expression) { code.line(line) } }
  }

  private mutating func declareTiles() {
    for (number, place) in placement.places.sorted(by: { $0.key < $1.key }) {
      guard let tile = placement.tiles[number], placement.narrowSums[number] == nil else { continue }
      switch place {
      case .perRow(let blocks) where asideOffsets[number] != nil:
        code.line(
          "float (*const t\(number))[2] = (float (*)[2])(memory + \(asideOffsets[number] ?? 0) + (group * 128 + thread) * \(8 * blocks));  // \(tile), set aside"
        )
      case .fragment where asideOffsets[number] != nil:
        let bytes = placement.asides[number] ?? 0
        code.line(
          "u32 *const q\(number) = (u32 *)(memory + \(asideOffsets[number] ?? 0) + group * \(128 * bytes)) + 4 * thread;  // \(tile), set aside"
        )
      case .fragment(let blocks, let columns, _) where placement.paired.contains(number):
        code.line("u32 q\(number)[\(blocks)][\(columns / 4)];  // \(tile), in pairs")
        if placement.isLeftInRegisters(tile) {
          code.line("u32 p\(number)[\(blocks)][\(columns / 16)][4];  // \(tile), packed")
        }
      case .fragment(let blocks, let columns, _):
        code.line("float t\(number)[\(blocks)][\(columns / 2)];  // \(tile)")
        if placement.isLeftInRegisters(tile) {
          code.line("u32 p\(number)[\(blocks)][\(columns / 16)][4];  // \(tile), packed")
        }
      case .perRow(let blocks): code.line("float t\(number)[\(blocks)][2];  // \(tile)")
      case .scalar: code.line("float t\(number)[1][1];  // \(tile)")
      default: break
      }
    }
  }

  mutating func fail(_ reason: String) { if problem == nil { problem = reason } }

  /// Number of the descriptor, made if need be.
  mutating func map(_ tensor: Int, box: [Int], swizzle: Int) -> Int {
    let wanted = CUDAProgram.TensorMap(tensor: tensor, box: box, swizzle: swizzle)
    if let known = maps.firstIndex(of: wanted) { return known }
    maps.append(wanted)
    return maps.count - 1
  }

  mutating func name(_ stem: String) -> String {
    nameCount += 1
    return "\(stem)\(nameCount)"
  }
}

extension Operation {
  /// What a store or sum writes, and where.
  fileprivate var target: (tile: Tile, reference: TileReference, adds: Bool)? {
    switch self {
    case .store(let tile, let reference): (tile, reference, false)
    case .add(let tile, let reference): (tile, reference, true)
    default: nil
    }
  }
}
