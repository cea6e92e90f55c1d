/// Plans that may be the fastest for a shape.
public struct PlanSearch: Sendable {
  private let shape: ConvolutionShape
  private let factors: [Int]?

  /// - Parameters:
  ///   - shape: what is to be convolved.
  ///   - factors: the digits of a frequency mask, whose product is the size of the transform.
  public init(_ shape: ConvolutionShape, factors: [Int]? = nil) {
    self.shape = shape
    self.factors = factors
  }

  /// The plan with the least estimated cost.
  public var estimate: ConvolutionPlan { candidates(1)[0] }

  /// The best plans by estimate, best first; at least one.
  public func candidates(_ count: Int) -> [ConvolutionPlan] {
    let plans = sizes.flatMap(splits)
    return Array(plans.sorted { $0.estimatedCost < $1.estimatedCost }.prefix(max(1, count)))
  }

  /// The plan that `time` finds fastest of the `count` best by estimate: `time` returns any measure that grows with it.
  ///
  /// The three fastest are timed again after all others, and the lesser of both times counts: what else ran on the machine
  /// during one of them does not decide.
  public func measured(_ count: Int = 8, time: (ConvolutionPlan) throws -> Double) rethrows -> ConvolutionPlan
  {
    let plans = candidates(count)
    guard plans.count > 1 else { return plans[0] }
    var times: [(plan: ConvolutionPlan, time: Double)] = []
    for plan in plans { times.append((plan, try time(plan))) }
    var best = (plan: plans[0], time: Double.infinity)
    for first in times.sorted(by: { $0.time < $1.time }).prefix(3) {
      let taken = min(first.time, try time(first.plan))
      if taken < best.time { best = (first.plan, taken) }
    }
    return best.plan
  }

  /// Sizes worth a look: products of small primes from the least possible size to a third above it, and where a filter is shorter
  /// than the sequence powers of two from the filter on.
  private var sizes: [Int] {
    if let factors { return [factors.reduce(1, *)] }
    if shape.mode == .circular && Radices(of: shape.length) != nil { return [shape.length] }
    let least = max(8, shape.mode == .causal ? shape.length : shape.leastSize)
    var found = Self.smooth(from: least)
    if shape.mode == .causal {
      var size = 8
      while size < least {
        if size >= shape.filterLength { found.append(size) }
        size *= 2
      }
    }
    return found
  }

  /// Multiples of 8 without a prime factor above 7, from `least` to a third above it; a power of two is among them.
  static func smooth(from least: Int) -> [Int] {
    var found: [Int] = []
    var power = 8
    while power < 2 * least {
      for threes in [1, 3, 9, 27, 81] {
        for fives in [1, 5, 25, 125] {
          for sevens in [1, 7, 49] {
            let size = power * threes * fives * sevens
            if size >= least && size <= least + least / 3 + 8 { found.append(size) }
          }
        }
      }
      power *= 2
    }
    var next = 8
    while next < least { next *= 2 }
    return found.contains(next) ? found : found + [next]
  }

  private func splits(_ size: Int) -> [ConvolutionPlan] {
    var plans: [ConvolutionPlan] = []
    for columns in 1...max(8, min(size, 4096))
    where size % columns == 0 && (columns % 8 == 0 || size % 8 != 0) {
      guard let first = Radices(of: columns), let second = Radices(of: size / columns) else { continue }
      if size > 4096 && columns > 2 * (size / columns) && columns > 64 { continue }
      plans.append(ConvolutionPlan(shape: shape, columns: first, rows: second))
    }
    return plans
  }
}
