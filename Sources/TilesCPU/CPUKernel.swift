internal import CMicrokernels
internal import Memory
internal import Synchronization
internal import Tiles

/// A lowered kernel, bound to its executor.
///
/// `@unchecked Sendable`: the program never changes after `init`; launches are serialised by the executor.
final class CPUKernel: CompiledKernel, @unchecked Sendable {
  let program: Program
  private let executor: CPUExecutor
  /// Extents that give a parameter its value, and those that must then agree.
  private let binding: [(parameter: Int, tensor: Int, axis: Int)]
  private let checked: [(index: Index, constant: Int?, tensor: Int, axis: Int)]
  private let instructions: FlatArray<Instruction>
  private let owned: FlatArray<OwnedTile>
  private let matmuls: FlatArray<MatmulPlan>
  private let maps: FlatArray<MapPlan>
  private let ops: FlatArray<gw_map_op>
  private let operands: FlatArray<MapOperandPlan>
  private let gridRegisters: FlatArray<Int>
  private let taskRegisters: FlatArray<Int>

  init(program: Program, executor: CPUExecutor) {
    self.program = program
    self.executor = executor
    var bound = Set(program.arguments)
    var binding: [(parameter: Int, tensor: Int, axis: Int)] = []
    var checked: [(index: Index, constant: Int?, tensor: Int, axis: Int)] = []
    for (tensor, parameter) in program.tensors.enumerated() {
      for (axis, extent) in parameter.extents.enumerated() {
        if case .parameter(let number) = extent, bound.insert(number).inserted {
          binding.append((number, tensor, axis))
        } else {
          checked.append((extent, extent.constantValue, tensor, axis))
        }
      }
    }
    self.binding = binding
    self.checked = checked
    instructions = FlatArray(program.instructions)
    owned = FlatArray(program.owned)
    matmuls = FlatArray(program.matmuls)
    maps = FlatArray(program.maps)
    ops = FlatArray(program.ops)
    operands = FlatArray(program.operands)
    gridRegisters = FlatArray(program.gridRegisters)
    taskRegisters = FlatArray(program.taskRegisters)
  }

  func run(_ tensors: [Tensor], integers arguments: [Int]) throws(ExecutionError) {
    var integers = program.integers
    try bind(tensors, arguments, into: &integers)
    let isProfiled = executor.profile.isOn.load(ordering: .relaxed)
    let start = isProfiled ? ContinuousClock.now : nil
    let bindings = tensors.map { tensor in
      unsafe TensorBinding(
        base: tensor.address, blockElements: tensor.type.blockElements, blockBytes: tensor.type.blockBytes)
    }
    let grid = program.gridExtents.map { evaluate($0, integers, bindings, []) }
    let count = grid.reduce(1, *)
    guard count > 0 else { return }
    let order = taskOrder(grid, count, integers, bindings)
    launch(integers, bindings, count, order)
    withExtendedLifetime(tensors) {}
    if let start { executor.profile.add(program.name, start.duration(to: .now)) }
  }

  private func launch(_ integers: [Int], _ bindings: [TensorBinding], _ count: Int, _ order: [Int32]?) {
    let program = self.program
    let set = executor.workers
    executor.turn.withLock { _ in
      for number in set.workers.indices { set.workers[number].reserve(program) }
      let workers = set.workers
      let ranges = set.ranges
      ranges.reset()
      // Small tasks are taken several at a time; unequal ones singly, so that the longest do not queue up.
      let grain = order == nil ? max(1, min(64, count / (workers.count * 16))) : 1
      withLaunch(integers, bindings) { launch in
        func work(_ number: Int) {
          let worker = workers[number]
          worker.begin(launch)
          ranges.forEach(worker: number, of: count, grain: grain, isSingle: order != nil) { positions in
            for position in positions {
              worker.runTask(order.map { Int($0[position]) } ?? position, launch)
            }
          }
        }
        if count == 1 { work(0) } else { executor.pool.run(work) }
      }
    }
  }

  private func withLaunch(
    _ integers: [Int], _ bindings: [TensorBinding], _ body: (Launch) -> Void
  ) {
    unsafe integers.withUnsafeBufferPointer { integers in
      unsafe bindings.withUnsafeBufferPointer { bindings in
        guard let registers = integers.baseAddress, let tensors = bindings.baseAddress else {
          return
        }
        let launch = unsafe Launch(
          instructions: instructions.base, prologue: program.prologue, taskStart: program.taskStart,
          integers: registers, integerCount: integers.count, tensors: tensors, owned: owned.base,
          ownedCount: owned.count, matmuls: matmuls.base, maps: maps.base, ops: ops.base,
          operands: operands.base, gridRegisters: gridRegisters.base, taskRegisters: taskRegisters.base,
          axisCount: gridRegisters.count, workspaceOffset: program.arenaBytes)
        body(launch)
      }
    }
  }

