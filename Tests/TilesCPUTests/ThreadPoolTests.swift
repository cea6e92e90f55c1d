import Glibc
import Synchronization
import TestSupport
import Testing
import Tiles

@testable import TilesCPU

@Suite struct ThreadPoolTests {
  /// An executor may be gone before its threads have run at all.
  @Test func endsBeforeItsThreadsBegin() throws {
    for _ in 0..<500 { _ = try CPUExecutor(threads: 4) }
  }

  /// Every task runs once, launch after launch, with more threads than cores.
  @Test func everyTaskRunsOnce() throws {
    let kernel = try Kernel("number") { k in
      let n = k.extent("N")
      let y = k.update("y", .float32, [n])
      k.grid([n]) { task in
        let old = k.load(y, at: [task[0]], columns: 1)
        k.store(k.map(.add, k.map(.add, old, 1.0), task[0]), to: y, at: [task[0]])
      }
    }
    let executor = try CPUExecutor(threads: 5)
    let compiled = try executor.compile(kernel)
    let y = try tensor([997]) { _ in 0 }
    for _ in 0..<50 { try compiled.run([y]) }
    #expect(values(y).enumerated().allSatisfy { $0.element == 50 * (1 + Double($0.offset)) })
  }

  /// Jobs for all and jobs for those that come, in turn, with more threads than cores: nobody is at one twice, or at one that is over.
  @Test func threadsJoinAJobOnce() {
    let pool = ThreadPool(count: 6)
    let current = Atomic<Int>(0)
    let counts = Mutex([Int](repeating: 0, count: 6))
    var joined = 0
    for job in 0..<3000 {
      current.store(job, ordering: .sequentiallyConsistent)
      func work(_ number: Int) {
        #expect(current.load(ordering: .sequentiallyConsistent) == job)
        counts.withLock { $0[number] += 1 }
        // Others lose their cores here.
        if job % 7 == number { sched_yield() }
      }
      if job % 3 == 0 { pool.run(work) } else { pool.share(work) }
      let seen = counts.withLock { counts in
        defer { counts = [Int](repeating: 0, count: 6) }
        return counts
      }
      #expect(seen[0] == 1 && seen.allSatisfy { $0 == 1 || $0 == 0 && job % 3 != 0 }, "\(seen) at job \(job)")
      if job % 3 != 0 { joined += seen.dropFirst().reduce(0, +) }
      // Long enough for them to sleep.
      if job % 500 == 499 { usleep(2000) }
    }
    // Those that come may take part.
    #expect(joined > 0)
  }
}
