internal import CMicrokernels
internal import Glibc
internal import Synchronization

/// Threads that run one job at a time together with the caller.
///
/// Between jobs they spin for a while, because the next kernel of a model follows within microseconds, and then sleep. Who deals work
/// out as threads come need not wait for those that have not come yet: on a busy machine a thread may be without a core for
/// milliseconds.
///
/// `@unchecked Sendable`: the job is written before the state that opens it is stored, and read by threads that have joined it, which is
/// over before the next is written; one caller at a time runs jobs.
@safe final class ThreadPool: @unchecked Sendable {
  /// Threads that work on a job, the caller included.
  let count: Int
  /// Of the last job.
  private let state = Atomic<Int>(State.closed.rawValue)
  /// Threads that a job of all still waits for.
  private let missing = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private var job: (Int) -> Void = { _ in }
  private var threads: [pthread_t] = []
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// How often a waiting thread looks before it sleeps: roughly 50 µs.
  private static let spins = 2000

  /// A job's number, whether no more threads may join it, and how many are at it, in one word that changes as one.
  private struct State {
    static let closed = State(rawValue: 1 << 19)

    let rawValue: Int

    var number: Int { rawValue >> 20 }
    var isClosed: Bool { rawValue & Self.closed.rawValue != 0 }
    /// The same job, closed, with nobody at it.
    var over: State { State(rawValue: number << 20 | Self.closed.rawValue) }
    /// The next job, open, with nobody at it.
    var next: State { State(rawValue: (number + 1) << 20) }
  }

  init(count: Int) {
    self.count = max(1, count)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(wake, nil)
    for number in 1..<max(2, self.count) where number < self.count {
      // `deinit` waits for the threads, so the pool outlives every use they make of it.
      let start = unsafe Unmanaged.passRetained(
        Start(pool: Unmanaged.passUnretained(self), number: number))
      var thread = pthread_t()
      let status = unsafe pthread_create(
        &thread, nil,
        { raw in
          guard let raw = unsafe raw else { return nil }
          let start = unsafe Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
          unsafe start.pool._withUnsafeGuaranteedRef { $0.serve(start.number) }
          return nil
        }, start.toOpaque())
      if status == 0 { threads.append(thread) } else { unsafe start.release() }
    }
  }

  /// What a new thread is handed. It does not keep the pool alive, or the pool would never end.
  @safe private final class Start {
    let pool: Unmanaged<ThreadPool>
    let number: Int

    init(pool: Unmanaged<ThreadPool>, number: Int) {
      unsafe self.pool = pool
      self.number = number
    }
  }

  deinit {
    stopping.store(true, ordering: .sequentiallyConsistent)
    state.store(current.next.rawValue, ordering: .sequentiallyConsistent)
    unsafe pthread_mutex_lock(lock)
    unsafe pthread_cond_broadcast(wake)
    unsafe pthread_mutex_unlock(lock)
    for thread in threads { pthread_join(thread, nil) }
    unsafe pthread_mutex_destroy(lock)
    unsafe pthread_cond_destroy(wake)
    unsafe lock.deallocate()
    unsafe wake.deallocate()
  }

  /// Runs `work` once on each thread, with numbers from 0, and returns when all are done.
  func run(_ work: (Int) -> Void) { run(work, needsAll: true) }

  /// Runs `work` on the caller, with number 0, and at most once on each other thread that comes before the caller has done with it, and
  /// returns when all that came are done. For work that those who come deal out among themselves.
  func share(_ work: (Int) -> Void) { run(work, needsAll: false) }

  private func run(_ work: (Int) -> Void, needsAll: Bool) {
    guard !threads.isEmpty else { return work(0) }
    withoutActuallyEscaping(work) { work in
      job = work
      missing.store(threads.count, ordering: .relaxed)
      state.store(current.next.rawValue, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        unsafe pthread_mutex_lock(lock)
        unsafe pthread_cond_broadcast(wake)
        unsafe pthread_mutex_unlock(lock)
      }
      work(0)
      if needsAll { wait { missing.load(ordering: .acquiring) == 0 } }
      let closed = state.bitwiseOr(State.closed.rawValue, ordering: .acquiringAndReleasing).newValue
      let end = State(rawValue: closed).over.rawValue
      wait { state.load(ordering: .acquiring) == end }
      job = { _ in }
    }
  }

  private var current: State { State(rawValue: state.load(ordering: .sequentiallyConsistent)) }

  private func wait(until isOver: () -> Bool) {
    var spins = 0
    while !isOver() {
      // A worker that lost its core can only go on if this thread gives way.
      spins += 1
      if spins > Self.spins { sched_yield() } else { pause() }
    }
  }

  private func serve(_ number: Int) {
    var seen = 0
    while true {
      let state = waitForJob(after: seen)
      if stopping.load(ordering: .sequentiallyConsistent) { return }
      guard !state.isClosed else {
        // It was done without this thread.
        seen = state.number
        continue
      }
      let joined = self.state.weakCompareExchange(
        expected: state.rawValue, desired: state.rawValue + 1, ordering: .acquiring
      ).exchanged
      // Others join or leave, or it is closed: look again.
      guard joined else { continue }
      seen = state.number
      job(number)
      missing.subtract(1, ordering: .releasing)
      self.state.subtract(1, ordering: .releasing)
    }
  }

  private func waitForJob(after seen: Int) -> State {
    for _ in 0..<Self.spins {
      let state = State(rawValue: state.load(ordering: .acquiring))
      if state.number != seen { return state }
      pause()
    }
    unsafe pthread_mutex_lock(lock)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while current.number == seen { unsafe pthread_cond_wait(wake, lock) }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    unsafe pthread_mutex_unlock(lock)
    return current
  }

  @inline(__always) private func pause() { gw_pause() }
}