  // MARK: Arguments

  private func bind(
    _ tensors: [Tensor], _ arguments: [Int], into integers: inout [Int]
  ) throws(ExecutionError) {
    guard tensors.count == program.tensors.count else {
      throw .argumentCount(kernel: program.name, expected: program.tensors.count, found: tensors.count)
    }
    guard arguments.count == program.arguments.count else {
      throw .argumentCount(kernel: program.name, expected: program.arguments.count, found: arguments.count)
    }
    for (number, value) in zip(program.arguments, arguments) { integers[number] = value }
    for (parameter, tensor) in zip(program.tensors, tensors) {
      guard parameter.type == tensor.type else {
        throw .argumentType(
          kernel: program.name, tensor: parameter.name, expected: parameter.type.rawValue,
          found: tensor.type.rawValue)
      }
      guard parameter.extents.count == tensor.shape.count else {
        throw .argumentShape(
          kernel: program.name, tensor: parameter.name, expected: "\(parameter.extents)", found: tensor.shape)
      }
    }
    for extent in binding { integers[extent.parameter] = tensors[extent.tensor].shape[extent.axis] }
    for extent in checked {
      let wanted = extent.constant ?? evaluate(extent.index, integers, [], [])
      guard wanted == tensors[extent.tensor].shape[extent.axis] else {
        let parameter = program.tensors[extent.tensor]
        throw .argumentShape(
          kernel: program.name, tensor: parameter.name,
          expected: "\(parameter.extents.map { evaluate($0, integers, [], []) })",
          found: tensors[extent.tensor].shape)
      }
    }
    for stride in program.strides { integers[stride.register] = tensors[stride.tensor].strides[stride.axis] }
    for (tensor, axis) in program.contiguousAxes
    where tensors[tensor].strides[axis] != 1 && tensors[tensor].shape[axis] > 1 {
      throw .argumentLayout(
        kernel: program.name, tensor: program.tensors[tensor].name,
        reason:
          "axis \(axis) has stride \(tensors[tensor].strides[axis]), and it is written as contiguous rows. "
          + "Pass a tensor whose axis \(axis) has stride 1")
    }
  }

  // MARK: Order of tasks

  private func taskOrder(
    _ grid: [Int], _ count: Int, _ integers: [Int], _ bindings: [TensorBinding]
  ) -> [Int32]? {
    switch program.order {
    case .rowMajor: return nil
    case .longestFirst(let cost):
      let costs = (0..<count).map { evaluate(cost, integers, bindings, coordinates($0, grid)) }
      return (0..<count).sorted { (costs[$1], $0) < (costs[$0], $1) }.map { Int32($0) }
    case .superRows(let rows):
      guard grid.count >= 2, rows > 1 else { return nil }
      let inner = grid[1...].reduce(1, *)
      var order: [Int32] = []
      order.reserveCapacity(count)
      for top in stride(from: 0, to: grid[0], by: rows) {
        for column in 0..<inner {
          for row in top..<min(top + rows, grid[0]) { order.append(Int32(row * inner + column)) }
        }
      }
      return order
    }
  }

  private func coordinates(_ task: Int, _ grid: [Int]) -> [Int] {
    var rest = task
    var result = [Int](repeating: 0, count: grid.count)
    for axis in grid.indices.reversed() {
      result[axis] = rest % grid[axis]
      rest /= grid[axis]
    }
    return result
  }

  private func evaluate(
    _ index: Index, _ integers: [Int], _ bindings: [TensorBinding], _ task: [Int]
  ) -> Int {
    switch index {
    case .constant(let value): return value
    case .parameter(let number): return integers[number]
    case .task(let axis): return task.indices.contains(axis) ? task[axis] : 0
    case .step: return 0
    case .binary(let operation, let a, let b):
      return operation(evaluate(a, integers, bindings, task), evaluate(b, integers, bindings, task))
    case .element(let tensor, let at):
      guard bindings.indices.contains(tensor) else { return 0 }
      var offset = 0
      for (axis, index) in at.enumerated() {
        let stride = program.strides.first { $0.tensor == tensor && $0.axis == axis }
        offset += evaluate(index, integers, bindings, task) * (stride.map { integers[$0.register] } ?? 0)
      }
      return unsafe Int(bindings[tensor].base.load(fromByteOffset: offset * 4, as: Int32.self))
    }
  }
}
