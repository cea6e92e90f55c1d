package import Memory
internal import Synchronization
package import Tiles

/// A kernel compiled for a GPU, bound to its executor.
package final class CUDAKernel: CompiledKernel {
  private let kernel: Kernel
  private let executor: CUDAExecutor
  private let binding: ArgumentBinding
  private let primary: LoadedProgram
  private let state = Mutex(State())

  private struct State: Sendable {
    /// The program for tensors that the fastest one cannot address; compiled when it is first needed.
    var fallback: LoadedProgram?
    var launches: [Int: (key: [Int], launch: PreparedLaunch)] = [:]
    var orders: [[Int]: DeviceStorage] = [:]
  }

  /// Bindings kept: the layers of a large network that share a kernel, several times over.
  private static let launchCapacity = 2048

  init(_ kernel: Kernel, _ program: LoadedProgram, executor: CUDAExecutor) {
    self.kernel = kernel
    self.executor = executor
    primary = program
    binding = ArgumentBinding(name: kernel.name, tensors: kernel.tensors, arguments: kernel.arguments)
  }

  /// What the compiler said about the fastest program.
  package var report: CompileReport { primary.report }

  /// Starts the kernel; returns before it has run.
  package func run(_ tensors: [Tensor], integers: [Int]) throws(ExecutionError) {
    let launch = try prepared(tensors, integers)
    guard launch.blocks > 0 else { return }
    guard executor.profile.isOn.load(ordering: .relaxed) else {
      return try reported { () throws(CUDAError) in try executor.launch(launch) }
    }
    try reported { () throws(CUDAError) in
      try executor.stream.synchronize()
      let start = ContinuousClock.now
      try executor.launch(launch)
      try executor.stream.synchronize()
      let isPlain = launch.program !== primary
      executor.profile.add(kernel.name + (isPlain ? " (plain form)" : ""), start.duration(to: .now))
    }
  }

  /// The launch for these arguments: the one of an earlier call with the same, or a new one.
  private func prepared(_ tensors: [Tensor], _ integers: [Int]) throws(ExecutionError) -> PreparedLaunch {
    let key = Self.key(tensors, integers)
    let hash = Self.hash(key)
    return try state.withLock { state throws(ExecutionError) in
      if let known = state.launches[hash], known.key == key { return known.launch }
      let launch = try prepare(tensors, integers, &state)
      if state.launches.count >= Self.launchCapacity { state.launches.removeAll(keepingCapacity: true) }
      state.launches[hash] = (key, launch)
      return launch
    }
  }

  /// All that a launch depends on.
  private static func key(_ tensors: [Tensor], _ integers: [Int]) -> [Int] {
    var key: [Int] = []
    key.reserveCapacity(12 * tensors.count + integers.count)
    for tensor in tensors {
      key.append(unsafe Int(bitPattern: tensor.address))
      key.append(Int(unsafe unsafeBitCast(tensor.type, to: UInt8.self)) << 8 | tensor.shape.count)
      key.append(contentsOf: tensor.shape)
      key.append(contentsOf: tensor.strides)
    }
    key.append(contentsOf: integers)
    return key
  }

  private static func hash(_ key: [Int]) -> Int {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for word in key {
      state = (state ^ UInt64(bitPattern: Int64(word))) &* 0xBF58_476D_1CE4_E5B9
      state ^= state >> 29
    }
    return Int(truncatingIfNeeded: state)
  }

  private func prepare(
    _ tensors: [Tensor], _ integers: [Int], _ state: inout State
  ) throws(ExecutionError) -> PreparedLaunch {
    var parameters = [Int](repeating: 0, count: kernel.parameters.count)
    try binding.bind(tensors, integers, into: &parameters)
    try DeviceArguments.check(kernel, tensors, parameters)
    let grid = kernel.grid.map { $0.value(parameters: parameters) }
    let tasks = try DeviceArguments.taskCount(kernel, grid)
    guard tasks > 0 else {
      return PreparedLaunch(program: primary, blocks: 0, argument: [], tensors: tensors, order: nil)
    }
    let (program, maps) = try addressed(tensors, &state)
    let blocks = program.program.blocks(tasks: tasks, multiprocessors: executor.device.multiprocessors)
    let order = try order(grid, parameters, blocks: blocks, &state)
    let argument = program.program.argumentBytes(
      maps: maps, tensors: tensors, order: order?.address ?? 0, parameters: parameters,
      // An order with gaps is longer than the tasks it holds.
      tasks: order.map { $0.byteCount / 4 } ?? tasks)
    return PreparedLaunch(
      program: program, blocks: blocks, argument: argument, tensors: tensors, order: order)
  }

  /// The fastest program that can address the tensors, with its tensor maps.
  private func addressed(
    _ tensors: [Tensor], _ state: inout State
  ) throws(ExecutionError) -> (LoadedProgram, [[UInt64]]) {
    let requests: [TensorMapRequest]
    do throws(ExecutionError) {
      requests = try DeviceArguments.tensorMaps(primary.program, tensors)
    } catch {
      if let known = state.fallback { return (known, []) }
      // Where there is no other program, what is wrong with the tensor is what the caller needs to hear.
      guard let program = DeviceArguments.plainForm(of: kernel, executor.device.target) else { throw error }
      let loaded = try executor.load(program)
      state.fallback = loaded
      return (loaded, [])
    }
    return try reported { () throws(CUDAError) in
      try executor.device.activate()
      var maps: [[UInt64]] = []
      for request in requests { maps.append(try request.encoded(executor.device.driver)) }
      return (primary, maps)
    }
  }

  /// The order of tasks in device memory; `nil` for row-major.
  private func order(
    _ grid: [Int], _ parameters: [Int], blocks: Int, _ state: inout State
  ) throws(ExecutionError) -> DeviceStorage? {
    if case .rowMajor = kernel.order { return nil }
    let key = parameters + [blocks]
    if let known = state.orders[key] { return known }
    guard let tasks = kernel.order.deviceTasks(grid: grid, parameters: parameters, blocks: blocks) else {
      return nil
    }
    let storage = try reported { () throws(CUDAError) in try executor.upload(tasks) }
    if state.orders.count >= Self.launchCapacity { state.orders.removeAll() }
    state.orders[key] = storage
    return storage
  }

  private func reported<Result>(_ body: () throws(CUDAError) -> Result) throws(ExecutionError) -> Result {
    do throws(CUDAError) { return try body() } catch { throw error.about(kernel.name) }
  }
}

extension CUDAError {
  /// The same, as what executors throw.
  func about(_ kernel: String) -> ExecutionError { .invalid(kernel: kernel, reason: "\(self)") }
}
