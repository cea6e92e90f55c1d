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
  private let binding: ArgumentBinding
  private let instructions: FlatArray<Instruction>
  private let owned: FlatArray<OwnedTile>
  private let matmuls: FlatArray<MatmulPlan>
  private let maps: FlatArray<MapPlan>
  private let windows: FlatArray<WindowPlan>
  private let ops: FlatArray<gw_map_op>
  private let operands: FlatArray<MapOperandPlan>
  private let gridRegisters: FlatArray<Int>
  private let taskRegisters: FlatArray<Int>

  init(program: Program, executor: CPUExecutor) {
    self.program = program
    self.executor = executor
    binding = ArgumentBinding(
      name: program.name, tensors: program.tensors, arguments: program.arguments)
    instructions = FlatArray(program.instructions)
    owned = FlatArray(program.owned)
    matmuls = FlatArray(program.matmuls)
    maps = FlatArray(program.maps)
    windows = FlatArray(program.windows)
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
    let order = program.order.tasks(grid: grid) { evaluate($0, integers, bindings, $1) }
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
        if count == 1 { work(0) } else { executor.pool.share(work) }
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
          ownedCount: owned.count, matmuls: matmuls.base, maps: maps.base, windows: windows.base,
          ops: ops.base, operands: operands.base, gridRegisters: gridRegisters.base,
          taskRegisters: taskRegisters.base, axisCount: gridRegisters.count,
          workspaceOffset: program.arenaBytes)
        body(launch)
      }
    }
  }

  // MARK: Arguments

  private func bind(
    _ tensors: [Tensor], _ arguments: [Int], into integers: inout [Int]
  ) throws(ExecutionError) {
    try binding.bind(tensors, arguments, into: &integers)
    for (parameter, tensor) in zip(program.tensors, tensors) where !tensor.storage.isOnHost {
      throw .argumentLayout(
        kernel: program.name, tensor: parameter.name,
        reason: "it lies in a device's memory. Fetch it with that device's executor first")
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
