internal import CCUDA
internal import Memory
internal import Synchronization
public import Tiles

/// Runs tile programs on one GPU: a stream in which kernels and copies take effect in order, memory under a hard cap,
/// and machine code kept on disk.
///
/// `run` of its kernels returns before they have run; ``synchronize()`` and ``fetch(_:)`` wait. Safe to share; what
/// several threads ask for takes effect in the order in which it is asked.
public final class CUDAExecutor: Executor {
  /// What its kernels run on.
  public let device: CUDADevice
  /// The order in which they do.
  public let stream: CUDAStream
  /// Where the time goes. While it is on, every launch is waited for, so that kernels do not overlap with the host.
  public let profile = KernelProfile()
  let pool: DeviceMemoryPool
  private let compiler: NVRTC
  private let cache: ModuleCache?
  private let state = Mutex(State())

  private struct State: Sendable {
    var lastKernel = "-"
    /// What is asked for while somebody observes or captures.
    var noted: [CUDAWork]?
    /// How it goes into a graph instead of running.
    var capture: GraphCapture?
    var plans: TunedPlans?
    var staging: StagingRing?
    var slots: [CUDAPendingTensor.Slot] = []
  }

  /// Opens a GPU, its compiler and a pool of memory.
  ///
  /// - Parameters:
  ///   - device: the GPU; the first by default.
  ///   - memoryCap: most bytes that tensors may take; `nil` for nine tenths of what is free now.
  ///   - cacheFolder: where machine code is kept between runs; `nil` for nowhere.
  ///   - compilerPath: NVRTC or the folder it is in; `nil` to look where systems keep it.
  /// - Throws: ``CUDAError`` that says what is missing.
  public init(
    device: CUDADevice? = nil, memoryCap: Int? = nil, cacheFolder: String? = nil, compilerPath: String? = nil
  ) throws(CUDAError) {
    let device = if let device { device } else { try CUDADevice() }
    compiler = try NVRTC(path: compilerPath)
    cache = cacheFolder.map { ModuleCache(folder: $0) }
    self.device = device
    stream = try CUDAStream(device: device)
    let cap = if let memoryCap { memoryCap } else { try device.memoryInfo().free / 10 * 9 }
    pool = DeviceMemoryPool(cap: cap, source: .driver(device))
  }

  /// Bytes that tensors take, bytes taken from the driver for them, and the most that may be.
  public var memory: (used: Int, reserved: Int, cap: Int) {
    let usage = pool.usage
    return (usage.used, usage.reserved, pool.cap)
  }

  /// Version of the compiler.
  public var compilerVersion: String { compiler.versionText }

  /// What times of its kernels depend on.
  public var machine: TunedPlans.Machine {
    TunedPlans.Machine(
      device: device.name, driver: "driver \(device.driverVersion)", compiler: "NVRTC \(compiler.versionText)"
    )
  }

  /// Those given to ``use(_:)`` last.
  public var plans: TunedPlans? { state.withLock { $0.plans } }

  /// Has kernels recorded from now on take these plans where they suit.
  ///
  /// - Precondition: they were measured on this machine.
  public func use(_ plans: TunedPlans) {
    precondition(plans.machine == machine, "plans of \(plans.machine) are of no use on \(machine)")
    state.withLock { $0.plans = plans }
  }

  /// Prints the kernel, compiles it where no earlier run has, and loads it.
  public func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel {
    let program = try Emitter.emit(kernel, target: device.target)
    return CUDAKernel(kernel, try load(program), executor: self)
  }

