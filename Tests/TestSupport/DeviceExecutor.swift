import Glibc
import Memory
import Synchronization
import Tiles

/// Storage whose address means nothing to this process: touching it ends the test.
final class FakeDeviceStorage: TensorStorage, @unchecked Sendable {
  /// Where the numbers are.
  let hidden: HeapStorage

  init(byteCount: Int) throws {
    hidden = try HeapStorage(byteCount: byteCount)
    let base = mmap(
      nil, max(1, byteCount), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let base, base != MAP_FAILED else { throw MemoryError.outOfMemory(requested: byteCount) }
    super.init(baseAddress: base, byteCount: byteCount, isOnHost: false)
    Self.known.withLock { [hidden] in $0[UInt(bitPattern: base)] = hidden }
  }

  deinit {
    Self.known.withLock { _ = $0.removeValue(forKey: UInt(bitPattern: baseAddress)) }
    munmap(baseAddress, max(1, byteCount))
  }

  /// Where numbers are, by the address that means nothing: storage may be handed on wrapped, as pools do.
  private static let known = Mutex<[UInt: HeapStorage]>([:])

  static func hidden(behind storage: TensorStorage) -> HeapStorage? {
    storage.isOnHost ? nil : known.withLock { $0[UInt(bitPattern: storage.baseAddress)] }
  }
}

/// A stand-in for a device: memory of its own, and kernels that run only once somebody waits for them.
///
/// `@unchecked Sendable`: tests use one from one thread.
public final class DeviceExecutor: Executor, @unchecked Sendable {
  public let prefersSixteenBit: Bool
  private let inner: any Executor
  /// What was asked for and has not run.
  private var pending: [DeviceWork] = []
  /// Bytes copied to the device and back.
  public private(set) var copied = (in: 0, out: 0)
  private var compiled = 0
  /// Times that kernels were started as one.
  public private(set) var replays = 0
  /// What is noted instead of run.
  private var recorded: [DeviceWork]?
  /// Orders concurrent work.
  private var random = SeededNumbers(seed: 7)
  /// What was asked for, while somebody observes or records.
  private var noted: [String]?

  public init(_ inner: any Executor, prefersSixteenBit: Bool = false) {
    self.inner = inner
    self.prefersSixteenBit = prefersSixteenBit
  }

  public var sharesHostMemory: Bool { false }

  public var cores: Int { 64 }

  public func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel {
    compiled += 1
    return DeviceKernel(
      kernel: kernel, number: compiled, inner: try inner.compile(kernel), executor: self)
  }

  public func allocate(byteCount: Int) throws -> TensorStorage {
    requireNoRecord()
    return try FakeDeviceStorage(byteCount: byteCount)
  }

  public func place(_ tensor: Tensor) throws -> Tensor {
    guard tensor.storage.isOnHost else { return tensor }
    let placed = tensor.moved(to: try FakeDeviceStorage(byteCount: tensor.spannedBytes))
    copied.in += tensor.spannedBytes
    revealed(placed).address.copyMemory(from: tensor.address, byteCount: tensor.spannedBytes)
    return placed
  }

  public func fetch(_ tensor: Tensor) throws -> Tensor {
    try synchronize()
    guard !tensor.storage.isOnHost else { return tensor }
    let result = tensor.moved(to: try HeapStorage(byteCount: tensor.spannedBytes))
    copied.out += tensor.spannedBytes
    result.address.copyMemory(from: revealed(tensor).address, byteCount: tensor.spannedBytes)
    return result
  }

  public func fetchLater(_ tensor: Tensor) throws -> any PendingTensor {
    requireNoRecord()
    let result = tensor.moved(to: try HeapStorage(byteCount: tensor.spannedBytes))
    let hidden = revealed(tensor)
    copied.out += tensor.spannedBytes
    enqueue(reads: [hidden]) {
      result.address.copyMemory(from: hidden.address, byteCount: tensor.spannedBytes)
    }
    return DevicePending(tensor: tensor, result: result, executor: self)
  }

  public func copy(from source: Tensor, into target: Tensor) throws {
    var source = source
    if source.storage.isOnHost {
      requireNoRecord()
      // Read now, written when it is its turn.
      copied.in += source.spannedBytes
      let kept = source.moved(to: try HeapStorage(byteCount: source.spannedBytes))
      kept.address.copyMemory(from: source.address, byteCount: source.spannedBytes)
      source = kept
    }
    let (from, to) = (revealed(source), revealed(target))
    enqueue(reads: [from], writes: [to]) { [inner] in try inner.copy(from: from, into: to) }
    if !source.storage.isOnHost { noted?.append("copy \(from.address) \(to.address)") }
    if target.storage.isOnHost {
      requireNoRecord()
      copied.out += target.spannedBytes
      try synchronize()
    }
  }

  public func clear(_ tensor: Tensor) throws {
    precondition(tensor.isDense && !tensor.storage.isOnHost, "only dense tensors of the device are cleared")
    let tensor = revealed(tensor)
    noted?.append("clear \(tensor.address)")
    enqueue(writes: [tensor]) { [inner] in try inner.clear(tensor) }
  }

