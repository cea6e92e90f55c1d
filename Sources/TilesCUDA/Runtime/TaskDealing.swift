internal import Tiles

extension Kernel.TaskOrder {
  /// The order of tasks as blocks of threads take them: block b has the entries b, b + blocks, …; −1 stands where a
  /// block has fewer tasks than others. `nil` for row-major, also where the cost is known on the device only.
  ///
  /// - Parameters:
  ///   - grid: tasks along each axis.
  ///   - parameters: values of the kernel's integer parameters.
  ///   - blocks: how many there are; no more than tasks.
  func deviceTasks(grid: [Int], parameters: [Int], blocks: Int) -> [Int32]? {
    guard case .longestFirst(let cost, let section) = self else { return tasks(grid: grid) { _, _ in 0 } }
    guard !cost.readsElements, !section.readsElements else { return nil }
    let count = grid.reduce(1, *)
    var costs: [Int] = []
    costs.reserveCapacity(count)
    // Costs are asked for in row-major order, before anything else is.
    let order = tasks(grid: grid) { index, task in
      let value = index.value(parameters: parameters, task: task)
      if costs.count < count { costs.append(value) }
      return value
    }
    guard let order, blocks < count else { return order }
    return Self.dealt(order, costs: costs, blocks: blocks)
  }

  /// Gives each task, from the longest on, to the block with the least to do so far.
  static func dealt(_ order: [Int32], costs: [Int], blocks: Int) -> [Int32] {
    var hands = [[Int32]](repeating: [], count: blocks)
    // A binary heap of (load, block), least first. Beginning and ending a task costs about two steps.
    var heap = (0..<blocks).map { (load: 0, block: $0) }
    for task in order {
      let least = heap[0]
      hands[least.block].append(task)
      heap[0].load += max(0, costs[Int(task)]) + 2
      var place = 0
      while true {
        let child = [2 * place + 1, 2 * place + 2].filter { $0 < blocks }.min { heap[$0] < heap[$1] }
        guard let child, heap[child] < heap[place] else { break }
        heap.swapAt(child, place)
        place = child
      }
    }
    let rounds = hands.reduce(0) { max($0, $1.count) }
    return (0..<rounds).flatMap { round in hands.map { round < $0.count ? $0[round] : -1 } }
  }
}
