public import Synchronization

/// Where the time goes: launches and wall time of each kernel, gathered while ``isOn`` is true.
public final class KernelProfile: Sendable {
  /// One kernel's share.
  public struct Entry: Sendable, Hashable {
    /// Name the kernel was recorded under.
    public let name: String
    /// Launches so far.
    public let launches: Int
    /// Wall time of all of them, in seconds, as the calling thread saw it.
    public let seconds: Double
  }

  /// Nothing yet.
  public init() {}

  /// Whether launches are counted; off at first, because counting takes a lock a launch.
  public let isOn = Atomic<Bool>(false)
  private let totals = Mutex<[String: (launches: Int, time: Duration)]>([:])

  /// Counts a launch.
  package func add(_ name: String, _ time: Duration) {
    totals.withLock { totals in
      let before = totals[name] ?? (0, .zero)
      totals[name] = (before.launches + 1, before.time + time)
    }
  }

  /// What was gathered, longest first.
  public var entries: [Entry] {
    totals.withLock { totals in
      totals.map { Entry(name: $0, launches: $1.launches, seconds: $1.time / .seconds(1)) }
    }.sorted { ($1.seconds, $0.name) < ($0.seconds, $1.name) }
  }

  /// Forgets what was gathered.
  public func reset() { totals.withLock { $0 = [:] } }
}
