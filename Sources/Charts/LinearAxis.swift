internal import Glibc

/// An axis on which equal differences are equal distances, from 0 or below.
struct LinearAxis {
  let range: ClosedRange<Double>
  let ticks: [AxisTick]

  /// Most names on an axis.
  static let most = 8

  /// An axis with 0 and all of `values`, named by steps of 1, 2 or 5 times a power of ten.
  init(_ values: [Double]) {
    // Half of the largest number, so that the width is a number too.
    let most = Double.greatestFiniteMagnitude / 2
    let (low, high) = (max(-most, min(0, values.min() ?? 0)), min(most, max(0, values.max() ?? 1)))
    let width = high > low ? high - low : 1
    let power = pow(10, floor(log10(width / Double(Self.most))))
    let step = [1, 2, 5, 10].map { $0 * power }.first { width / $0 <= Double(Self.most) } ?? 10 * power
    let (first, last) = (Int(floor(low / step)), Int(ceil((low + width) / step - 1e-9)))
    range = Double(first) * step...Double(last) * step
    let decimals = max(0, Int(-floor(log10(step))))
    ticks = (first...last).map { AxisTick(value: Double($0) * step, label: Self.label($0, step, decimals)) }
  }

  /// Where a number lies, from 0 to 1.
  func place(_ value: Double) -> Double { (value - range.lowerBound) / (range.upperBound - range.lowerBound) }

  /// number · step with as many decimals as the step has, with an exponent where it has very many.
  private static func label(_ number: Int, _ step: Double, _ decimals: Int) -> String {
    guard (1e-6..<1e12).contains(step) else { return "\(Double(number) * step)" }
    let scale = Int(pow(10, Double(decimals)).rounded())
    let value = number * Int((step * Double(scale)).rounded())
    guard decimals > 0 else { return "\(value)" }
    let rest = String(abs(value) % scale)
    let zeros = String(repeating: "0", count: decimals - rest.count)
    return "\(value < 0 ? "-" : "")\(abs(value) / scale).\(zeros)\(rest)"
  }
}
