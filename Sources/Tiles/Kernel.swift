/// A recorded tile program: what each task of a grid does with the tensors it is given.
///
/// Immutable once recorded, and an identity: back ends keep what they compiled by it.
public final class Kernel: Sendable {
  /// Name for messages, benchmarks and emitted code.
  public let name: String
  /// The tensors it takes, in order.
  public let tensors: [TensorParameter]
  /// Names of its integer parameters; the ones that are extents are read off the arguments.
  public let parameters: [String]
  /// Parameters that the caller passes as integers, by number, in order.
  public let arguments: [Int]
  /// How many tasks there are along each axis.
  public let grid: [Index]
  /// In which order tasks are started.
  public let order: TaskOrder
  /// What a task does.
  public let body: [Statement]
  /// How many tiles the body names.
  public let tileCount: Int
  /// How back ends with groups of threads may share out a task.
  public let schedule: Schedule
  /// Tiles, by number, that are read seldom.
  public let asides: Set<Int>

  /// In which order the tasks of a grid are started.
  public enum TaskOrder: Sendable, Hashable {
    /// The last axis moves fastest.
    case rowMajor
    /// Blocks of `rows` along axis 0 are swept along axis 1, so that tasks near in time share operands in cache.
    case superRows(Int)
    /// Largest cost first, which balances unequal tasks; the cost may use task coordinates and tensor elements.
    /// Tasks of a lower `section` come before all of a higher: those that share what a cache holds.
    case longestFirst(cost: Index, section: Index = 0)
  }

  /// How a task is shared out on machines whose cores run groups of threads; others do not look at it.
  public struct Schedule: Sendable, Hashable {
    /// Groups of 128 threads that compute; the rows of products are dealt out among them.
    public var groups: Int
    /// Tasks that one core works on at a time.
    public var tasksPerCore: Int
    /// Whether the products that open a step of a pipeline start before the step before has ended.
    public var overlapsSteps: Bool
    /// Whether what is done with the results of a step's last products, such as adding them to a tensor, is done in the
    /// next step, beside the products that open that.
    public var trailsSteps = false
    /// Whether groups take turns at issuing products, so that one computes elementwise while another multiplies.
    public var alternates: Bool

    /// Whether a core goes on to its next task without a new start.
    public var persists = true
    /// Whether 16-bit tiles that only elementwise operations read are brought through shared memory like factors also where
    /// they are not loaded ahead in a pipeline, rather than read into registers.
    public var bringsOperands = false
    /// Whether factors that groups write to shared memory may lie where earlier ones did that no product reads any more, and what
    /// loops bring without bringing it ahead, or once a turn, where loops before them brought what has the same form.
    public var reusesStages = false
    /// Whether products, and reads of global memory, wait until all factors that were computed before are rounded: compilers put off
    /// rounding, and keep what it frees two registers of in four. For kernels that need their registers for numbers.
    public var settlesFactors = false
    /// Whether addresses are computed anew in each turn of a loop, for kernels that need their registers for numbers.
    public var recomputesAddresses = false
    /// Whether threads that read tiles from memory, of which all is there and rows are contiguous, may read two numbers at once. That takes an
    /// instruction where others take ten, and neighbouring registers, which kernels that need all of theirs do not have.
    public var readsPairs = true
    /// Whether a machine that starts many kernels as one may bring this one in while the one before it still runs: it waits for the end
    /// of that before it reads or writes anything. For short kernels whose blocks may come to lie anywhere.
    public var startsEarly = false
    /// Numbers of tensors of which a kernel that starts early asks for what its blocks take first, while the kernels before run: into the
    /// second-level cache, which all share, so that nothing goes stale there even if it is written yet. Of what pipelines bring to products
    /// that is a few megabytes for all blocks together, of what rows are computed from all of their first task; what the data chooses is left
    /// out.
    public var prefetched: Set<Int> = []
    /// The widest pattern in which factors of products may lie in shared memory.
    public var swizzle = Swizzle.bytes128

    /// How the 16-byte pieces of a factor's rows are placed: rows of so many bytes follow each other, pieces exchanged by row
    /// so that neither copies nor products meet in one bank.
    public enum Swizzle: Int, Sendable, Hashable, CaseIterable {
      /// Rows of one piece: blocks of 8 by 16 bytes, nothing exchanged.
      case none = 16
      /// Rows of two pieces.
      case bytes32 = 32
      /// Rows of four pieces.
      case bytes64 = 64
      /// Rows of eight pieces: all banks.
      case bytes128 = 128
    }

    /// One group, one task a core; ``startsEarly``.
    public static var early: Self {
      var schedule = Self()
      schedule.startsEarly = true
      return schedule
    }

    /// One group, one task a core, steps one after the other.
    public init(groups: Int = 1, tasksPerCore: Int = 1, overlapsSteps: Bool = false, alternates: Bool = false)
    {
      self.groups = groups
      self.tasksPerCore = tasksPerCore
      self.overlapsSteps = overlapsSteps
      self.alternates = alternates
    }
  }

  /// Records `body` and checks what it recorded.
  ///
  /// - Throws: the first ``TileError`` found, naming the operation, its place and the remedy.
  public init(_ name: String, _ record: (Recorder) -> Void) throws(TileError) {
    let recorder = Recorder(name: name)
    record(recorder)
    recorder.finish()
    if let problem = recorder.problem { throw problem }
    self.name = name
    tensors = recorder.tensors
    parameters = recorder.parameters
    arguments = recorder.arguments
    grid = recorder.grid
    order = recorder.order
    body = recorder.root
    tileCount = recorder.tileCount
    schedule = recorder.schedule
    asides = recorder.asides
  }

  init(copying other: Kernel, body: [Statement]) {
    name = other.name
    tensors = other.tensors
    parameters = other.parameters
    arguments = other.arguments
    grid = other.grid
    order = other.order
    tileCount = other.tileCount
    schedule = other.schedule
    asides = other.asides
    self.body = body
  }
}
