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
  private var tiles: UnsafeMutablePointer<TileState>
  private var tileCapacity = 0
  private var operands: UnsafeMutablePointer<gw_operand>
  private var scalars: UnsafeMutablePointer<Int32>
  private var operandCapacity = 0
  private var arena: UnsafeMutableRawPointer
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
      case .extent:
        unsafe tiles[a].rows = Swift.max(0, integers[b])
        unsafe tiles[a].columns = Swift.max(0, integers[c])
      case .fill: unsafe fill(tiles[a], Float(bitPattern: UInt32(bitPattern: step.b)))
      case .matmul: unsafe matmul(launch.matmuls[a], launch)
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

  private func matmul(_ plan: MatmulPlan, _ launch: Launch) {
    let (left, right) = unsafe (tiles[plan.left], tiles[plan.right])
    let target = unsafe tiles[plan.accumulator]
    let n = plan.transposesRight ? right.rows : right.columns
    let workspace = unsafe arena + launch.workspaceOffset
    let c = unsafe target.base.assumingMemoryBound(to: Float.self)
    let isFirst = plan.startStep.map { unsafe integers[$0] == 0 } ?? false
    let continuing: Int32 = plan.continuing && !isFirst ? 1 : 0
    if plan.isInteger {
      let k = left.columns
      unsafe microkernels.matmulInteger(
        gw_type(plan.rightType), left.rows, n, k, left.base, left.rowStride / 32 * 72, right.base,
        right.rowStride / plan.blockElements * plan.blockBytes, c, target.rowStride, continuing, workspace)
      return
    }
    let m = plan.transposesLeft ? left.columns : left.rows
    let k = plan.transposesLeft ? left.rows : left.columns
    let a = unsafe UnsafePointer(left.base.assumingMemoryBound(to: Float.self))
    let aRow = plan.transposesLeft ? left.columnStride : left.rowStride
    let aColumn = plan.transposesLeft ? left.rowStride : left.columnStride
    var b = unsafe UnsafePointer(right.base.assumingMemoryBound(to: Float.self))
    // Strides of the right operand along its inner index and along its columns.
    let inner = plan.transposesRight ? right.columnStride : right.rowStride
    let outer = plan.transposesRight ? right.rowStride : right.columnStride
    let packed = unsafe workspace.assumingMemoryBound(to: Float.self)
    var bRow = 16
    var bPanel = 16 * k
    if plan.rightType == GW_F32.rawValue && (outer == 1 || n == 1) {
      // Rows far apart lie on pages of their own and may fall on the same cache sets, so they are packed once there
      // are rows enough to pay for it.
      if m >= 24 && inner > n && k * n > 4096 {
        unsafe microkernels.packColumns(k, n, b, inner, packed)
        unsafe b = UnsafePointer(packed)
      } else {
        bRow = inner
        bPanel = 16
      }
    } else if inner == 1 || k == 1 || plan.blockElements > 1 {
      let bytes = outer / plan.blockElements * plan.blockBytes
      unsafe microkernels.packRows(gw_type(plan.rightType), n, k, right.base, bytes, packed)
      unsafe b = UnsafePointer(packed)
    } else {
      unsafe pack(right.base, type: plan.rightType, k: k, n: n, inner: inner, outer: outer, into: packed)
      unsafe b = UnsafePointer(packed)
    }
    let copy = unsafe packed + (n + 15) / 16 * 16 * k
    unsafe multiply(
      m, n, k, a: (a, aRow, aColumn), b: (b, bRow, bPanel), c: (c, target.rowStride), continuing, copy: copy)
  }

  /// C = A · B by blocks of rows small enough that they stay in the second-level cache while the panels pass by.
  ///
  /// - Parameter copy: room for ``rowBlock`` rows of k numbers and their padding.
  func multiply(
    _ m: Int, _ n: Int, _ k: Int, a: (base: UnsafePointer<Float>, row: Int, column: Int),
    b: (base: UnsafePointer<Float>, row: Int, panel: Int), c: (base: UnsafeMutablePointer<Float>, row: Int),
    _ continuing: Int32, copy: UnsafeMutablePointer<Float>
  ) {
    // Rows far apart share cache sets and take a page each; a copy pays once enough panels pass by.
    let copies = unsafe a.column == 1 && a.row > k && a.row >= 512 && n >= 64 && m >= 24
    let copyRow = k + Self.copyPadding
    var row = 0
    while row < m {
      let rows = Swift.min(Self.rowBlock, m - row)
      var from = unsafe a.base + row * a.row
      if copies {
        for line in 0..<rows {
          unsafe (copy + line * copyRow).update(from: from + line * a.row, count: k)
        }
        unsafe from = UnsafePointer(copy)
      }
      unsafe microkernels.matmul(
        rows, n, k, from, copies ? copyRow : a.row, a.column, b.base, b.row, b.panel, c.base + row * c.row,
        c.row, continuing)
      row += rows
    }
  }

  /// Rows of the left operand that are multiplied while the panels pass by.
  static let rowBlock = 96
  /// Elements between rows of their copy, so that rows do not fall on the same cache sets.
  static let copyPadding = 16

  /// Packs a right operand whose neither side is contiguous, through the elementwise routine.
  private func pack(
    _ source: UnsafeMutableRawPointer, type: UInt32, k: Int, n: Int, inner: Int, outer: Int,
    into packed: UnsafeMutablePointer<Float>
  ) {
    let bytes = type == GW_F32.rawValue || type == GW_I32.rawValue ? 4 : type == GW_I8.rawValue ? 1 : 2
    for panel in 0..<(n + 15) / 16 {
      let columns = Swift.min(16, n - panel * 16)
      unsafe withUnsafeTemporaryAllocation(of: gw_operand.self, capacity: 2) { pair in
        unsafe pair[0] = gw_operand(
          base: source + panel * 16 * outer * bytes, row_stride: inner, column_stride: outer,
          type: Int32(type))
        unsafe pair[1] = gw_operand(
          base: packed + panel * 16 * k, row_stride: 16, column_stride: 1, type: Int32(GW_F32.rawValue))
        unsafe withUnsafeTemporaryAllocation(of: gw_map_op.self, capacity: 2) { ops in
          unsafe ops[0] = gw_map_op(code: GW_LOAD, operand: 0)
          unsafe ops[1] = gw_map_op(code: GW_STORE, operand: 1)
          unsafe microkernels.map(ops.baseAddress, 2, pair.baseAddress, k, columns)
        }
      }
    }
  }
}
