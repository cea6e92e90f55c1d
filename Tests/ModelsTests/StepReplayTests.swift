import Memory
import TestSupport
import Testing
import Tiles

@testable import Models

@Suite struct StepReplayTests {
  /// Memory of a cache that is gone is given to the next one; what was recorded for the first must not run for the second.
  @Test func aNewCacheIsNotTakenForAnOldOneAtItsPlace() throws {
    let executor = DeviceExecutor(ReferenceExecutor<Float>())
    let replay = StepReplay(executor, Workspace(executor))
    let shape = StepReplay.Shape(extents: [1], phases: [0..<1], chunks: 1)
    var places: Set<ObjectIdentifier> = []
    var calls = 0
    for round in 0..<50 {
      let cache = try executor.allocate(byteCount: 4096)
      places.insert(ObjectIdentifier(cache))
      for _ in 0..<3 { try replay.run(shape, cache: cache) { calls += 1 } }
      // Once to be seen, once to be recorded; the third time is a replay.
      #expect(calls == 2 * (round + 1))
    }
    #expect(places.count < 50, "no place was used twice: this test has shown nothing")
    #expect(executor.replays == 100)
  }
}
