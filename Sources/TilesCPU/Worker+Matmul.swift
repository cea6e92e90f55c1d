internal import CMicrokernels
internal import Memory

/// The left side of a product: element (i, p) lies `i · row + p · column` scalars of `type` from `base` on.
@safe struct LeftOperand {
  var base: UnsafeMutableRawPointer
  var row: Int
  var column: Int
  var type = GW_F32
  /// Whether its negative is multiplied.
  var isNegated = false

  /// Address of row `i`.
  func at(_ i: Int) -> UnsafeMutableRawPointer { unsafe base + i * row * type.scalarBytes }
}

extension gw_type {
  /// Bytes of one number of a type without blocks.
  var scalarBytes: Int { self == GW_F32 || self == GW_I32 ? 4 : self == GW_I8 ? 1 : 2 }
}

extension Worker {
  /// Runs one matrix product.
  func matmul(_ plan: MatmulPlan, _ launch: Launch) {
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
    let a = unsafe LeftOperand(
      base: left.base, row: plan.transposesLeft ? left.columnStride : left.rowStride,
      column: plan.transposesLeft ? left.rowStride : left.columnStride, type: gw_type(plan.leftType),
      isNegated: plan.subtracting)
    var b = unsafe UnsafePointer(right.base.assumingMemoryBound(to: Float.self))
    // Strides of the right operand along its inner index and along its columns.
    let inner = plan.transposesRight ? right.columnStride : right.rowStride
    let outer = plan.transposesRight ? right.rowStride : right.columnStride
    let packed = unsafe workspace.assumingMemoryBound(to: Float.self)
    let type = gw_type(plan.rightType)
    // For few products rows are read where they lie: packed they would be stored, and read again for each of them.
    if inner == 1, outer != 1, m <= Self.fewRows, [GW_F32, GW_F16, GW_BF16].contains(type), a.type == GW_F32,
      !a.isNegated
    {
      return unsafe microkernels.matmulRows(
        type, m, n, k, a.base.assumingMemoryBound(to: Float.self), a.row, a.column, right.base,
        outer * type.scalarBytes, c, target.rowStride, continuing)
    }
    var bRow = 16
    var bPanel = 16 * k
    if plan.blockElements == 1 && (outer == 1 || n == 1) {
      // Rows far apart lie on pages of their own and may fall on the same cache sets, so they are packed once there
      // are rows enough to pay for it.
      if type != GW_F32 || m >= 24 && inner > n && k * n > 4096 {
        unsafe microkernels.packColumns(type, k, n, right.base, inner * type.scalarBytes, packed)
        unsafe b = UnsafePointer(packed)
      } else {
        bRow = inner
        bPanel = 16
      }
    } else if inner == 1 || k == 1 || plan.blockElements > 1 {
      let bytes = outer / plan.blockElements * plan.blockBytes
      unsafe microkernels.packRows(type, n, k, right.base, bytes, packed)
      unsafe b = UnsafePointer(packed)
    } else {
      for first in stride(from: 0, to: n, by: 16) {
        unsafe convert(
          right.base + first * outer * type.scalarBytes, (inner, outer), type,
          rows: k, columns: Swift.min(16, n - first), into: packed + first * k, row: 16)
      }
      unsafe b = UnsafePointer(packed)
    }
    let copy = unsafe packed + (n + 15) / 16 * 16 * k
    unsafe multiply(
      m, n, k, a: a, b: (b, bRow, bPanel), c: (c, target.rowStride), continuing, copy: copy)
  }

  /// C = A · B by blocks of rows small enough that they stay in the second-level cache while the panels pass by.
  ///
  /// - Parameter copy: room for ``rowBlock`` rows of k numbers and their padding.
  func multiply(
    _ m: Int, _ n: Int, _ k: Int, a: LeftOperand, b: (base: UnsafePointer<Float>, row: Int, panel: Int),
    c: (base: UnsafeMutablePointer<Float>, row: Int), _ continuing: Int32, copy: UnsafeMutablePointer<Float>
  ) {
    // Rows far apart share cache sets and take a page each; a copy pays once enough panels pass by.
    let copies =
      a.type != GW_F32 || a.isNegated || a.column == 1 && a.row > k && a.row >= 512 && n >= 64 && m >= 24
    var row = 0
    while row < m {
      let rows = Swift.min(Self.rowBlock, m - row)
      let block = unsafe LeftOperand(
        base: a.at(row), row: a.row, column: a.column, type: a.type, isNegated: a.isNegated)
      let from = unsafe copies ? widened(block, rows, k, into: copy) : block
      unsafe microkernels.matmul(
        rows, n, k, from.base.assumingMemoryBound(to: Float.self), from.row, from.column, b.base, b.row,
        b.panel, c.base + row * c.row, c.row, continuing)
      row += rows
    }
  }

  /// Rows of a left operand as float32, along the side on which they are contiguous.
  private func widened(
    _ a: LeftOperand, _ rows: Int, _ k: Int, into copy: UnsafeMutablePointer<Float>
  ) -> LeftOperand {
    if a.row == 1 && a.column != 1 {
      for line in 0..<k {
        unsafe microkernels.toFloat(
          a.type, rows, a.base + line * a.column * a.type.scalarBytes, copy + line * Self.rowBlock)
      }
      if a.isNegated { unsafe negate(copy, k * Self.rowBlock) }
      return unsafe LeftOperand(base: UnsafeMutableRawPointer(copy), row: 1, column: Self.rowBlock)
    }
    let copyRow = k + Self.copyPadding
    if a.column == 1 || k == 1 {
      for line in 0..<rows { unsafe microkernels.toFloat(a.type, k, a.at(line), copy + line * copyRow) }
    } else {
      unsafe convert(a.base, (a.row, a.column), a.type, rows: rows, columns: k, into: copy, row: copyRow)
    }
    if a.isNegated { unsafe negate(copy, rows * copyRow) }
    return unsafe LeftOperand(base: UnsafeMutableRawPointer(copy), row: copyRow, column: 1)
  }

  /// Negates numbers in place; what lies between rows goes along.
  private func negate(_ numbers: UnsafeMutablePointer<Float>, _ count: Int) {
    for index in 0..<count { unsafe numbers[index] = -numbers[index] }
  }

  /// Rows of the left operand for which the right one's are not packed.
  static let fewRows = 6
  /// Rows of the left operand that are multiplied while the panels pass by.
  static let rowBlock = 96
  /// Elements between rows of their copy, so that rows do not fall on the same cache sets.
  static let copyPadding = 16

  /// Numbers of which neither side is contiguous as rows of float32, through the elementwise routine.
  private func convert(
    _ source: UnsafeMutableRawPointer, _ strides: (row: Int, column: Int), _ type: gw_type, rows: Int,
    columns: Int, into target: UnsafeMutablePointer<Float>, row: Int
  ) {
    unsafe withUnsafeTemporaryAllocation(of: gw_operand.self, capacity: 2) { pair in
      unsafe pair[0] = gw_operand(
        base: source, row_stride: strides.row, column_stride: strides.column, type: Int32(type.rawValue))
      unsafe pair[1] = gw_operand(
        base: target, row_stride: row, column_stride: 1, type: Int32(GW_F32.rawValue))
      unsafe withUnsafeTemporaryAllocation(of: gw_map_op.self, capacity: 2) { ops in
        unsafe ops[0] = gw_map_op(code: GW_LOAD, operand: 0)
        unsafe ops[1] = gw_map_op(code: GW_STORE, operand: 1)
        unsafe microkernels.map(ops.baseAddress, 2, pair.baseAddress, rows, columns)
      }
    }
  }
}
