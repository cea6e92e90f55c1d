private import Dispatch
private import Synchronization

/// What `transform` gives for each of `0..<count`, in that order; all cores work on it.
///
/// - Throws: what one of them threw; those that had not begun by then are left out.
package func concurrentMap<Value: Sendable, Failure: Error>(
  _ count: Int, _ transform: @Sendable (Int) throws(Failure) -> Value
) throws(Failure) -> [Value] {
  let values = Mutex([Value?](repeating: nil, count: count))
  let failure = Mutex(Failure?.none)
  DispatchQueue.concurrentPerform(iterations: count) { index in
    guard failure.withLock({ $0 == nil }) else { return }
    do throws(Failure) {
      let value = try transform(index)
      values.withLock { $0[index] = value }
    } catch {
      failure.withLock { $0 = error }
    }
  }
  if let failure = failure.withLock({ $0 }) { throw failure }
  return values.withLock { $0.compactMap(\.self) }
}
