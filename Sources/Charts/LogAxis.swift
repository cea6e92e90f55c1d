internal import Glibc

/// A logarithmic axis: where numbers lie on it, and which of them are named.
struct LogAxis {
  let range: ClosedRange<Double>
  let ticks: [AxisTick]

  /// Most names on an axis.
  static let most = 10

  /// An axis with all of `values`, which are above 0. Powers of two are named so, others by 1, 2 and 5 times powers of ten.
  init(_ values: [Double]) {
    let (low, high) = (values.min() ?? 1, values.max() ?? 1)
    if values.allSatisfy({ $0 >= 1 && $0.significand == 1 }), low < high {
      range = low...high
      let (first, last) = (Int(log2(low)), Int(log2(high)))
      let step = (last - first) / Self.most + 1
      ticks = stride(from: first, through: last, by: step).map { power in
        AxisTick(value: exp2(Double(power)), label: Self.binary(power))
      }
      return
    }
    let all = (Int(floor(log10(low))) - 1...Int(ceil(log10(high))) + 1).flatMap { power in
      [1, 2, 5].map { (digit: $0, power: power, value: Double($0) * pow(10, Double(power))) }
    }
    // A little room, so that a number on the edge is not lost to rounding.
    let start = all.lastIndex { $0.value <= low * (1 + 1e-9) } ?? 0
    let end = all.firstIndex { $0.value >= high * (1 - 1e-9) } ?? all.count - 1
    let inside = all[min(start, end)...max(start, end)]
    let span = inside.count > 1 ? inside : all[start...(start + 1)]
    range = (span.first?.value ?? 1)...(span.last?.value ?? 10)
    let decades = span.filter { $0.digit == 1 }
    let wide = decades.count / Self.most + 1
    let named =
      span.count <= Self.most
      ? Array(span) : decades.enumerated().filter { $0.offset % wide == 0 }.map(\.element)
    ticks = named.map { AxisTick(value: $0.value, label: Self.decimal($0.digit, $0.power)) }
  }

  /// Where a number lies, from 0 to 1.
  func place(_ value: Double) -> Double {
    log2(value / range.lowerBound) / log2(range.upperBound / range.lowerBound)
  }

  private static func binary(_ power: Int) -> String {
    let units = ["", "K", "M", "G", "T"]
    let unit = min(power / 10, units.count - 1)
    return "\(1 << (power - 10 * unit))\(units[unit])"
  }

  /// digit · 10^power, written out up to six places and with an exponent beyond.
  private static func decimal(_ digit: Int, _ power: Int) -> String {
    if power > 6 || power < -6 { return "\(digit)e\(power)" }
    if power < 0 { return "0." + String(repeating: "0", count: -power - 1) + "\(digit)" }
    let groups = Array(repeating: "000", count: power / 3)
    return (["\(digit)" + String(repeating: "0", count: power % 3)] + groups).joined(separator: ",")
  }
}
