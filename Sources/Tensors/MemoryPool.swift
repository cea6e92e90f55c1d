internal import Memory
internal import Synchronization
internal import Tiles

/// Memory of an executor that is used again and again: arrays of one training step have the sizes of those of the step before.
///
/// Kernels of one executor run in order, so memory may be handed on as soon as its last array is gone.
final class MemoryPool: Sendable {
  private let executor: any Executor
  private let state = Mutex(State())
  /// Bytes that lie idle before they are used again: what shares no memory may run at the same time.
  private let patience: Int
  /// Whether the lowest address goes first: the same arrays of every step then have the same addresses, and what was worked out
  /// for a launch holds for the next. Cores are better off with what they wrote last, which their caches still hold.
  private let ordersAddresses: Bool

  private struct State: Sendable {
    var free: [Int: [TensorStorage]] = [:]
    /// What nobody uses and is not to be used yet, oldest first.
    var idle: [(storage: TensorStorage, size: Int)] = []
    var idleBytes = 0
  }

  init(_ executor: any Executor, patience: Int = 0) {
    self.executor = executor
    self.patience = patience
    ordersAddresses = !executor.sharesHostMemory
  }

  /// Memory for so many bytes, of any content.
  func storage(byteCount: Int) throws -> TensorStorage {
    let size = Self.sizeClass(byteCount)
    if let known = state.withLock({ $0.free[size]?.popLast() }) {
      return PooledStorage(known, pool: self, size: size)
    }
    do {
      return PooledStorage(try executor.allocate(byteCount: size), pool: self, size: size)
    } catch {
      // What lies idle, or lies about in other sizes, may be enough.
      settle()
      if let known = state.withLock({ $0.free[size]?.popLast() }) {
        return PooledStorage(known, pool: self, size: size)
      }
      guard state.withLock({ !$0.free.isEmpty }) else { throw error }
      empty()
      return PooledStorage(try executor.allocate(byteCount: size), pool: self, size: size)
    }
  }

  /// Gives what nobody uses back to the executor.
  func empty() { state.withLock { $0 = State() } }

  /// Lets all that lies idle be used again: work that is done again finds the same memory then.
  func settle() {
    state.withLock { state in
      for (storage, size) in state.idle { release(storage, size, &state) }
      (state.idle, state.idleBytes) = ([], 0)
    }
  }

  fileprivate func recycle(_ storage: TensorStorage, size: Int) {
    state.withLock { state in
      guard patience > 0 else { return release(storage, size, &state) }
      state.idle.append((storage, size))
      state.idleBytes += size
      guard state.idleBytes > patience else { return }
      var count = 0
      while state.idleBytes > patience {
        state.idleBytes -= state.idle[count].size
        release(state.idle[count].storage, state.idle[count].size, &state)
        count += 1
      }
      state.idle.removeFirst(count)
    }
  }

  private func release(_ storage: TensorStorage, _ size: Int, _ state: inout State) {
    guard ordersAddresses else { return state.free[size, default: []].append(storage) }
    // From high to low, so that the last is the lowest.
    let address = unsafe UInt(bitPattern: storage.baseAddress)
    var (low, high) = (0, state.free[size]?.count ?? 0)
    while low < high {
      let middle = (low + high) / 2
      let isHigher =
        state.free[size].map { unsafe UInt(bitPattern: $0[middle].baseAddress) > address } ?? false
      if isHigher { low = middle + 1 } else { high = middle }
    }
    state.free[size, default: []].insert(storage, at: low)
  }

  /// The next of four sizes in every octave, so that at most a quarter is wasted.
  static func sizeClass(_ byteCount: Int) -> Int {
    guard byteCount > 256 else { return 256 }
    let step = 1 << (Int.bitWidth - 3 - (byteCount - 1).leadingZeroBitCount)
    return (byteCount + step - 1) / step * step
  }
}

/// Bytes that return to their pool.
private final class PooledStorage: TensorStorage, @unchecked Sendable {
  private let inner: TensorStorage
  private let pool: MemoryPool
  private let size: Int

  init(_ inner: TensorStorage, pool: MemoryPool, size: Int) {
    self.inner = inner
    self.pool = pool
    self.size = size
    unsafe super.init(baseAddress: inner.baseAddress, byteCount: inner.byteCount, isOnHost: inner.isOnHost)
  }

  deinit { pool.recycle(inner, size: size) }
}
