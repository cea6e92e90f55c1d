internal import Dispatch
public import Memory
internal import Synchronization
public import Tiles

/// A GPU that need not be there: kernels are compiled for it on all cores and their machine code is kept, and nothing runs.
///
/// What a program asks of it is what it will ask of the GPU, so that the GPU finds all its kernels compiled. Tensors have addresses and
/// no memory; what is fetched is 0.
public final class CompilingExecutor: Executor {
  /// What is compiled for.
  public let target: CUDATarget
  /// Multiprocessors of the GPU.
  public let cores: Int
  private let compiler: NVRTC
  private let cache: ModuleCache
  private let memory: DeviceMemoryPool
  private let queue = DispatchQueue(label: "godwit.compile", attributes: .concurrent)
  private let work = DispatchGroup()
  private let state = Mutex(State())

  private struct State: Sendable {
    var keys: Set<String> = []
    var found = 0
    var notes: Set<String> = []
    var failure: (any Error)?
  }

  /// - Parameters:
  ///   - target: what is compiled for.
  ///   - multiprocessors: of the GPU; many kernels depend on how many there are.
  ///   - cacheFolder: where ``CUDAExecutor``s look for machine code.
  ///   - compilerPath: NVRTC or the folder it is in; `nil` to look where systems keep it.
  /// - Throws: ``CUDAError`` where there is no compiler.
  public init(
    target: CUDATarget, multiprocessors: Int, cacheFolder: String, compilerPath: String? = nil
  ) throws(CUDAError) {
    (self.target, cores) = (target, multiprocessors)
    compiler = try NVRTC(path: compilerPath)
    cache = ModuleCache(folder: cacheFolder)
    let next = Mutex(UInt64(1) << 32)
    memory = DeviceMemoryPool(
      cap: 1 << 46,
      source: DeviceMemoryPool.Source(
        allocate: { bytes in
          next.withLock { next in
            // Slabs begin as the driver's do.
            defer { next += (UInt64(bytes) + 0xFFFFF) & ~0xFFFFF }
            return next
          }
        }, free: { _ in }))
  }

  /// What is right but not as fast as it might be, a line for each kernel: registers spilled, or tensors that only a kernel's plain form
  /// can address.
  public var notes: [String] { state.withLock { $0.notes.sorted() } }

  /// Waits until all is compiled.
  ///
  /// - Returns: how many kernels were compiled, and how many had been before.
  /// - Throws: why a kernel could not be compiled, or its machine code not be kept: the first such failure.
  public func finish() throws -> (compiled: Int, found: Int) {
    work.wait()
    return try state.withLock { state in
      if let failure = state.failure { throw failure }
      return (state.keys.count - state.found, state.found)
    }
  }

  /// Prints the kernel and has it compiled where nobody did before; does not wait for that.
  public func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel {
    let program = try Emitter.emit(kernel, target: target)
    add(program)
    return UnrunKernel(kernel, program, executor: self)
  }

  fileprivate func addPlain(_ program: CUDAProgram) {
    note("\(program.kernel.name): in its plain form, for tensors that bulk copies do not take")
    add(program)
  }

  fileprivate func add(_ program: CUDAProgram) {
    let key = ModuleCache.key(program, compiler: compiler.versionText)
    guard state.withLock({ $0.keys.insert(key).inserted }) else { return }
    queue.async(group: work) { [self] in
      do {
        let report = CompileReport(log: try log(program, key))
        if report.spillBytes > 0 { note("\(program.kernel.name): \(report.spillBytes) bytes spilled") }
      } catch {
        state.withLock { $0.failure = $0.failure ?? error }
      }
    }
  }

  /// What the compiler had to say, now or before.
  private func log(_ program: CUDAProgram, _ key: String) throws -> String {
    if let known = cache.load(key) {
      state.withLock { $0.found += 1 }
      return known.log
    }
    let output = try compiler.compile(program.source, name: program.entry, target: program.target)
    try cache.store(output, key)
    return output.log
  }

  private func note(_ text: String) { state.withLock { _ = $0.notes.insert(text) } }

  // MARK: As the GPU

  /// Memory of a GPU is its own.
  public var sharesHostMemory: Bool { false }

  /// Its matrix units take 16-bit factors.
  public var prefersSixteenBit: Bool { true }

  /// Addresses that nothing else has.
  public func allocate(byteCount: Int) throws -> TensorStorage { try memory.allocate(byteCount: byteCount) }

  /// An address for it.
  public func place(_ tensor: Tensor) throws -> Tensor {
    guard tensor.storage.isOnHost else { return tensor }
    return tensor.moved(to: try allocate(byteCount: tensor.spannedBytes))
  }

  /// Zeros, unless it is on the host.
  public func fetch(_ tensor: Tensor) throws -> Tensor {
    guard !tensor.storage.isOnHost else { return tensor }
    return tensor.moved(to: try HeapStorage(byteCount: tensor.spannedBytes))
  }

  /// Nothing is copied.
  public func copy(from source: Tensor, into target: Tensor) throws {}

  /// Nothing is cleared.
  public func clear(_ tensor: Tensor) throws {}
}

/// A kernel that is compiled and does not run.
private final class UnrunKernel: CompiledKernel {
  private let kernel: Kernel
  private let program: CUDAProgram
  private let executor: CompilingExecutor
  private let binding: ArgumentBinding

  init(_ kernel: Kernel, _ program: CUDAProgram, executor: CompilingExecutor) {
    (self.kernel, self.program, self.executor) = (kernel, program, executor)
    binding = ArgumentBinding(name: kernel.name, tensors: kernel.tensors, arguments: kernel.arguments)
  }

  /// Looks at the arguments: some need the plain form of the kernel.
  func run(_ tensors: [Tensor], integers: [Int]) throws(ExecutionError) {
    var parameters = [Int](repeating: 0, count: kernel.parameters.count)
    try binding.bind(tensors, integers, into: &parameters)
    let grid = kernel.grid.map { $0.value(parameters: parameters) }
    guard try DeviceArguments.taskCount(kernel, grid) > 0 else { return }
    do throws(ExecutionError) {
      _ = try DeviceArguments.tensorMaps(program, tensors)
    } catch {
      guard let plain = DeviceArguments.plainForm(of: kernel, executor.target) else { throw error }
      executor.addPlain(plain)
    }
  }
}
