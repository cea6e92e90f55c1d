/// Times candidates and keeps the best, within bounds: it never takes much longer than it was given, and what it finds is
/// no slower than what would be taken without it.
public struct Autotuner: Sendable {
  /// Candidates that are timed, at the most.
  public var candidateLimit: Int
  /// Seconds after which no further candidate is begun.
  public var secondLimit: Double

  /// Bounds for one kernel and shape.
  public init(candidateLimit: Int = 24, secondLimit: Double = 20) {
    self.candidateLimit = candidateLimit
    self.secondLimit = secondLimit
  }

  /// What came of it.
  public struct Outcome<Candidate> {
    /// The fastest.
    public var best: Candidate
    /// What it takes, in seconds.
    public var seconds: Double
    /// What the first takes, which is the choice without measuring.
    public var firstSeconds: Double
    /// How many were timed.
    public var timed: Int
    /// How many could not be: a machine may have no room for them.
    public var failed: Int
    /// How many the bounds left out.
    public var left: Int
  }

  /// The fastest of the candidates.
  ///
  /// Others must beat the first by more than a hundredth, so that noise moves no plan.
  ///
  /// - Parameters:
  ///   - candidates: the choice without measuring comes first.
  ///   - elapsed: seconds since some moment.
  ///   - time: seconds of a call; throws for a candidate that cannot run.
  /// - Returns: `nil` where the first candidate cannot run or there is none.
  public func best<Candidate>(
    of candidates: [Candidate], elapsed: () -> Double, time: (Candidate) throws -> Double
  ) -> Outcome<Candidate>? {
    let start = elapsed()
    guard let first = candidates.first, let seconds = usable(try? time(first)) else { return nil }
    var outcome = Outcome(
      best: first, seconds: seconds, firstSeconds: seconds, timed: 1, failed: 0, left: 0)
    for (number, candidate) in candidates.enumerated().dropFirst() {
      guard number < candidateLimit, elapsed() - start < secondLimit else {
        outcome.left = candidates.count - number
        break
      }
      guard let seconds = usable(try? time(candidate)) else {
        outcome.failed += 1
        continue
      }
      outcome.timed += 1
      if seconds < outcome.seconds, seconds < 0.99 * outcome.firstSeconds {
        (outcome.best, outcome.seconds) = (candidate, seconds)
      }
    }
    return outcome
  }

  private func usable(_ seconds: Double?) -> Double? { seconds.flatMap { $0.isFinite && $0 > 0 ? $0 : nil } }
}