  /// A program as a kernel, for those who choose how it is printed.
  ///
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)``.
  package func kernel(_ program: CUDAProgram) throws(ExecutionError) -> CUDAKernel {
    CUDAKernel(program.kernel, try load(program), executor: self)
  }

  func load(_ program: CUDAProgram) throws(ExecutionError) -> LoadedProgram {
    do throws(CUDAError) {
      guard let cache else { return try compiled(program).loaded }
      let key = ModuleCache.key(program, compiler: compiler.versionText)
      // Runs beside each other want the same kernels at the same time: one compiles, the others find it.
      return try Turn.of(key).lock.withLock { _ throws(CUDAError) in
        if let known = cache.load(key),
          let loaded = try? LoadedProgram(
            program, image: known.image, report: CompileReport(log: known.log), device: device)
        {
          return loaded
        }
        let (loaded, output) = try compiled(program)
        // A folder that cannot be written only costs the next start time.
        try? cache.store(output, key)
        return loaded
      }
    } catch {
      throw error.about(program.kernel.name)
    }
  }

  private func compiled(
    _ program: CUDAProgram
  ) throws(CUDAError) -> (loaded: LoadedProgram, output: NVRTC.Output) {
    let output = try compiler.compile(program.source, name: program.entry, target: program.target)
    let loaded = try LoadedProgram(
      program, image: output.image, report: CompileReport(log: output.log), device: device)
    return (loaded, output)
  }

  /// A turn at compiling what has a key.
  private final class Turn: Sendable {
    let lock = Mutex(())
    private static let all = (0..<64).map { _ in Turn() }

    /// The same for the same key.
    static func of(_ key: String) -> Turn { all[Int(key.hashValue.magnitude % UInt(all.count))] }
  }

  // MARK: Work in the stream

  /// Starts a kernel; does not wait.
  ///
  /// In a graph, one that starts early is brought in while the kernel before it runs, and waits for its end: what it takes to start is
  /// hidden, and each still finds all that was written before.
  func launch(_ launch: PreparedLaunch) throws(CUDAError) {
    let program = launch.program.program
    let code = start(.launch(launch)) { followsKernel in
      if let failure = activationFailure() { return failure }
      return unsafe gw_cuda_launch(
        device.driver.table, launch.program.function, UInt32(launch.blocks), UInt32(program.threads),
        UInt32(program.sharedBytes), stream.handle, 1,
        followsKernel && program.kernel.schedule.startsEarly ? 1 : 0,
        launch.argument)
    }
    guard code == 0 else { throw failure(code, kernel: program.kernel.name) }
  }

  /// Starts work, and notes it where somebody observes or captures.
  ///
  /// - Parameter call: asks the driver for it; told whether it goes into a graph behind a kernel, and nothing else.
  func start(_ work: CUDAWork, _ call: (_ followsKernel: Bool) -> gw_result) -> gw_result {
    state.withLock { state in
      if case .launch(let launch) = work { state.lastKernel = launch.program.program.kernel.name }
      defer { state.noted?.append(work) }
      let earlier = state.noted ?? []
      return state.capture?.add(work, behind: earlier, in: stream, call) ?? call(false)
    }
  }

  private func activationFailure() -> gw_result? {
    do throws(CUDAError) { try device.activate() } catch { return 201 }  // CUDA_ERROR_INVALID_CONTEXT
    return nil
  }

  private func failure(_ code: gw_result, kernel: String) -> CUDAError {
    guard case .driver(_, let name, let reason) = device.driver.failure("", code) else {
      return .launch(kernel: kernel, reason: "error \(code)")
    }
    return .launch(kernel: kernel, reason: "\(name), \(reason)")
  }

  /// Returns once all kernels and copies so far have run.
  ///
  /// - Throws: ``CUDAError/launch(kernel:reason:)`` where one failed, naming the last that was started: the failure
  ///   is its own or an earlier one's.
  public func synchronize() throws {
    try device.activate()
    let code = unsafe device.driver.table.pointee.stream_synchronize(stream.handle)
    guard code == 0 else {
      throw failure(code, kernel: state.withLock { $0.lastKernel } + " or one before it")
    }
  }

  /// What `body` throws, with the name of the last kernel that was started.
  func reportingFailures(_ body: () throws(CUDAError) -> Void) throws {
    do throws(CUDAError) { try body() } catch {
      let kernel = state.withLock { $0.lastKernel }
      throw CUDAError.launch(kernel: kernel + " or one before it", reason: "\(error)")
    }
  }

  /// Bytes through which copies from the host go.
  private static let stagingBytes = 32 << 20

  /// Pinned memory for copies from the host, made when it is first needed.
  func staging() throws(CUDAError) -> StagingRing {
    try state.withLock { state throws(CUDAError) in
      if let known = state.staging { return known }
      let ring = StagingRing(try PinnedBuffer(byteCount: Self.stagingBytes, device: device))
      state.staging = ring
      return ring
    }
  }

  /// A buffer for a few numbers from the GPU.
  func slot() throws(CUDAError) -> CUDAPendingTensor.Slot {
    if let known = state.withLock({ $0.slots.popLast() }) { return known }
    return CUDAPendingTensor.Slot(
      buffer: try PinnedBuffer(byteCount: CUDAPendingTensor.Slot.byteCount, device: device),
      event: try CUDAEvent(device: device))
  }

  /// Takes a buffer back.
  func recycle(_ slot: CUDAPendingTensor.Slot) { state.withLock { $0.slots.append(slot) } }

  /// Numbers in device memory.
  func upload(_ numbers: [Int32]) throws(CUDAError) -> DeviceStorage {
    try requireNoCapture("a new order of tasks")
    let storage = try pool.allocate(byteCount: 4 * numbers.count)
    try device.activate()
    let code = unsafe numbers.withUnsafeBytes { bytes in
      unsafe bytes.baseAddress.map { base in
        unsafe device.driver.table.pointee.copy_to_device(storage.address, base, bytes.count, stream.handle)
      } ?? 0
    }
    try device.driver.check("cuMemcpyHtoDAsync", code)
    return storage
  }

  /// A graph would repeat a copy from memory that is gone by then.
  func requireNoCapture(_ what: String) throws(CUDAError) {
    guard state.withLock({ $0.capture == nil }) else {
      throw .launch(
        kernel: "-",
        reason: "\(what) cannot be captured in a graph. Run the same kernels on the same tensors once before")
    }
  }

  // MARK: Graphs

  /// A ``CUDAGraph``; `nil` while kernels are timed one by one.
  public func record(concurrently: Bool, _ body: () throws -> Void) throws -> (any KernelRecord)? {
    profile.isOn.load(ordering: .relaxed) ? nil : try capture(concurrently: concurrently, body)
  }

  /// A ``CUDAWorkLog``; `nil` while kernels are timed one by one.
  public func observe(_ body: () throws -> Void) throws -> (any WorkLog)? {
    guard !profile.isOn.load(ordering: .relaxed) else { return nil }
    state.withLock { $0.noted = [] }
    defer { state.withLock { $0.noted = nil } }
    try body()
    return CUDAWorkLog(work: state.withLock { $0.noted ?? [] })
  }

  /// Notes the kernels that `body` starts instead of running them, to be replayed as one.
  ///
  /// Tensors that they use must outlive the graph; nothing may be placed, fetched or waited for meanwhile, and each
  /// kernel must have run once before with the same arguments.
  ///
  /// - Parameter concurrently: whether work waits only for what wrote what it reads, or used what it writes, rather than for all
  ///   before it.
  public func capture(concurrently: Bool = false, _ body: () throws -> Void) throws -> CUDAGraph {
    try device.activate()
    let table = unsafe device.driver.table
    // Relaxed (2): other threads may go on allocating.
    try device.driver.check("cuStreamBeginCapture", unsafe table.pointee.capture_begin(stream.handle, 2))
    state.withLock { ($0.noted, $0.capture) = ([], GraphCapture(concurrently: concurrently)) }
    let outcome = Result {
      try body()
      try state.withLock { state throws(CUDAError) in try state.capture?.join(in: stream) }
    }
    let work = state.withLock { state in
      defer { (state.noted, state.capture) = (nil, nil) }
      return state.noted ?? []
    }
    var graph: gw_graph_t?
    let code = unsafe table.pointee.capture_end(stream.handle, &graph)
    if case .failure(let error) = outcome {
      if let graph = unsafe graph { unsafe _ = table.pointee.graph_destroy(graph) }
      throw error
    }
    try device.driver.check("cuStreamEndCapture", code)
    guard let graph = unsafe graph else {
      throw CUDAError.launch(kernel: "-", reason: "nothing was captured")
    }
    return try unsafe CUDAGraph(graph, work, stream: stream)
  }
}

extension DeviceMemoryPool.Source {
  /// The driver's memory of a GPU.
  static func driver(_ device: CUDADevice) -> Self {
    Self(
      allocate: { bytes in
        var address: gw_address = 0
        guard (try? device.activate()) != nil,
          unsafe device.driver.table.pointee.allocate(&address, bytes) == 0
        else { return nil }
        return address
      },
      free: { address in
        try? device.activate()
        _ = unsafe device.driver.table.pointee.free(address)
      })
  }
}
