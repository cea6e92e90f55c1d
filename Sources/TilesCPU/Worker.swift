internal import CMicrokernels
internal import Memory

/// One thread's registers and memory, and the loop that runs instructions.
///
/// Everything the loop touches is reached through a pointer resolved before it starts: it neither allocates nor
/// retains nor locks.
@safe struct Worker {
  let microkernels: Microkernels
  private(set) var integers: UnsafeMutablePointer<Int>
  private var integerCapacity = 0
  private(set) var tiles: UnsafeMutablePointer<TileState>
  private var tileCapacity = 0
  private var operands: UnsafeMutablePointer<gw_operand>
  private var scalars: UnsafeMutablePointer<Int32>
  private var operandCapacity = 0
  private(set) var arena: UnsafeMutableRawPointer
  private var arenaCapacity = 0

  init(microkernels: Microkernels) {
    self.microkernels = microkernels
    unsafe integers = Self.allocate(1)
    unsafe tiles = Self.allocate(1)
    unsafe operands = Self.allocate(1)
    unsafe scalars = Self.allocate(1)
    unsafe arena = .allocate(byteCount: 64, alignment: 64)
  }

  func deallocate() {
    unsafe integers.deallocate()
    unsafe tiles.deallocate()
    unsafe operands.deallocate()
    unsafe scalars.deallocate()
    unsafe arena.deallocate()
  }

