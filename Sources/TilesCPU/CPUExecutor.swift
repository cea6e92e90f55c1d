internal import Synchronization
public import Tiles

/// Runs tile programs on the cores of this machine.
///
/// One kernel runs at a time, its tasks spread over the threads. Safe to share.
public final class CPUExecutor: Executor {
  /// Threads that work, the caller of `run` included.
  public let threads: Int
  /// The microkernel table in use, for example `avx2`.
  public let microkernelName: String
  /// Where the time goes, once it is switched on.
  public let profile = KernelProfile()
  let pool: ThreadPool
  let microkernels: Microkernels
  let workers: WorkerSet
  let convolutionTables = ConvolutionTableCache()
  /// Held by the launch that runs.
  let turn = Mutex(())

  /// Workers, one a thread. `@unchecked Sendable`: used only by the launch that holds `turn`.
  final class WorkerSet: @unchecked Sendable {
    var workers: [Worker]
    let ranges: TaskRanges

    init(_ workers: [Worker]) {
      self.workers = workers
      ranges = TaskRanges(workers: workers.count)
    }

    deinit { for worker in workers { worker.deallocate() } }
  }

  /// - Parameters:
  ///   - threads: how many to use, 1 to 256.
  ///   - microkernels: a table's name, or `nil` for the best this processor runs.
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)`` for a thread count or table that cannot be had.
  public init(threads: Int, microkernels wanted: String? = nil) throws(ExecutionError) {
    guard (1...256).contains(threads) else {
      throw .invalid(kernel: "-", reason: "\(threads) threads; use 1 to 256.")
    }
    guard let table = Microkernels(named: wanted) else {
      throw .invalid(kernel: "-", reason: "this processor has no microkernels named \(wanted ?? "any").")
    }
    self.threads = threads
    microkernels = table
    microkernelName = table.name
    pool = ThreadPool(count: threads)
    workers = WorkerSet((0..<threads).map { _ in Worker(microkernels: table) })
  }

  /// Lowers a kernel to instructions.
  public func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel {
    CPUKernel(program: try Lowering.lower(kernel), executor: self)
  }
}
