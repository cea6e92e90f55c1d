internal import Glibc

/// How the angles of rotary embedding are stretched for texts longer than those a network was first trained on.
public enum RotaryScaling: Sendable, Hashable {
  /// Angles as trained.
  case none
  /// Every position divided by `factor`. Chen et al., 2023, arXiv:2306.15595.
  case linear(factor: Double)
  /// Pairs of less than `low` turns over the `original` context are divided by `factor`, those of more than `high` are
  /// kept, the rest lies between. Grattafiori et al., 2024, arXiv:2407.21783.
  case llama3(factor: Double, low: Double, high: Double, original: Int)
  /// As ``llama3(factor:low:high:original:)`` but linear in the pair's number, and with a factor on cosine and sine,
  /// 0.1·ln(factor) + 1 where `magnitude` is `nil`. Peng et al., 2023, arXiv:2309.00071.
  case yarn(factor: Double, fast: Double, slow: Double, original: Int, truncates: Bool, magnitude: Double?)
}

extension RotaryTable {
  /// Angles of `size` numbers a head: base^(−2i / size) radians a position for pair i, scaled.
  ///
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` for a size that is odd or beyond 0...1024, a base that is not
  ///   above 1, and factors that make no finite angles.
  public init(base: Double, size: Int, scaling: RotaryScaling = .none) throws(ModelError) {
    guard (0...1024).contains(size), size % 2 == 0 else {
      throw .invalid(key: "rotary size", value: "\(size)", allowed: "an even number from 0 to 1024")
    }
    guard base > 1, base.isFinite else {
      throw .invalid(key: "rotary base", value: "\(base)", allowed: "a number above 1")
    }
    try scaling.check()
    let plain = LlamaConfiguration.inverseFrequencies(base: base, size: size)
    switch scaling {
    case .none: self.init(inverseFrequencies: plain)
    case .linear(let factor): self.init(inverseFrequencies: plain.map { $0 / factor })
    case .llama3(let factor, let low, let high, let original):
      self.init(
        inverseFrequencies: plain.map { frequency in
          let turns = Double(original) * frequency / (2 * Double.pi)
          let kept = min(1, max(0, (turns - low) / (high - low)))
          return frequency * (kept + (1 - kept) / factor)
        })
    case .yarn(let factor, let fast, let slow, let original, let truncates, let magnitude):
      /// Number of the pair, with a fraction, that makes `turns` turns over the original context.
      func pair(_ turns: Double) -> Double {
        Double(size) * log(Double(original) / (turns * 2 * Double.pi)) / (2 * log(base))
      }
      var (first, last) = (pair(fast), pair(slow))
      if truncates { (first, last) = (first.rounded(.down), last.rounded(.up)) }
      (first, last) = (max(first, 0), min(last, Double(size - 1)))
      // Where both ends meet, the ramp is a step.
      let width = last > first ? last - first : 0.001
      self.init(
        inverseFrequencies: plain.enumerated().map { number, frequency in
          let scaled = min(1, max(0, (Double(number) - first) / width))
          return frequency * (1 - scaled + scaled / factor)
        }, magnitude: magnitude ?? 0.1 * log(factor) + 1)
    }
  }
}

extension RotaryScaling {
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` naming the first constant that makes no sense.
  fileprivate func check() throws(ModelError) {
    func positive(_ key: String, _ value: Double, atLeast floor: Double = 0) throws(ModelError) {
      guard value > 0, value >= floor, value <= 1e6 else {
        throw .invalid(
          key: "rope scaling \(key)", value: "\(value)",
          allowed: floor > 0 ? "\(floor) to 1000000" : "a number above 0, at most 1000000")
      }
    }
    func positive(original: Int) throws(ModelError) {
      guard (1...16_777_216).contains(original) else {
        throw .invalid(key: "original context length", value: "\(original)", allowed: "1 to 16777216")
      }
    }
    switch self {
    case .none: return
    case .linear(let factor): try positive("factor", factor)
    case .llama3(let factor, let low, let high, let original):
      try positive("factor", factor)
      try positive("low frequency factor", low)
      try positive("high frequency factor", high)
      try positive(original: original)
      guard low < high else {
        throw .invalid(
          key: "rope scaling high frequency factor", value: "\(high)", allowed: "above the low one, \(low)")
      }
    case .yarn(let factor, let fast, let slow, let original, _, let magnitude):
      try positive("factor", factor, atLeast: 1)
      try positive("beta_fast", fast)
      try positive("beta_slow", slow)
      try positive(original: original)
      if let magnitude { try positive("attention factor", magnitude) }
    }
  }
}
