internal import Kernels
public import Memory
public import Tiles

/// Where arrays live and operations on them run.
///
/// Not thread-safe: one thread computes with a device.
public final class Device {
  /// The machine.
  public let executor: any Executor
  /// Type of arrays: float32, or float64 on a `ReferenceExecutor<Double>`, which judges the others.
  public let scalar: ElementType
  /// Type of the factors of products and of rows that are convolved, and of what comes out: ``scalar``, or 16 bits for mixed
  /// precision. Sums inside are float32 then, as are parameters, their gradients and moments, norms and losses.
  ///
  /// Micikevicius et al., “Mixed precision training”, 2017, arXiv:1710.03740.
  public internal(set) var factors: ElementType
  /// Whether gradients are the same bits in every run; those of fused attention are faster otherwise.
  public var isDeterministic = true
  /// Whether operations are noted for ``Variable/backward()``.
  public var recordsGradients = true
  /// Whether dropout drops.
  public var isTraining = true
  /// Where random numbers come from; see ``begin(step:seed:)``.
  private(set) var seed = 0
  private var draws = 0
  /// Operations noted so far: their order.
  var noted = 0
  /// Where memory of arrays comes from now.
  var pool: MemoryPool { currentPool.value }
  private let currentPool: CurrentPool
  /// Where work of this device is noted or recorded now; see ``Replay``.
  private(set) var recording: RecordingInProgress?
  /// ``seed`` as an array, once somebody has asked for it.
  private var seedInput: Tensor?
  private let seedFeed = Feed<Int32>([0])
  private var compiled: [AnyHashable: any CompiledKernel] = [:]
  private var kept: [AnyHashable: Any] = [:]
  /// Whether what follows from parameters alone, such as filters, their spectra and weights of 16 bits, is kept from one call to
  /// the next while nothing is recorded: for networks that only run. Forgotten when this is set, and when a parameter is written.
  public var keepsWhatParametersGive = false {
    didSet { parameterResults = [:] }
  }
  private var parameterResults: [ParameterResult: (parameter: Variable, value: Any)] = [:]

  /// - Parameters:
  ///   - scalar: float32, or float64 where the executor is a `ReferenceExecutor<Double>`.
  ///   - factors: see ``factors``; `nil` for `scalar`.
  public init(_ executor: any Executor, scalar: ElementType = .float32, factors: ElementType? = nil) {
    precondition(
      scalar == .float32 || scalar == .float64, "arrays of \(scalar.rawValue) are not computed with")
    self.executor = executor
    precondition(
      factors == nil || factors == scalar || scalar == .float32 && [.bfloat16, .float16].contains(factors),
      "factors of \(factors?.rawValue ?? "") beside arrays of \(scalar.rawValue)")
    self.scalar = scalar
    self.factors = factors ?? scalar
    currentPool = CurrentPool(MemoryPool(executor))
  }

  /// Makes random numbers from here on depend on `seed` and `step` alone, so that a run can be taken up at any step.
  public func begin(step: Int, seed: UInt64) {
    var numbers = SeededNumbers(seed: seed &+ UInt64(bitPattern: Int64(step)) &* 0x9E37_79B9_7F4A_7C15)
    self.seed = Int(Int32(truncatingIfNeeded: numbers.next()))
    seedFeed.numbers = [Int32(truncatingIfNeeded: self.seed)]
    (draws, seedInput) = (0, nil)
  }

  /// What kernels draw random numbers with, int32 `[1]`: data, so that a step that is replayed draws others.
  func seedTensor() throws -> Tensor {
    if let known = seedInput { return known }
    let made = try integers(of: seedFeed, [[1]]) { [$0] }[0]
    seedInput = made
    return made
  }

  /// Runs `body` with arrays in some memory, noting what the host gives to it.
  func computing<Result>(
    in memory: MemoryPool, _ inputs: RecordingInProgress, _ body: () throws -> Result
  ) rethrows -> Result {
    let before = pool
    (currentPool.value, recording, seedInput) = (memory, inputs, nil)
    defer { (currentPool.value, recording, seedInput) = (before, nil, nil) }
    return try body()
  }

  /// Operations so far that drew random numbers; set back to draw the same again.
  var drawn: Int {
    get { draws }
    set { draws = newValue }
  }

  /// Number of the next operation that draws random numbers.
  func nextStream() -> Int {
    draws += 1
    return draws
  }

