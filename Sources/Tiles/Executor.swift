public import Memory

/// A machine that runs tile programs, and the memory it runs them on.
///
/// Kernels and copies of one executor take effect in the order they were asked for.
public protocol Executor: Sendable {
  /// Prepares a kernel; done once, kept by the caller.
  ///
  /// - Throws: ``ExecutionError`` where the machine cannot run it.
  func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel

  /// Whether its kernels use host memory as it lies, so that nothing need be placed, copied or fetched.
  var sharesHostMemory: Bool { get }

  /// Whether products of 16-bit factors are what it is fastest at by far.
  var prefersSixteenBit: Bool { get }

  /// How many tasks it works on at a time; kernels with fewer may leave most of it idle.
  var cores: Int { get }

  /// Plans that were found by measuring on this machine; `nil` where there are none.
  var plans: TunedPlans? { get }

  /// Zeroed memory that its kernels can use.
  ///
  /// - Throws: what says how much was asked for and how much there is.
  func allocate(byteCount: Int) throws -> TensorStorage

  /// Zeroed host memory from and to which it copies fastest.
  ///
  /// It must not be written again before copies from it have run: see ``synchronize()``.
  func allocateOnHost(byteCount: Int) throws -> TensorStorage

  /// The tensor where its kernels can use it: itself, or a copy with the same extents and strides.
  func place(_ tensor: Tensor) throws -> Tensor

  /// Copies elements; `source` may be written again as soon as this returns.
  ///
  /// - Precondition: same type and shape.
  func copy(from source: Tensor, into target: Tensor) throws

  /// The tensor in host memory, once all kernels before have run: itself, or a copy with the same extents and strides.
  func fetch(_ tensor: Tensor) throws -> Tensor

  /// As ``fetch(_:)`` of the numbers as kernels before leave them, waited for later: what is started meanwhile runs on.
  func fetchLater(_ tensor: Tensor) throws -> any PendingTensor

  /// Writes zero bytes over a tensor.
  ///
  /// - Precondition: the tensor is dense.
  func clear(_ tensor: Tensor) throws

  /// Returns once all kernels before have run.
  ///
  /// - Throws: what went wrong with one of them.
  func synchronize() throws

  /// Notes the kernels that `body` starts instead of running them, to be started as one.
  ///
  /// Each must have run once with the same arguments, whose memory must outlive the record. `body` allocates, places and
  /// fetches nothing.
  ///
  /// - Parameter concurrently: whether work may run beside other work of the record that it shares no memory with, or only reads the
  ///   same (``AccessOrder``), rather than in order: for small kernels, of which one leaves most of a machine idle.
  /// - Returns: `nil`, without a call of `body`, where kernels start as fast one by one.
  func record(concurrently: Bool, _ body: () throws -> Void) throws -> (any KernelRecord)?

  /// Runs `body` and notes the kernels, copies and clearings that it starts, so that a record can be compared with them.
  ///
  /// - Returns: `nil`, without a call of `body`, where ``record(concurrently:_:)`` would record nothing.
  func observe(_ body: () throws -> Void) throws -> (any WorkLog)?
}

extension Executor {
  /// It does.
  public var sharesHostMemory: Bool { true }

  /// A few, so that tasks had better be large.
  public var cores: Int { 1 }

  /// None.
  public var plans: TunedPlans? { nil }

  /// They are not.
  public var prefersSixteenBit: Bool { false }

  /// Host memory like any other.
  public func allocateOnHost(byteCount: Int) throws -> TensorStorage { try HeapStorage(byteCount: byteCount) }

  /// Host memory.
  public func allocate(byteCount: Int) throws -> TensorStorage { try HeapStorage(byteCount: byteCount) }

  /// The tensor itself.
  public func place(_ tensor: Tensor) throws -> Tensor { tensor }

  /// The tensor itself.
  public func fetch(_ tensor: Tensor) throws -> Tensor { tensor }

  /// Fetched at once.
  public func fetchLater(_ tensor: Tensor) throws -> any PendingTensor { FetchedTensor(try fetch(tensor)) }

  /// Copies within host memory.
  public func copy(from source: Tensor, into target: Tensor) throws {
    precondition(
      source.storage.isOnHost && target.storage.isOnHost, "a host executor copies host memory only")
    target.forEachRun(from: source) { from, to, bytes in
      unsafe (target.address + to).copyMemory(from: source.address + from, byteCount: bytes)
    }
  }

  /// Writes zeros in host memory.
  public func clear(_ tensor: Tensor) throws {
    tensor.withMutableElements(as: UInt8.self) { span in
      span.update(repeating: 0)
    }
  }

  /// Returns at once: host kernels have run when `run` returns.
  public func synchronize() throws {}

  /// Nothing: host kernels start at once.
  public func record(concurrently: Bool, _ body: () throws -> Void) throws -> (any KernelRecord)? { nil }

  /// Nothing: there are no records to compare it with.
  public func observe(_ body: () throws -> Void) throws -> (any WorkLog)? { nil }

  /// A zeroed dense tensor in memory that its kernels can use.
  public func tensor(_ type: ElementType, _ shape: [Int]) throws -> Tensor {
    guard let bytes = type.byteCount(of: shape.reduce(1, *)) else {
      throw MemoryError.notWholeBlocks(type: type, count: shape.last ?? 1)
    }
    return try Tensor(allocate(byteCount: bytes), type: type, shape: shape)
  }
}

/// A tensor on its way to host memory.
public protocol PendingTensor: Sendable {
  /// The tensor, once it is there.
  func wait() throws -> Tensor
}

/// One that is there already.
public struct FetchedTensor: PendingTensor {
  private let tensor: Tensor

  /// A tensor in host memory.
  public init(_ tensor: Tensor) { self.tensor = tensor }

  public func wait() throws -> Tensor { tensor }
}

/// Kernels with their arguments, to be started as one.
public protocol KernelRecord: Sendable {
  /// Starts them, behind all that was asked of the executor before.
  func run() throws

  /// Whether they are those that were noted, in the same order with the same arguments.
  func isSame(as log: any WorkLog) -> Bool
}

/// What an executor noted of work that it ran.
public protocol WorkLog: Sendable {}

/// A kernel that a machine has prepared.
public protocol CompiledKernel: Sendable {
  /// Runs every task of the grid and returns when the results are visible to the next kernel of the same executor.
  ///
  /// - Parameters:
  ///   - tensors: one for each of the kernel's tensor parameters.
  ///   - integers: one for each integer argument, in order of declaration.
  /// - Throws: ``ExecutionError`` where an argument does not fit; nothing has run then.
  func run(_ tensors: [Tensor], integers: [Int]) throws(ExecutionError)
}

extension CompiledKernel {
  /// Runs a kernel without integer arguments.
  public func run(_ tensors: [Tensor]) throws(ExecutionError) { try run(tensors, integers: []) }
}
