internal import Tiles

/// What the loading warp does for one task, or all warps of its group where they copy rows of folded sequences: the loads of the body in
/// program order.
struct LoaderProgram {
  let placement: Placement

  func steps() -> [RoleStep] { steps(placement.kernel.body, within: nil) }

  /// Asks for what the first steps of a task's loops take of tensors that nobody writes, where that does not depend on what others may
  /// still be writing.
  func early() -> [RoleStep] {
    placement.kernel.body.compactMap { statement in
      guard case .loop(let step, let count, _, let load, _) = statement.operation, !count.readsElements
      else { return nil }
      var (tiles, bytes): ([RoleStep], Int) = ([], 0)
      for statement in load {
        guard case .load(let tile, let reference) = statement.operation,
          case .ring(let ring, let slot) = placement.places[tile.id],
          placement.kernel.schedule.prefetched.contains(reference.tensor.number),
          !reference.origin.contains(where: \.readsElements)
        else { continue }
        tiles.append(.prefetch(tile.id))
        bytes += placement.rings[ring].slots[slot].bytes
      }
      guard bytes > 0 else { return nil }
      let steps = Index(Self.earlyBytes / bytes) / blocks
      return .loop(step: step, from: 0, below: count.min(steps.max(1)), body: tiles)
    }
  }

  /// Blocks of a launch, about.
  private var blocks: Index {
    let kernel = placement.kernel
    return kernel.grid.reduce(1, *).min(Index(Self.cores * kernel.schedule.tasksPerCore))
  }

  /// Bytes that all blocks of a kernel together ask for ahead, in each of its loops: more drives out of the cache what the kernel before
  /// still reads, and what was asked for first. Each block asks for a step at least, even where that is more. Four tiles of 8 KB for each of
  /// 132 blocks are 4.3 MB, five 5.4.
  ///
  /// 127 steps of 1.3 billion parameters on an H200 took 213 ms when each block asked for all of its first task, 194 with 16 tiles of 8 KB a
  /// block, 186 with 8, 183 with 4, 186 with none.
  static let earlyBytes = 9 << 19
  /// Multiprocessors of the machines that this form is for, about.
  private static let cores = 132

  /// - Parameter loop: step and count of the loop whose body this is.
  private func steps(_ statements: [Statement], within loop: (step: Int, count: Index)?) -> [RoleStep] {
    var result: [RoleStep] = []
    var filled: Set<Int> = []
    for statement in statements {
      switch statement.operation {
      case .load(let tile, _):
        guard case .ring(let ring, _) = placement.places[tile.id] else { break }
        if filled.insert(ring).inserted { result += fills(statements.filter { loads($0, into: ring) }) }
        if let loop { result.append(prefetch(tile, loop)) }
      case .loop(let step, let count, _, let load, let body):
        let inner = fills(load) + steps(body, within: (step, count))
        if !inner.isEmpty { result.append(.loop(step: step, from: 0, below: count, body: inner)) }
      case .when(let lower, let upper, let body):
        let inner = steps(body, within: nil)
        if !inner.isEmpty { result.append(.when(less: lower, than: upper, body: inner)) }
      default: break
      }
    }
    return result
  }

  private func loads(_ statement: Statement, into ring: Int) -> Bool {
    guard case .load(let tile, _) = statement.operation, case .ring(let own, _) = placement.places[tile.id]
    else { return false }
    return own == ring
  }

  /// Asks for the tile of the next step, which has no slot yet: it then comes from the second-level cache.
  private func prefetch(_ tile: Tile, _ loop: (step: Int, count: Index)) -> RoleStep {
    let next = Index.step(loop.step) + 1
    return .when(
      less: next, than: loop.count, body: [.with(step: loop.step, value: next, body: [.prefetch(tile.id)])])
  }

  /// Loads that go through rings, slot by slot.
  private func fills(_ loads: [Statement]) -> [RoleStep] {
    var order: [Int] = []
    var tiles: [Int: [Int]] = [:]
    for statement in loads {
      guard case .load(let tile, _) = statement.operation, case .ring(let ring, _) = placement.places[tile.id]
      else {
        continue
      }
      if tiles[ring] == nil { order.append(ring) }
      tiles[ring, default: []].append(tile.id)
    }
    return order.flatMap { ring -> [RoleStep] in
      [.awaitEmpty(ring), .expect(ring)] + (tiles[ring] ?? []).map { .copy($0) } + [.advance(ring)]
    }
  }
}
