package import Tiles

/// The forms that fit every kernel: tiles in registers where rows do not mix, otherwise tiles in shared memory and plain
/// multiply-adds.
package enum SimpleLowering {
  /// Rows in registers where the kernel allows it, which is as fast as memory; a block a task with tiles in shared memory
  /// otherwise, which is meant to be right rather than fast.
  ///
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)`` for what cannot be printed.
  package static func emit(_ kernel: Kernel, target: CUDATarget) throws(ExecutionError) -> CUDAProgram {
    if let layout = RowsLayout(kernel) {
      var lowering = RowsLowering(kernel, layout)
      return lowering.program(target)
    }
    return try blocks(kernel, target: target)
  }

  /// Tiles in shared memory; a task is cut into slabs where they do not fit.
  package static func blocks(_ kernel: Kernel, target: CUDATarget) throws(ExecutionError) -> CUDAProgram {
    let limit = target.sharedBytesPerBlock
    var body = kernel.body
    var needed = BlockLowering(kernel, body: body).sharedBytes
    let whole = needed
    while needed > limit {
      guard let cut = Slabs(body: body, stepCount: kernel.stepCount(in: body)).halved() else {
        throw .invalid(
          kernel: kernel.name,
          reason: "its tiles take \(whole) bytes of shared memory, \(needed) when cut as far as its sums "
            + "allow; a block has \(limit). Use smaller tiles.")
      }
      body = cut
      needed = BlockLowering(kernel, body: body).sharedBytes
    }
    var lowering = BlockLowering(kernel, body: body)
    return try lowering.program(target)
  }
}

extension [Statement] {
  /// Visits every operation, those inside loops and conditions too, in order.
  func forEachOperation(_ visit: (Tiles.Operation) -> Void) {
    for statement in self {
      visit(statement.operation)
      for block in statement.operation.blocks { block.forEachOperation(visit) }
    }
  }
}

extension Tiles.Operation {
  /// Every tile it names itself.
  var tiles: [Tile] {
    if case .load(let tile, _) = self { return [tile] }
    return tilesRead + tilesWritten
  }

  /// Every run-time integer it names itself.
  var indices: [Index] {
    var all = tiles.flatMap { [$0.validRows, $0.validColumns] }
    switch self {
    case .load(_, let reference), .store(_, let reference), .add(_, let reference):
      all += reference.origin + reference.tensor.extents
    case .map(let program):
      all += [program.space.validRows, program.space.validColumns]
      for step in program.steps {
        if case .index(let index) = step { all.append(index) }
        if case .random(let source) = step { all += [source.seed, source.stream, source.row] }
      }
    case .loop(_, let count, _, _, _): all.append(count)
    case .when(let lower, let upper, _): all += [lower, upper]
    default: break
    }
    return all
  }
}

extension Kernel {
  /// Steps that a body numbers: the number that a further loop may have.
  func stepCount(in body: [Statement]) -> Int {
    var count = 0
    body.forEachOperation { if case .loop(let step, _, _, _, _) = $0 { count = max(count, step + 1) } }
    return count
  }
}
