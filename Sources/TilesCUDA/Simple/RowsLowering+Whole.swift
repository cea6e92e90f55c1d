internal import Memory
internal import Tiles

/// The common case, that rows are there from end to end and lie on whole vectors: it is printed a second time without the
/// tests that others need, so that all loads are under way before the first number is used.
extension RowsLowering {
  /// What must hold for it: once for the launch, and for each task.
  struct WholeConditions {
    var launch: [String] = []
    var task: [String] = []
    /// Whether there is a load or store that gains.
    var isUseful = false

    mutating func add(_ condition: String, to list: WritableKeyPath<Self, [String]>) {
      if !self[keyPath: list].contains(condition) { self[keyPath: list].append(condition) }
    }
  }

  func wholeConditions() -> WholeConditions {
    var conditions = WholeConditions()
    kernel.body.forEachOperation { operation in
      switch operation {
      case .load(let tile, let reference):
        add((tile.validRows, tile.validColumns), tile, reference, to: &conditions)
      case .store(let tile, let reference) where layout.isDealt(tile):
        add(clipped(tile, reference), tile, reference, to: &conditions)
      default: break
      }
    }
    return conditions
  }

  private func add(
    _ valid: (rows: Index, columns: Index), _ tile: Tile, _ reference: TileReference,
    to conditions: inout WholeConditions
  ) {
    guard canBeWhole(tile, reference, valid) else { return }
    let tensor = reference.tensor
    conditions.isUseful = true
    let bytes = min(16, tensor.type.blockBytes * layout.vector)
    conditions.add("(u64)a.tensor[\(tensor.number)] % \(bytes) == 0", to: \.launch)
    for axis in tensor.extents.indices {
      let stride = index.stride(tensor.number, axis)
      conditions.add(
        axis == reference.columnAxis
          ? "\(stride) == 1" : "\(stride) * \(tensor.type.blockBytes) % \(bytes) == 0", to: \.launch)
    }
    for (number, capacity) in [(valid.rows, tile.rows), (valid.columns, tile.columns)]
    where number != Index(capacity) { conditions.add("\(index(number)) >= \(capacity)", to: \.task) }
  }

  /// Whether a load or store may go in whole vectors; `valid` are the rows and columns that are there.
  func canBeWhole(
    _ tile: Tile, _ reference: TileReference, _ valid: (rows: Index, columns: Index)
  ) -> Bool {
    guard tile.columns % layout.vector == 0, tile.type != .q16_rows, reference.tensor.type.isVectorType,
      reference.paddedAxis == nil,
      let axis = reference.columnAxis, reference.origin[axis].remainder(by: layout.vector) == 0,
      valid.rows.isFixedInTask, valid.columns.isFixedInTask
    else { return false }
    return layout.rows % layout.groups == 0
  }

  /// Prints the body for whole rows and for others.
  mutating func printBodies(_ conditions: WholeConditions) {
    code.open("if (\((["aligned"] + conditions.task).joined(separator: " && ")))")
    isWhole = true
    printRows()
    isWhole = false
    code.close()
    code.open("else")
    printRows()
    code.close()
  }

  /// Turns of a loop that are under way together: as many as leave registers for all their tiles.
  func turnsAtOnce(_ body: [Statement]) -> Int {
    guard body.allSatisfy({ $0.operation.blocks.isEmpty }) else { return 1 }
    let numbers = Lifetimes(body).peak { layout.count($0) }
    guard isWhole else { return numbers <= 32 ? 2 : 1 }
    return numbers <= 16 ? 8 : numbers <= 32 ? 4 : numbers <= 64 ? 2 : 1
  }
}
