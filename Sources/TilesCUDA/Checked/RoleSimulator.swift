package import Tiles

/// Runs the role programs of a kernel on the processor, as threads that overtake each other, and checks every access.
///
/// One block works on a few tasks, one after the other; which role goes on is drawn at random from a seed. A run that
/// passes has read, in every role, what program order has there, without a race and without an end that never comes.
/// What it does not see: addresses within a tile, descriptors, bounds, the buffers of stores, and threads of one warp
/// that are apart.
package struct RoleSimulator {
  let kernel: Kernel
  let placement: Placement
  let rings: [Ring]
  let order: ProgramOrder
  /// Bytes that the loader announces for each ring.
  var expectedBytes: [Int]
  private let loaderTrace: RoleTrace
  private let groupTrace: RoleTrace

  /// Warps of all groups.
  var warps: Int { 4 * placement.groups }

  /// A simulator of the programs that are printed for the kernel.
  ///
  /// - Parameters:
  ///   - parameters: value of each of the kernel's parameters, extents included, in order.
  ///   - taskLimit: how many tasks the block works on, spread over the grid.
  ///   - element: numbers read from int32 tensors.
  /// - Throws: ``ExecutionError`` where the kernel does not fit the pipelined form.
  package init(
    _ kernel: Kernel, parameters: [Int], taskLimit: Int = 3,
    element: @escaping (_ tensor: Int, _ at: [Int]) -> Int = { _, _ in 0 }
  ) throws(ExecutionError) {
    guard parameters.count == kernel.parameters.count else {
      throw .argumentCount(
        kernel: kernel.name, expected: kernel.parameters.count, found: parameters.count)
    }
    let placement = Placement(kernel)
    if let problem = placement.problem { throw .invalid(kernel: kernel.name, reason: problem) }
    self.init(
      placement, loader: LoaderProgram(placement: placement).steps(), group: GroupProgram.steps(placement),
      rings: PipelinedLowering.plannedRings(kernel),
      tasks: Self.tasks(of: kernel, RunScope(parameters: parameters, element: element), limit: taskLimit),
      scope: RunScope(parameters: parameters, element: element))
  }

  /// A simulator of given programs.
  init(
    _ placement: Placement, loader: [RoleStep], group: [RoleStep], rings: [Ring], tasks: [[Int]],
    scope: RunScope
  ) {
    kernel = placement.kernel
    self.placement = placement
    self.rings = rings
    order = ProgramOrder(kernel.body, tasks: tasks, scope: scope)
    expectedBytes = rings.map(\.copiedBytes)
    loaderTrace = RoleTrace(loader, placement, order, tasks: tasks, scope: scope)
    groupTrace = RoleTrace(group, placement, order, tasks: tasks, scope: scope)
  }

  /// Checks a kernel for given parameters under many schedules.
  ///
  /// - Throws: ``RoleError`` for the first thing that goes wrong, ``ExecutionError`` where the kernel does not fit.
  package static func check(
    _ kernel: Kernel, parameters: [Int], taskLimit: Int = 3, seeds: Range<UInt64> = 0..<20
  ) throws {
    let simulator = try RoleSimulator(kernel, parameters: parameters, taskLimit: taskLimit)
    for seed in seeds { try simulator.run(seed: seed) }
  }

  /// Coordinates of up to `limit` tasks, the first and the last of the grid among them.
  static func tasks(of kernel: Kernel, _ scope: RunScope, limit: Int) -> [[Int]] {
    let grid = kernel.grid.map { scope.value($0) ?? 0 }
    let count = grid.reduce(1, *)
    guard count > 0, limit > 0 else { return [] }
    let chosen = min(count, limit)
    return (0..<chosen).map { position in
      var rest = chosen == 1 ? 0 : position * (count - 1) / (chosen - 1)
      var task = [Int](repeating: 0, count: grid.count)
      for axis in grid.indices.reversed() {
        task[axis] = rest % grid[axis]
        rest /= grid[axis]
      }
      return task
    }
  }

  func trace(_ role: Int) -> RoleTrace { role == warps ? loaderTrace : groupTrace }

  /// Runs all roles to their end; equal seeds give equal runs.
  package func run(seed: UInt64) throws(RoleError) {
    var block = BlockState(self)
    try requireAllStatements(block)
    var schedule = RoleSchedule(seed: seed, roles: warps + 1)
    var blocked = [Bool](repeating: false, count: warps + 1)
    while true {
      let ready = blocked.indices.filter { !blocked[$0] && block.entry(of: $0) != nil }
      if !block.copies.isEmpty, ready.isEmpty || schedule.copyComes() {
        block.complete(copy: schedule.next(below: block.copies.count))
        blocked = blocked.map { _ in false }
        continue
      }
      guard !ready.isEmpty else { break }
      let role = schedule.choose(ready)
      var moved = false
      for _ in 0..<schedule.burst() {
        guard try block.advance(role) else {
          blocked[role] = block.entry(of: role) != nil
          break
        }
        moved = true
      }
      // What it did may be what others wait for.
      if moved { for other in blocked.indices where other != role { blocked[other] = false } }
    }
    try block.requireEnd()
  }

  /// Every statement that does something is run by one of the programs.
  private func requireAllStatements(_ block: BlockState) throws(RoleError) {
    for (number, execution) in order.executions.enumerated()
    where !loaderTrace.runs(number) && !groupTrace.runs(number) {
      if case .load(let tile, _) = execution.statement.operation,
        case .perColumn = placement.places[tile.id]
      {
        continue
      }
      throw RoleError(
        kernel: kernel.name, role: "groups and loader", step: "program", moment: execution.moment.description,
        problem: .skipped(statement: "the statement at \(execution.statement.location)"))
    }
  }
}

extension BlockState {
  /// All roles have come to their end, and nothing is left behind.
  func requireEnd() throws(RoleError) {
    let waiting = roles.indices.filter { entry(of: $0) != nil }
    if let first = waiting.first {
      throw error(
        first,
        .deadlock(waiting: waiting.map { "\(name($0)) waits in \(error($0, .unexpectedStatement).step)" }))
    }
    for warp in 0..<loader {
      if let product = roles[warp].products.first {
        throw error(warp, .productNeverAwaited(tile: name(tile: product.accumulator)))
      }
    }
    for ring in slots.indices {
      let filled = slots[ring].reduce(0) { $0 + $1.full.completed }
      let released = slots[ring].reduce(0) { $0 + $1.empty.completed }
      let turns = roles.map { $0.turns[ring] }
      guard filled == released, turns.allSatisfy({ $0 == filled }),
        slots[ring].allSatisfy({ $0.empty.pending == $0.empty.count })
      else { throw error(loader, .leftover(ring: ring, filled: filled, released: released, turns: turns)) }
    }
  }
}
