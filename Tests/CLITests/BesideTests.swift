import Synchronization
import Testing

@testable import CLI

@Suite struct BesideTests {
  private struct Failure: Error, Equatable { let number: Int }

  @Test func eachReportsItsOwnFailure() {
    let seen = Mutex(Set<Int>())
    let failures = Beside.run(5) { number in
      _ = seen.withLock { $0.insert(number) }
      if number % 2 == 1 { throw Failure(number: number) }
    }
    #expect(seen.withLock { $0 } == Set(0..<5))
    #expect(failures.map { ($0 as? Failure)?.number } == [nil, 1, nil, 3, nil])
    #expect(Beside.run(0) { _ in }.isEmpty)
  }
}
