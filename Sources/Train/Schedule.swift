internal import Formats
internal import Glibc

/// How the learning rate changes over the steps.
public struct Schedule: Sendable, Hashable {
  /// What follows the warmup.
  public enum Shape: String, Sendable, Hashable {
    /// The rate stays.
    case constant
    /// It falls in a straight line to the floor.
    case linear
    /// It falls as half a cosine to the floor.
    case cosine
  }

  /// What follows the warmup.
  public var shape = Shape.constant
  /// Share of the steps over which the rate rises from 10⁻⁶, or stays where it is no higher.
  public var warmup = 0.0
  /// Where the rate ends, as a share of the recipe's rate; the same number for every group.
  public var floor = 0.0

  /// The rate at a step.
  ///
  /// - Parameters:
  ///   - step: from 0.
  ///   - steps: in all.
  ///   - rate: the group's own.
  ///   - base: the recipe's, of which the floor is a share.
  public func rate(step: Int, of steps: Int, rate: Double, base: Double) -> Double {
    let rising = Int((warmup * Double(steps)).rounded())
    let start = min(1e-6, rate)
    if step < rising { return start + (rate - start) * Double(step) / Double(rising) }
    let end = min(rate, floor * base)
    switch shape {
    case .constant: return rate
    case .linear:
      let share = Double(step - rising) / Double(max(1, steps - rising))
      return rate + (end - rate) * min(1, share)
    case .cosine:
      // Counted from the first step, not from the end of the warmup.
      let share = min(1, Double(step) / Double(max(1, steps)))
      return end + (rate - end) * (1 + cos(Double.pi * share)) / 2
    }
  }

  /// No change.
  public init() {}

  /// What recipes may say.
  static let forms = [
    SettingForm("constant", "After the warmup the rate stays.", keys: [warmupKey]),
    SettingForm(
      "linear", "After the warmup the rate falls in a straight line.", keys: [warmupKey, floorKey]),
    SettingForm(
      "cosine", "The rate falls as half a cosine that is counted from the first step.",
      keys: [warmupKey, floorKey]),
  ]
  private static let warmupKey = SettingKey(
    "warmup", .share, default: 0, "Share of the steps over which the rate rises from 1e-6.")
  private static let floorKey = SettingKey(
    "floor", .share, default: 0, "Where the rate ends, as a share of `optimizer.rate`, for every group.")

  /// - Parameter node: one of ``forms``.
  init(_ node: JSONNode) throws(FormatError) {
    // Said here, because the form has no such key and could only call it unknown.
    let known = try node.named()
    if known.name == Shape.constant.rawValue, let unused = try known.settings?.optional("floor") {
      throw unused.wrong("no such key, since a constant rate has no end")
    }
    let (name, settings) = try node.named(Self.forms)
    guard let shape = Shape(rawValue: name) else {
      preconditionFailure("schedule \(name) is described, not read")
    }
    self.shape = shape
    warmup = Double(try settings?.share("warmup") ?? 0)
    floor = Double(try settings?.share("floor") ?? 0)
  }
}