  /// Memory that shares no cache line, nor a pair of them, with another worker's: both write theirs all the time.
  private static func allocate<Element>(_ count: Int) -> UnsafeMutablePointer<Element> {
    let bytes = (count * MemoryLayout<Element>.stride + 255) & ~255
    return unsafe UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 256)
      .bindMemory(to: Element.self, capacity: count)
  }

  /// Makes room for a program; only grows.
  mutating func reserve(_ program: Program) {
    if integerCapacity < program.integers.count {
      unsafe integers.deallocate()
      integerCapacity = program.integers.count * 2
      unsafe integers = Self.allocate(integerCapacity)
    }
    if tileCapacity < program.tileCount {
      unsafe tiles.deallocate()
      tileCapacity = program.tileCount * 2
      unsafe tiles = Self.allocate(tileCapacity)
    }
    if operandCapacity < program.operandScratch {
      unsafe operands.deallocate()
      unsafe scalars.deallocate()
      operandCapacity = program.operandScratch * 2
      unsafe operands = Self.allocate(operandCapacity)
      unsafe scalars = Self.allocate(operandCapacity)
    }
    let bytes = (program.arenaBytes + program.workspaceBytes + 4095) & ~4095
    if arenaCapacity < bytes {
      unsafe arena.deallocate()
      arenaCapacity = bytes
      unsafe arena = .allocate(byteCount: bytes, alignment: 4096)
    }
  }

  /// Sets the registers to what the launch starts from.
  func begin(_ launch: Launch) {
    unsafe integers.update(from: launch.integers, count: launch.integerCount)
    for number in 0..<launch.ownedCount {
      let tile = unsafe launch.owned[number]
      unsafe tiles[tile.tile] = TileState(
        base: arena + tile.offset, rowStride: tile.rowStride, columnStride: 1, rows: 0, columns: 0)
    }
    execute(launch, from: launch.prologue)
  }

  /// Runs one task.
  func runTask(_ number: Int, _ launch: Launch) {
    var rest = number
    for axis in stride(from: launch.axisCount - 1, through: 0, by: -1) {
      let extent = unsafe integers[launch.gridRegisters[axis]]
      unsafe integers[launch.taskRegisters[axis]] = rest % extent
      rest /= extent
    }
    execute(launch, from: launch.taskStart)
  }

  private func execute(_ launch: Launch, from start: Int) {
    let code = unsafe launch.instructions
    let integers = unsafe self.integers
    let tiles = unsafe self.tiles
    var position = start
    while true {
      let step = unsafe code[position]
      position += 1
      let (a, b, c) = (Int(step.a), Int(step.b), Int(step.c))
      switch step.code {
      case .add: unsafe integers[a] = integers[b] &+ integers[c]
      case .subtract: unsafe integers[a] = integers[b] &- integers[c]
      case .multiply: unsafe integers[a] = integers[b] &* integers[c]
      case .divide: unsafe integers[a] = floorDivide(integers[b], integers[c])
      case .ceilDivide: unsafe integers[a] = 0 &- floorDivide(0 &- integers[b], integers[c])
      case .remainder:
        unsafe integers[a] = integers[b] &- floorDivide(integers[b], integers[c]) &* integers[c]
      case .min: unsafe integers[a] = Swift.min(integers[b], integers[c])
      case .max: unsafe integers[a] = Swift.max(integers[b], integers[c])
      case .element:
        unsafe integers[a] = Int(
          launch.tensors[b].base.load(fromByteOffset: integers[c] &* 4, as: Int32.self))
      case .view:
        let tensor = unsafe launch.tensors[b]
        let offset = unsafe integers[c] &* tensor.blockBytes / tensor.blockElements
        unsafe tiles[a].base = tensor.base + offset
        unsafe tiles[a].rowStride = integers[Int(step.d)]
        unsafe tiles[a].columnStride = integers[Int(step.e)]
      case .window: unsafe window(launch.windows[b], to: a)
      case .extent:
        unsafe tiles[a].rows = Swift.max(0, integers[b])
        unsafe tiles[a].columns = Swift.max(0, integers[c])
      case .fill: unsafe fill(tiles[a], Float(bitPattern: UInt32(bitPattern: step.b)))
      case .matmul: unsafe matmul(launch.matmuls[a], launch)
      case .addShared:
        let (target, source) = unsafe (tiles[a], tiles[b])
        unsafe gw_add_shared(
          target.rows, target.columns, source.base.assumingMemoryBound(to: Float.self), source.rowStride,
          source.columnStride, target.base.assumingMemoryBound(to: Float.self), target.rowStride,
          target.columnStride)
      case .addSharedRounded:
        let (target, source) = unsafe (tiles[a], tiles[b])
        unsafe gw_add_shared_rounded(
          target.rows, target.columns, source.base.assumingMemoryBound(to: Float.self), source.rowStride,
          source.columnStride, target.base.assumingMemoryBound(to: Int32.self), target.rowStride,
          target.columnStride)
      case .quantize:
        let (target, source) = unsafe (tiles[a], tiles[b])
        unsafe microkernels.quantizeRows(
          source.rows, source.columns, source.base.assumingMemoryBound(to: Float.self), source.rowStride,
          target.base, target.rowStride / 32 * 72)
      case .copyGroups:
        unsafe copyGroups(tiles[b], to: tiles[a], column: integers[c], width: integers[Int(step.d)])
      case .widen:
        let (target, source) = unsafe (tiles[a], tiles[b])
        for row in 0..<target.rows {
          unsafe microkernels.toFloat(
            gw_type(UInt32(step.d)), target.columns,
            source.base + row * source.rowStride / c * Int(step.e),
            target.base.assumingMemoryBound(to: Float.self) + row * target.rowStride)
        }
      case .map: unsafe map(launch.maps[a], launch)
      case .loop:
        unsafe integers[a] = 0
        if unsafe integers[b] <= 0 { position = c }
      case .next:
        let next = unsafe integers[a] &+ 1
        unsafe integers[a] = next
        if unsafe next < integers[b] { position = c }
      case .unlessLess: if unsafe !(integers[a] < integers[b]) { position = c }
      case .end: return
      }
    }
  }

  @inline(__always) private func floorDivide(_ a: Int, _ b: Int) -> Int {
    guard b != 0 else { return 0 }
    let quotient = a / b
    return (a % b != 0) && ((a < 0) != (b < 0)) ? quotient - 1 : quotient
  }

  private func fill(_ tile: TileState, _ value: Float) {
    let base = unsafe tile.base.assumingMemoryBound(to: Float.self)
    for row in 0..<tile.rows {
      unsafe (base + row * tile.rowStride).update(repeating: value, count: tile.columns)
    }
  }

  /// Copies integers, scales and sums of `source` to their planes in rows of `width` numbers.
  private func copyGroups(_ source: TileState, to target: TileState, column: Int, width: Int) {
    let count = source.columns
    let groups = count / 32
    for row in 0..<target.rows {
      let from = unsafe source.base + row * (source.rowStride / 32 * 72)
      let to = unsafe target.base + row * (target.rowStride / 32 * 72)
      unsafe (to + 2 * column).copyMemory(from: from, byteCount: 2 * count)
      let scales = unsafe to + 2 * width + column / 8
      unsafe scales.copyMemory(from: from + 2 * count, byteCount: groups * 4)
      let sums = unsafe scales + width / 8
      unsafe sums.copyMemory(from: from + 2 * count + groups * 4, byteCount: groups * 4)
    }
  }

  private func map(_ plan: MapPlan, _ launch: Launch) {
    let first = unsafe launch.operands + plan.firstOperand
    for number in 0..<plan.operandCount {
      let operand = unsafe first[number]
      if operand.isInteger {
        unsafe scalars[number] = Int32(truncatingIfNeeded: integers[operand.register])
        unsafe operands[number] = gw_operand(
          base: scalars + number, row_stride: 0, column_stride: 0, type: operand.type)
      } else {
        let tile = unsafe tiles[operand.register]
        let row = operand.broadcastsRows ? 0 : tile.rowStride
        let column = operand.broadcastsColumns ? 0 : tile.columnStride
        unsafe operands[number] = gw_operand(
          base: tile.base, row_stride: plan.isTransposed ? 0 : row,
          column_stride: plan.isTransposed ? row : column, type: operand.type)
      }
    }
    let rows = unsafe integers[plan.rows]
    let columns = unsafe integers[plan.columns]
    guard rows > 0 else { return }
    unsafe microkernels.map(
      launch.ops + plan.firstOp, plan.opCount, operands, plan.isTransposed ? 1 : rows,
      plan.isTransposed ? rows : Swift.max(0, columns))
  }
}
