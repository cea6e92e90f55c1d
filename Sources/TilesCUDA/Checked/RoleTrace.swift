internal import Memory
internal import Tiles

/// Where a role finds a tile that it reads.
enum Operand {
  /// In the warp's registers, unpacked.
  case registers(Int)
  /// In the warp's registers, packed as a left factor.
  case packed(Int)
  /// In shared memory, written by the groups; products read it past the ordinary path.
  case shared(Int, byProduct: Bool)
  /// In a ring, in the present slot or in the one before.
  case slot(Int, ring: Int, behind: Bool)
  /// In a slot that a running product has settled on.
  case heldSlot(Int, ring: Int, slot: Int)
}

/// One thing that a role does at once, with all control flow settled.
enum RoleAction {
  case awaitEmpty(Int)
  case expect(Int)
  /// A tile into its ring, so many bytes.
  case copy(Int, ring: Int, bytes: Int)
  case advance(Int)
  /// Moves nothing that a role could see.
  case prefetch
  case awaitFull(Int)
  case release(Int, behind: Int)
  /// A product of operands into an accumulator.
  case issue(Matmul, [Operand])
  case awaitProducts(pending: Int, finished: [Int])
  case awaitTurn
  case passTurn
  /// Before the first task, the last group hands the turn to the first.
  case openTurns
  case pack(Int)
  case stage(Int)
  case meet(fences: Bool)
  /// Reads operands and writes registers, and parts of numbers a row to shared memory, all at once.
  case compute([Operand], writes: [Int], parts: [Int] = [])
  /// Joins the parts of all groups in registers.
  case combine(Int)
  /// Writes a row of numbers to shared memory from registers.
  case transpose(Int, from: Operand)
  /// A step that could not be settled.
  case undefined
}

/// The actions of a role for a few tasks, one after the other.
struct RoleTrace {
  /// An action and where it comes from.
  struct Entry {
    let action: RoleAction
    /// The execution in program order that it stands for, if it stands for one; -1 where there is none left.
    let execution: Int?
    let moment: Int
    let step: Int
  }

  private(set) var entries: [Entry] = []
  /// Moments by number.
  private(set) var moments: [Moment] = []
  /// Steps as they stand in the program, for messages.
  private(set) var labels: [String] = []
  private let placement: Placement
  private let order: ProgramOrder
  private var used: Set<Int> = []
  private var behind: Set<Int> = []

  /// Settles `steps` for each task.
  init(_ steps: [RoleStep], _ placement: Placement, _ order: ProgramOrder, tasks: [[Int]], scope: RunScope) {
    self.placement = placement
    self.order = order
    var scope = scope
    if steps.contains(where: \.takesTurns) { add(.openTurns, "start", scope) }
    for (ordinal, task) in tasks.enumerated() {
      (scope.ordinal, scope.task, scope.steps) = (ordinal, task, [:])
      run(steps, scope)
    }
  }

  /// Whether it stands for an execution of program order.
  func runs(_ execution: Int) -> Bool { used.contains(execution) }

  private mutating func run(_ steps: [RoleStep], _ scope: RunScope) {
    for step in steps { run(step, scope) }
  }

  private mutating func run(_ step: RoleStep, _ scope: RunScope) {
    switch step {
    case .loop(let number, let from, let below, let body):
      guard let below = scope.value(below) else { return add(.undefined, step.label, scope) }
      var inner = scope
      for value in stride(from: from, to: below, by: 1) {
        inner.steps[number] = value
        run(body, inner)
      }
    case .with(let number, let value, let body):
      guard let value = scope.value(value) else { return add(.undefined, step.label, scope) }
      var inner = scope
      inner.steps[number] = value
      run(body, inner)
    case .behind(let rings, let body):
      let outer = behind
      behind.formUnion(rings)
      run(body, scope)
      // As it is printed: rings that were read one turn back outside too no longer are.
      behind = outer.subtracting(rings)
    case .when(let lower, let upper, let body):
      guard let lower = scope.value(lower), let upper = scope.value(upper) else {
        return add(.undefined, step.label, scope)
      }
      if lower < upper { run(body, scope) }
    default: add(action(step), step.label, scope, operation: operation(step))
    }
  }

  private mutating func add(
    _ action: RoleAction, _ label: String, _ scope: RunScope, operation: Operation? = nil
  ) {
    let moment = scope.moment
    if moments.last != moment { moments.append(moment) }
    if labels.last != label { labels.append(label) }
    var execution: Int?
    if let operation {
      let known = order.executions(of: operation, at: moment)
      execution = known.first { !used.contains($0) } ?? -1
      if let execution { used.insert(execution) }
    }
    entries.append(
      Entry(action: action, execution: execution, moment: moments.count - 1, step: labels.count - 1))
  }

  // MARK: Steps

