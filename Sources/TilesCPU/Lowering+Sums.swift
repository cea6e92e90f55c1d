internal import Memory
internal import Tiles

/// Sums that a loop of matrix products builds up: `filled(0)`, the loop, and often the store of the result.
///
/// The first product of the loop starts the sum instead of a pass that writes zeros, and a sum that is only stored is
/// built where it will lie.
extension Lowering {
  /// What the statements from `position` on are, if they are such a sum.
  func sum(at position: Int, of statements: [Statement]) -> (tile: Tile, step: Int, count: Index)? {
    guard position + 1 < statements.count, case .fill(let tile, 0) = statements[position].operation,
      case .loop(let step, let count, _, let load, let body) = statements[position + 1].operation
    else { return nil }
    var products = 0
    for statement in load + body {
      switch statement.operation {
      case .matmul(let product) where product.accumulator == tile: products += 1
      case .loop, .when: return nil
      default: break
      }
    }
    let used = (load + body).reduce(0) { $0 + $1.operation.uses(of: tile) }
    return products == 1 && used == 1 ? (tile, step, count) : nil
  }

  /// Lowers the fill and lets the loop's first product start the sum.
  ///
  /// - Returns: whether the sum is built in the tensor, so that the store after the loop has nothing left to do.
  mutating func lowerSum(_ sum: (tile: Tile, step: Int, count: Index), store: Operation?) -> Bool {
    var isForwarded = false
    if case .store(sum.tile, let reference) = store, reference.tensor.type == .float32,
      reference.tensor.access == .output, let axis = reference.contiguousColumnAxis,
      forwardSum(sum.tile, to: reference)
    {
      program.contiguousAxes.append((reference.tensor.number, axis))
      isForwarded = true
    }
    sumSteps[sum.tile.id] = sum.step
    // Without a step there is no product to start it.
    let (count, one) = (register(of: sum.count), register(of: 1))
    let slot = ownedSlot(sum.tile)
    let next = scopes[scopes.count - 1].body.count + 2
    emit(Instruction(code: .unlessLess, a: Int32(count), b: Int32(one), c: Int32(next)))
    emit(Instruction(code: .fill, a: Int32(slot), b: 0))
    return isForwarded
  }

  private mutating func forwardSum(_ tile: Tile, to reference: TileReference) -> Bool {
    // Written by the fill and one product, read by that product or not and by the store.
    guard slots[tile.id] == nil, writes[tile.id] == 2, tile.type == .float32 else { return false }
    let (rows, columns) = storedExtent(tile, reference)
    guard rows == tile.validRows, columns == tile.validColumns else { return false }
    slots[tile.id] = viewSlot(reference, rows: rows, columns: columns)
    return true
  }
}

extension Operation {
  /// How often an operation outside loops names the tile.
  fileprivate func uses(of tile: Tile) -> Int {
    switch self {
    case .load(let target, _): target == tile ? 1 : 0
    case .store(let source, _), .add(let source, _): source == tile ? 1 : 0
    case .fill(let target, _): target == tile ? 1 : 0
    case .quantize(let target, let source), .transpose(let target, let source):
      [target, source].count { $0 == tile }
    case .columns(let target, let sources, _): ([target] + sources).count { $0 == tile }
    case .matmul(let product): [product.accumulator, product.left, product.right].count { $0 == tile }
    case .map(let program):
      program.steps.count { step in
        switch step {
        case .load(let other), .store(_, let other), .reduce(_, _, let other, _): other.id == tile.id
        default: false
        }
      }
    case .loop, .when: 0
    }
  }
}
