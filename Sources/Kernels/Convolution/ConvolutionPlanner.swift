public import Fourier
internal import Memory
internal import Synchronization
public import Tiles

/// Chooses plans, and remembers them: one choice for each shape.
public final class ConvolutionPlanner: Sendable {
  /// How a plan is chosen.
  public enum Effort: Sendable, Hashable {
    /// By a count of operations and caches: takes microseconds.
    case estimate
    /// By running the `candidates` best of these: takes as long as a few hundred rows.
    case measure(candidates: Int)
  }

  private struct Key: Hashable {
    let shape: ConvolutionShape
    let mask: FrequencyMask?
  }

  /// How plans are chosen.
  public let effort: Effort
  private let chosen = Mutex<[Key: ConvolutionPlan]>([:])

  /// - Parameter effort: what a choice may cost.
  public init(_ effort: Effort = .estimate) { self.effort = effort }

  /// The plan for a shape on a machine.
  ///
  /// - Throws: what running a candidate throws.
  public func plan(
    for shape: ConvolutionShape, mask: FrequencyMask?, on executor: some ConvolutionExecutor
  ) throws -> ConvolutionPlan {
    let key = Key(shape: shape, mask: mask)
    if let known = chosen.withLock({ $0[key] }) { return known }
    let search = PlanSearch(shape, factors: mask?.factors)
    let plan: ConvolutionPlan
    switch effort {
    case .estimate: plan = search.estimate
    case .measure(let candidates):
      plan = try search.measured(candidates) { try Self.seconds($0, mask: mask, on: executor) }
    }
    chosen.withLock { $0[key] = plan }
    return plan
  }

  /// The least time of several runs over a few rows of noise.
  private static func seconds(
    _ plan: ConvolutionPlan, mask: FrequencyMask?, on executor: some ConvolutionExecutor
  ) throws -> Double {
    let prepared = try executor.prepare(plan, mask: mask)
    // So many rows that waking the threads is a small part of a run.
    let channels = max(1, min(256, 65_536 / plan.shape.length))
    let rows = ConvolutionRows(try Tensor(random: .float32, [1, channels, plan.shape.length], seed: 1))
    let output = try Tensor(zeros: .float32, rows.input.shape)
    let taps = try Tensor(random: .float32, [channels, plan.shape.filterLength], seed: 2)
    let filters = ConvolutionFilters(taps, reverse: plan.shape.mode.hasReverse ? taps : nil)
    let spectrum = try Tensor(zeros: .float32, [channels, plan.spectrumCount])
    try prepared.transform(filters, into: spectrum)
    func once(_ calls: Int) throws -> Double {
      let start = ContinuousClock.now
      for _ in 0..<calls { try prepared.run(rows, spectrum: spectrum, into: output) }
      return (ContinuousClock.now - start) / .seconds(1) / Double(calls)
    }
    // Short rows are run often enough for the clock and for the threads to settle.
    let first = try min(once(1), once(1))
    let calls = max(1, min(200, Int(0.5e-3 / max(first, 1e-9))))
    var best = first
    for _ in 0..<5 { best = min(best, try once(calls)) }
    return best
  }
}
