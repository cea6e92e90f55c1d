/// A named place on an axis.
struct AxisTick: Equatable {
  var value: Double
  var label: String
}

/// Where numbers lie along one side of a chart, and which of them are named.
enum Axis {
  case logarithmic(LogAxis)
  case linear(LinearAxis)

  /// An axis with all of `values`.
  init(_ values: [Double], _ scale: Chart.Scale) {
    switch scale {
    case .logarithmic: self = .logarithmic(LogAxis(values))
    case .linear: self = .linear(LinearAxis(values))
    }
  }

  /// The named places.
  var ticks: [AxisTick] {
    switch self {
    case .logarithmic(let axis): axis.ticks
    case .linear(let axis): axis.ticks
    }
  }

  /// Where a number lies, from 0 to 1.
  func place(_ value: Double) -> Double {
    switch self {
    case .logarithmic(let axis): axis.place(value)
    case .linear(let axis): axis.place(value)
    }
  }
}
