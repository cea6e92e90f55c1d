internal import CMicrokernels
internal import Memory
internal import Tiles

extension Lowering {
  mutating func lowerMatmul(_ product: Matmul) {
    guard let rightType = product.right.type.microkernelType else {
      return fail("matmul cannot read \(product.right). Use one of the weight types of the documentation.")
    }
    let plan = MatmulPlan(
      accumulator: slots[product.accumulator.id] ?? ownedSlot(product.accumulator),
      left: slot(of: product.left), right: slot(of: product.right), transposesLeft: product.transposesLeft,
      transposesRight: product.transposesRight, continuing: product.continuing,
      subtracting: product.subtracting,
      startStep: sumSteps[product.accumulator.id].map { register(of: .step($0)) },
      leftType: (product.left.type.microkernelType ?? GW_F32).rawValue, rightType: rightType.rawValue,
      blockElements: product.right.type.blockElements,
      blockBytes: product.right.type.blockBytes, isInteger: product.left.type == .q16_rows)
    program.workspaceBytes = max(program.workspaceBytes, workspace(product))
    program.matmuls.append(plan)
    emit(Instruction(code: .matmul, a: Int32(program.matmuls.count - 1)))
  }

  /// Bytes for the packed right operand and a copy of a block of rows of the left one, at the tile's capacity.
  private func workspace(_ product: Matmul) -> Int {
    let (n, k) =
      product.transposesRight
      ? (product.right.rows, product.right.columns) : (product.right.columns, product.right.rows)
    if product.left.type == .q16_rows { return gw_matmul_q16_workspace(k) + 64 }
    let (rounded, _) = ((n + 15) & ~15).multipliedReportingOverflow(by: k)
    return (rounded + Worker.rowBlock * (k + Worker.copyPadding)) * 4 + 64
  }
}
