/// Largest |found − exact| in units of `bound`; infinity where a NaN or a missing element shows up.
public func error(_ found: [Double], _ exact: [Double], inUnitsOf bound: [Double]) -> Double {
  guard found.count == exact.count, bound.count == exact.count else { return .infinity }
  var worst = 0.0
  for index in found.indices {
    if found[index] == exact[index] { continue }
    let ratio = abs(found[index] - exact[index]) / bound[index]
    guard ratio.isFinite else { return .infinity }
    worst = max(worst, ratio)
  }
  return worst
}

/// As ``error(_:_:inUnitsOf:)`` with one bound for all elements.
public func error(_ found: [Double], _ exact: [Double], inUnitsOf bound: Double) -> Double {
  error(found, exact, inUnitsOf: [Double](repeating: bound, count: exact.count))
}
