internal import Memory
internal import Synchronization
internal import Tiles

/// The pool that a device takes memory from now.
final class CurrentPool: Sendable {
  private let pool: Mutex<MemoryPool>

  init(_ pool: MemoryPool) { self.pool = Mutex(pool) }

  var value: MemoryPool {
    get { pool.withLock { $0 } }
    set { pool.withLock { $0 = newValue } }
  }
}

/// A device's executor for operations that take memory themselves: it is the device's pool that gives it, so that a step finds
/// the same places again, and may be recorded.
struct PooledExecutor: Executor {
  let inner: any Executor
  let pool: CurrentPool

  var sharesHostMemory: Bool { inner.sharesHostMemory }
  var prefersSixteenBit: Bool { inner.prefersSixteenBit }
  var cores: Int { inner.cores }
  var plans: TunedPlans? { inner.plans }

  func allocate(byteCount: Int) throws -> TensorStorage {
    let storage = try pool.value.storage(byteCount: byteCount)
    try inner.clear(Tensor(storage, type: .uint8, shape: [byteCount]))
    return storage
  }

  func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel { try inner.compile(kernel) }
  func allocateOnHost(byteCount: Int) throws -> TensorStorage {
    try inner.allocateOnHost(byteCount: byteCount)
  }
  func place(_ tensor: Tensor) throws -> Tensor { try inner.place(tensor) }
  func copy(from source: Tensor, into target: Tensor) throws { try inner.copy(from: source, into: target) }
  func fetch(_ tensor: Tensor) throws -> Tensor { try inner.fetch(tensor) }
  func fetchLater(_ tensor: Tensor) throws -> any PendingTensor { try inner.fetchLater(tensor) }
  func clear(_ tensor: Tensor) throws { try inner.clear(tensor) }
  func synchronize() throws { try inner.synchronize() }
  func record(concurrently: Bool, _ body: () throws -> Void) throws -> (any KernelRecord)? {
    try inner.record(concurrently: concurrently, body)
  }
  func observe(_ body: () throws -> Void) throws -> (any WorkLog)? { try inner.observe(body) }
}