  public func synchronize() throws {
    requireNoRecord()
    let work = pending
    pending = []
    for step in work { try step.run() }
  }

  public func record(concurrently: Bool, _ body: () throws -> Void) throws -> (any KernelRecord)? {
    (recorded, noted) = ([], [])
    defer { (recorded, noted) = (nil, nil) }
    try body()
    return DeviceRecord(
      work: recorded ?? [], isConcurrent: concurrently, log: DeviceLog(work: noted ?? []), executor: self)
  }

  public func observe(_ body: () throws -> Void) throws -> (any WorkLog)? {
    noted = []
    defer { noted = nil }
    try body()
    return DeviceLog(work: noted ?? [])
  }

  fileprivate func replay(_ work: [DeviceWork], isConcurrent: Bool) {
    pending += isConcurrent ? shuffled(work) : work
    replays += 1
  }

  /// Some order in which everything waits for what it has to wait for, another one every time.
  private func shuffled(_ work: [DeviceWork]) -> [DeviceWork] {
    var order = AccessOrder()
    let awaited = work.map { order.add(reads: $0.reads, writes: $0.writes) }
    var open = awaited.map(\.count)
    var waiting = [[Int]](repeating: [], count: work.count)
    for (place, earlier) in awaited.enumerated() { for other in earlier { waiting[other].append(place) } }
    var (ready, result): ([Int], [DeviceWork]) = (work.indices.filter { open[$0] == 0 }, [])
    while !ready.isEmpty {
      ready.swapAt(ready.count - 1, Int.random(in: 0..<ready.count, using: &random))
      let next = ready.removeLast()
      result.append(work[next])
      for place in waiting[next] {
        open[place] -= 1
        if open[place] == 0 { ready.append(place) }
      }
    }
    precondition(result.count == work.count, "work waits for itself")
    return result
  }

  fileprivate func note(_ kernel: String, _ tensors: [Tensor], _ integers: [Int]) {
    noted?.append("\(kernel) \(tensors.map { "\($0.address) \($0.shape) \($0.strides)" }) \(integers)")
  }

  fileprivate func enqueue(reads: [Tensor] = [], writes: [Tensor] = [], _ run: @escaping () throws -> Void) {
    let work = DeviceWork(
      reads: reads.map(AccessOrder.bytes(of:)), writes: writes.map(AccessOrder.bytes(of:)), run: run)
    if recorded == nil { pending.append(work) } else { recorded?.append(work) }
  }

  private func requireNoRecord() { precondition(recorded == nil, "this cannot be recorded") }

  /// The tensor as the wrapped executor sees it.
  fileprivate func revealed(_ tensor: Tensor) -> Tensor {
    guard let hidden = FakeDeviceStorage.hidden(behind: tensor.storage) else { return tensor }
    return Tensor(
      unchecked: hidden, byteOffset: tensor.byteOffset, type: tensor.type, shape: tensor.shape,
      strides: tensor.strides)
  }
}

/// A tensor on its way from a ``DeviceExecutor``, where it stays until it has come. `@unchecked Sendable`: as the executor.
private struct DevicePending: PendingTensor, @unchecked Sendable {
  let tensor: Tensor
  let result: Tensor
  let executor: DeviceExecutor

  func wait() throws -> Tensor {
    try executor.synchronize()
    return result
  }
}

/// Something that a ``DeviceExecutor`` is asked for, and the memory it is about.
private struct DeviceWork {
  let reads: [Range<UInt64>]
  let writes: [Range<UInt64>]
  let run: () throws -> Void
}

/// Kernels of a ``DeviceExecutor`` with their arguments. `@unchecked Sendable`: as the executor.
private struct DeviceRecord: KernelRecord, @unchecked Sendable {
  let work: [DeviceWork]
  let isConcurrent: Bool
  let log: DeviceLog
  let executor: DeviceExecutor

  func run() throws { executor.replay(work, isConcurrent: isConcurrent) }

  func isSame(as log: any WorkLog) -> Bool { (log as? DeviceLog) == self.log }
}

/// What was asked for.
private struct DeviceLog: WorkLog, Equatable {
  let work: [String]
}

/// A kernel of a ``DeviceExecutor``.
private struct DeviceKernel: CompiledKernel {
  let kernel: Kernel
  /// Tells kernels of one name apart.
  let number: Int
  let inner: any CompiledKernel
  let executor: DeviceExecutor

  func run(_ tensors: [Tensor], integers: [Int]) throws(ExecutionError) {
    for (number, tensor) in tensors.enumerated() where tensor.storage.isOnHost {
      throw .argumentLayout(kernel: kernel.name, tensor: "\(number)", reason: "it lies in host memory")
    }
    let revealed = tensors.map { executor.revealed($0) }
    executor.note("\(kernel.name) \(number)", revealed, integers)
    let written = zip(kernel.tensors, revealed).filter { $0.0.access != .input }.map(\.1)
    executor.enqueue(reads: revealed, writes: written) { [inner] in
      try inner.run(revealed, integers: integers)
    }
  }
}