  /// Runs `body` without noting operations and without dropout.
  public func evaluating<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = (recordsGradients, isTraining)
    (recordsGradients, isTraining) = (false, false)
    defer { (recordsGradients, isTraining) = before }
    return try body()
  }

  /// Runs `body` without noting operations; dropout drops as before.
  func notRecording<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = recordsGradients
    recordsGradients = false
    defer { recordsGradients = before }
    return try body()
  }

  /// What operations that take memory themselves run on. Cores have kinds of convolutions of their own, which ask for their executor.
  var operationExecutor: any Executor {
    executor.sharesHostMemory ? executor : PooledExecutor(inner: executor, pool: currentPool)
  }

  /// Whether work is to be cut for more than a hundred cores, as GPUs have; on processors fewer and larger tasks are faster.
  var hasManyCores: Bool { !executor.sharesHostMemory }

  // MARK: Memory

  /// An array whose numbers somebody is about to write: memory of the pool with whatever is in it.
  package func empty(_ shape: [Int], _ type: ElementType? = nil) throws -> Tensor {
    try empty(shape, type, in: pool)
  }

  /// The same of another pool.
  func empty(_ shape: [Int], _ type: ElementType? = nil, in memory: MemoryPool) throws -> Tensor {
    let type = type ?? scalar
    guard let bytes = type.byteCount(of: shape.reduce(1, *)) else {
      throw MemoryError.notWholeBlocks(type: type, count: shape.last ?? 1)
    }
    return try Tensor(memory.storage(byteCount: bytes), type: type, shape: shape)
  }

  func zeros(_ shape: [Int], _ type: ElementType? = nil) throws -> Tensor {
    let result = try empty(shape, type)
    try executor.clear(result)
    return result
  }

  /// Numbers as an array of the device.
  public func tensor(_ numbers: [Float], _ shape: [Int]) throws -> Tensor {
    try placed(onHost(numbers, shape))
  }

  /// Integers as an array of the device.
  public func tensor(_ numbers: [Int32], _ shape: [Int]) throws -> Tensor {
    try placed(onHost(numbers, shape))
  }

  /// The numbers of a floating-point array, in row-major order.
  public func numbers(_ tensor: Tensor) throws -> [Float] { try numbersLater(tensor)() }

  /// As ``numbers(_:)``, waited for when the result is called, so that what is started meanwhile need not wait for the host.
  public func numbersLater(_ tensor: Tensor) throws -> () throws -> [Float] {
    let pending = try executor.fetchLater(
      dense(tensor.type == .float64 ? tensor : converted(tensor, to: .float32)))
    return { try Self.numbers(of: pending.wait()) }
  }

  private static func numbers(of host: Tensor) -> [Float] {
    if host.type == .float64 {
      return host.withElements(as: Double.self) { span in span.indices.map { Float(span[$0]) } }
    }
    return host.withElements(as: Float.self) { span in span.indices.map { span[$0] } }
  }

  /// A variable with given numbers, of which no gradient is wanted.
  public func constant(_ numbers: [Float], _ shape: [Int]) throws -> Variable {
    Variable(try tensor(numbers, shape), on: self)
  }

  // MARK: Kernels

  /// The kernel that `key` stands for, recorded and compiled when it is first asked for.
  func kernel(_ key: some Hashable, _ record: () throws -> Kernel) throws -> any CompiledKernel {
    let key = AnyHashable(key)
    if let known = compiled[key] { return known }
    let kernel = try executor.compile(try record())
    compiled[key] = kernel
    return kernel
  }

  /// Something that is made once for each key, such as tables.
  public func once<Value>(_ key: some Hashable, _ make: () throws -> Value) rethrows -> Value {
    let key = AnyHashable(key)
    if let known = kept[key] as? Value { return known }
    let value = try make()
    kept[key] = value
    return value
  }

  // MARK: What parameters give

  private struct ParameterResult: Hashable {
    let parameter: ObjectIdentifier
    let purpose: AnyHashable
  }

  /// Whether results are kept now.
  public var isKeeping: Bool { keepsWhatParametersGive && !recordsGradients }

  /// What `make` gives, kept from an earlier call where the device ``isKeeping``.
  ///
  /// - Parameters:
  ///   - parameter: one of those that it follows from, in whose name it is kept.
  ///   - purpose: tells apart what one parameter stands for.
  public func keeping<Value>(
    for parameter: Variable, _ purpose: some Hashable, _ make: () throws -> Value
  ) rethrows -> Value {
    guard isKeeping else { return try make() }
    let key = ParameterResult(parameter: ObjectIdentifier(parameter), purpose: AnyHashable(purpose))
    if let entry = parameterResults[key], let known = entry.value as? Value { return known }
    let value = try make()
    parameterResults[key] = (parameter, value)
    return value
  }

  /// Forgets what parameters gave: one of them has other numbers now.
  func parameterWasWritten() { if !parameterResults.isEmpty { parameterResults = [:] } }
}
