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

/// ‖found − exact‖ over ‖exact‖; infinity where a NaN or a missing element shows up, and 1 for zeros in place of results.
public func relativeError(_ found: [Double], _ exact: [Double]) -> Double {
  guard found.count == exact.count, !exact.isEmpty else { return .infinity }
  var (difference, size) = (0.0, 0.0)
  for index in found.indices {
    difference += (found[index] - exact[index]) * (found[index] - exact[index])
    size += exact[index] * exact[index]
  }
  guard difference.isFinite, size.isFinite else { return .infinity }
  return size > 0 ? (difference / size).squareRoot() : (difference > 0 ? .infinity : 0)
}