  private func action(_ step: RoleStep) -> RoleAction {
    switch step {
    case .awaitEmpty(let ring): .awaitEmpty(ring)
    case .expect(let ring): .expect(ring)
    case .copy(let tile):
      if case .ring(let ring, let slot) = placement.places[tile] {
        .copy(tile, ring: ring, bytes: placement.rings[ring].slots[slot].boxedBytes)
      } else {
        .undefined
      }
    case .prefetch: .prefetch
    case .advance(let ring): .advance(ring)
    case .awaitFull(let ring): .awaitFull(ring)
    case .release(let ring, let behind): .release(ring, behind: behind)
    case .issue(let product): .issue(product, [left(product), factor(product.right)])
    case .awaitProducts(let pending, let finished):
      .awaitProducts(pending: pending, finished: finished.map(\.id))
    case .awaitTurn: .awaitTurn
    case .passTurn: .passTurn
    case .pack(let tile): .pack(tile.id)
    case .stage(let tile): .stage(tile.id)
    case .meet(let fences): .meet(fences: fences)
    case .map(let program):
      compute(program)
    case .combine(let tile, _, _): .combine(tile.id)
    case .transpose(let tile, let source): .transpose(tile.id, from: .registers(source.id))
    case .columns(let tile, let sources, _):
      .compute(sources.compactMap { operand($0) }, writes: [tile.id])
    case .fill(let tile, _), .read(let tile, _): .compute([], writes: [tile.id])
    case .store(let tile, _), .add(let tile, _): .compute([operand(tile)].compactMap { $0 }, writes: [])
    case .loop, .with, .behind, .when: .undefined
    }
  }

  private func compute(_ program: MapProgram) -> RoleAction {
    let parts = placement.partialReductions(program).map(\.tile.id)
    let writes = program.tilesWritten.map(\.id).filter { !parts.contains($0) }
    return .compute(program.tilesRead.compactMap { operand($0) }, writes: writes, parts: parts)
  }

  /// Where elementwise steps and stores read a tile; `nil` for what they read from global memory.
  private func operand(_ tile: Tile) -> Operand? {
    switch placement.places[tile.id] {
    case .ring(let ring, _): .slot(tile.id, ring: ring, behind: behind.contains(ring))
    case .row: .shared(tile.id, byProduct: false)
    case .perColumn: nil
    default: .registers(tile.id)
    }
  }

  private func left(_ product: Matmul) -> Operand {
    placement.isLeftInRegisters(product.left) && !product.transposesLeft
      ? .packed(product.left.id) : factor(product.left)
  }

  private func factor(_ tile: Tile) -> Operand {
    if case .ring(let ring, _) = placement.places[tile.id] {
      .slot(tile.id, ring: ring, behind: behind.contains(ring))
    } else {
      .shared(tile.id, byProduct: true)
    }
  }

  /// The statement that a step stands for.
  private func operation(_ step: RoleStep) -> Operation? {
    switch step {
    case .copy(let tile):
      if let description = placement.tiles[tile], let reference = placement.references[tile] {
        .load(description, from: reference)
      } else {
        nil
      }
    case .issue(let product): .matmul(product)
    case .map(let program): .map(program)
    case .transpose(let tile, let source): .transpose(tile, from: source)
    case .columns(let tile, let sources, let first): .columns(tile, of: sources, from: first)
    case .fill(let tile, let value): .fill(tile, value)
    case .read(let tile, let reference): .load(tile, from: reference)
    case .store(let tile, let reference): .store(tile, to: reference)
    case .add(let tile, let reference): .add(tile, to: reference)
    default: nil
    }
  }
}

extension RoleStep {
  /// Whether groups take turns in it.
  var takesTurns: Bool {
    switch self {
    case .awaitTurn: true
    case .loop(_, _, _, let body), .with(_, _, let body), .when(_, _, let body), .behind(_, let body):
      body.contains(where: \.takesTurns)
    default: false
    }
  }

  /// Its name and operands, for messages.
  var label: String {
    switch self {
    case .loop(let step, let from, let below, _): "loop of step\(step) from \(from) below \(below)"
    case .with(let step, let value, _): "with step\(step) = \(value)"
    case .behind(let rings, _): "behind \(rings)"
    case .when(let lower, let upper, _): "when \(lower) < \(upper)"
    case .awaitEmpty(let ring): "awaitEmpty(\(ring))"
    case .expect(let ring): "expect(\(ring))"
    case .copy(let tile): "copy(%\(tile))"
    case .prefetch(let tile): "prefetch(%\(tile))"
    case .advance(let ring): "advance(\(ring))"
    case .awaitFull(let ring): "awaitFull(\(ring))"
    case .release(let ring, let behind): "release(\(ring), behind: \(behind))"
    case .issue(let product):
      "issue(%\(product.left.id) · %\(product.right.id) into %\(product.accumulator.id))"
    case .awaitProducts(let pending, let finished):
      "awaitProducts(pending: \(pending), finished: \(finished.map { "%\($0.id)" }))"
    case .awaitTurn: "awaitTurn"
    case .passTurn: "passTurn"
    case .pack(let tile): "pack(%\(tile.id))"
    case .stage(let tile): "stage(%\(tile.id))"
    case .meet(let fences): fences ? "meet" : "meet without a fence"
    case .map(let program): "map(into \(program.tilesWritten.map { "%\($0.id)" }))"
    case .combine(let tile, _, _): "combine(%\(tile.id))"
    case .transpose(let tile, let source): "transpose(%\(source.id) into %\(tile.id))"
    case .columns(let tile, let sources, let first):
      "columns(of \(sources.map { "%\($0.id)" }) from \(first) into %\(tile.id))"
    case .fill(let tile, _): "fill(%\(tile.id))"
    case .read(let tile, _): "read(%\(tile.id))"
    case .store(let tile, let reference): "store(%\(tile.id) to \(reference.tensor.name))"
    case .add(let tile, let reference): "add(%\(tile.id) to \(reference.tensor.name))"
    }
  }
}

extension SharedTile {
  /// Bytes that its copies bring, box by box: boxes of vectors may reach beyond the tile.
  var boxedBytes: Int {
    let (height, width) = (min(256, outer), isVector ? min(256, inner) : panelElements)
    let boxes = ((outer + height - 1) / height) * ((inner + width - 1) / width)
    return boxes * height * width * type.blockBytes
  }
}
