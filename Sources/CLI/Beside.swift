internal import Foundation
internal import Synchronization

/// Work beside other work of its kind, a thread each.
enum Beside {
  /// Bytes of each thread's stack.
  private static let stackBytes = 8 << 20

  /// Returns once all is done.
  ///
  /// - Returns: what each threw.
  static func run(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) -> [(any Error)?] {
    let failures = Failures(count: count)
    let done = DispatchSemaphore(value: 0)
    for number in 0..<count {
      let thread = Thread {
        do { try body(number) } catch { failures.set(number, error) }
        done.signal()
      }
      thread.stackSize = stackBytes
      thread.start()
    }
    for _ in 0..<count { done.wait() }
    return failures.all
  }

  private final class Failures: Sendable {
    private let errors: Mutex<[(any Error)?]>

    init(count: Int) { errors = Mutex([(any Error)?](repeating: nil, count: count)) }

    var all: [(any Error)?] { errors.withLock { $0 } }

    func set(_ number: Int, _ error: any Error) { errors.withLock { $0[number] = error } }
  }
}
