internal import CMicrokernels
internal import Glibc
internal import Synchronization

/// Threads that run one job at a time together with the caller.
///
/// Between jobs they spin for a while, because the next kernel of a model follows within microseconds, and then sleep.
///
/// `@unchecked Sendable`: the job is written before the generation that publishes it is stored with release order, and
/// read after it was loaded with acquire order; one caller at a time runs jobs.
@safe final class ThreadPool: @unchecked Sendable {
  /// Threads that work on a job, the caller included.
  let count: Int
  private let generation = Atomic<Int>(0)
  private let running = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private var job: (Int) -> Void = { _ in }
  private var threads: [pthread_t] = []
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// How often a waiting thread looks before it sleeps: roughly 50 µs.
  private static let spins = 2000

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
    stopping.store(true, ordering: .releasing)
    generation.add(1, ordering: .releasing)
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
  func run(_ work: (Int) -> Void) {
    guard !threads.isEmpty else { return work(0) }
    withoutActuallyEscaping(work) { work in
      job = work
      running.store(threads.count, ordering: .relaxed)
      generation.add(1, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        unsafe pthread_mutex_lock(lock)
        unsafe pthread_cond_broadcast(wake)
        unsafe pthread_mutex_unlock(lock)
      }
      work(0)
      var spins = 0
      while running.load(ordering: .acquiring) > 0 {
        // A worker that lost its core can only go on if this thread gives way.
        spins += 1
        if spins > Self.spins { sched_yield() } else { pause() }
      }
      job = { _ in }
    }
  }

  private func serve(_ number: Int) {
    var seen = 0
    while true {
      waitForJob(after: seen)
      seen = generation.load(ordering: .acquiring)
      if stopping.load(ordering: .acquiring) { return }
      job(number)
      running.subtract(1, ordering: .acquiringAndReleasing)
    }
  }

  private func waitForJob(after seen: Int) {
    for _ in 0..<Self.spins {
      if generation.load(ordering: .acquiring) != seen { return }
      pause()
    }
    unsafe pthread_mutex_lock(lock)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while generation.load(ordering: .sequentiallyConsistent) == seen { unsafe pthread_cond_wait(wake, lock) }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    unsafe pthread_mutex_unlock(lock)
  }

  @inline(__always) private func pause() { gw_pause() }
}
