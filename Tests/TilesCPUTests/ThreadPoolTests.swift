import TestSupport
import Testing
import Tiles
import TilesCPU

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
}
