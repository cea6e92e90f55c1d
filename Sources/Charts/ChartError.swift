/// Why measurements make no chart.
public enum ChartError: Error, Equatable {
  /// A line that is no measurement; lines count from 1.
  case line(file: String, number: Int, reason: String)
  /// No measurement has what is asked for.
  case nothing(wanted: String, found: String)
  /// A number that has no place on logarithmic axes.
  case value(series: String, x: Double, y: Double)
}

extension ChartError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .line(let file, let number, let reason):
      "\(file), line \(number): \(reason). Lines are written by `godwit bench --json` and by Scripts/peers."
    case .nothing(let wanted, let found): "no measurement has \(wanted); there are \(found)."
    case .value(let series, let x, let y):
      "\(series) has the point (\(x), \(y)): both numbers must be finite, and above 0 on logarithmic axes."
    }
  }
}
