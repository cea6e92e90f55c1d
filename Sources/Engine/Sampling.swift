internal import Glibc

/// How the next token is chosen from the logits.
///
/// Applied in this order: repetition penalty, logit bias, temperature, top-k, top-p, min-p, draw; the order of
/// `transformers`. Randomness depends on the seed and the token's position only, never on the batch.
public struct Sampling: Sendable, Hashable {
  /// 0 takes the most likely token.
  public var temperature: Double = 0
  /// Only so many of the likeliest tokens; 0 for all.
  public var topK = 0
  /// Only the likeliest tokens that together reach this probability.
  public var topP: Double = 1
  /// Only tokens at least this likely relative to the likeliest.
  public var minP: Double = 0
  /// Logits of tokens seen before are divided by it if positive, multiplied if negative.
  public var repetitionPenalty: Double = 1
  /// Added to the logits of these tokens.
  public var logitBias: [Int32: Double] = [:]
  /// Seed of the random numbers.
  public var seed: UInt64 = 0

  /// Greedy choice.
  public init() {}

  /// Checks every number.
  ///
  /// - Throws: ``EngineError/invalidParameter(name:value:allowed:)``.
  public func validate() throws(EngineError) {
    func check(_ name: String, _ value: Double, _ isAllowed: Bool, _ allowed: String) throws(EngineError) {
      guard value.isFinite, isAllowed else {
        throw .invalidParameter(name: name, value: "\(value)", allowed: allowed)
      }
    }
    try check("temperature", temperature, temperature >= 0 && temperature <= 100, "0 to 100")
    try check("top-k", Double(topK), topK >= 0, "0 or more")
    try check("top-p", topP, topP > 0 && topP <= 1, "above 0, at most 1")
    try check("min-p", minP, minP >= 0 && minP <= 1, "0 to 1")
    try check(
      "repetition penalty", repetitionPenalty, repetitionPenalty > 0 && repetitionPenalty <= 100,
      "above 0, at most 100")
    for bias in logitBias.values { try check("logit bias", bias, abs(bias) <= 1000, "-1000 to 1000") }
  }

  /// A chosen token, its log-probability under the model, and the likeliest alternatives.
  public struct Choice: Sendable, Hashable {
    /// Token id.
    public var token: Int32
    /// Natural logarithm of its probability.
    public var logProbability: Double
    /// Likeliest tokens, likeliest first.
    public var alternatives: [Alternative] = []
  }

  /// A token and its log-probability under the model.
  public struct Alternative: Sendable, Hashable {
    /// Token id.
    public var token: Int32
    /// Natural logarithm of its probability.
    public var logProbability: Double
  }

  /// Chooses a token.
  ///
  /// - Parameters:
  ///   - position: position of the token to choose, which keys the randomness.
  ///   - alternatives: how many of the likeliest tokens to report.
  /// - Throws: ``EngineError/notANumber(position:)`` where a logit is NaN.
  public func choose(
    _ logits: Span<Float>, history: [Int32], position: Int, alternatives: Int = 0
  ) throws(EngineError) -> Choice {
    var top = -Float.infinity
    var best = 0
    for index in logits.indices {
      let value = logits[index]
      guard !value.isNaN else { throw .notANumber(position: position) }
      if value > top { (top, best) = (value, index) }
    }
    let isPlain = temperature == 0 && repetitionPenalty == 1 && logitBias.isEmpty
    let token = isPlain ? best : draw(adjusted(logits, history), position)
    guard alternatives > 0 else {
      return Choice(token: Int32(token), logProbability: Double(logits[token] - top) - logSum(logits, top))
    }
    let normaliser = Double(top) + logSum(logits, top)
    let likeliest = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }.prefix(alternatives)
    return Choice(
      token: Int32(token), logProbability: Double(logits[token]) - normaliser,
      alternatives: likeliest.map {
        Alternative(token: Int32($0), logProbability: Double(logits[$0]) - normaliser)
      })
  }

  private func logSum(_ logits: Span<Float>, _ top: Float) -> Double {
    var sum: Float = 0
    for index in logits.indices { sum += expf(logits[index] - top) }
    return log(Double(sum))
  }

  private func adjusted(_ logits: Span<Float>, _ history: [Int32]) -> [Double] {
    var values = logits.indices.map { Double(logits[$0]) }
    if repetitionPenalty != 1 {
      for token in Set(history) where values.indices.contains(Int(token)) {
        let value = values[Int(token)]
        values[Int(token)] = value > 0 ? value / repetitionPenalty : value * repetitionPenalty
      }
    }
    for (token, bias) in logitBias where values.indices.contains(Int(token)) { values[Int(token)] += bias }
    return values
  }

  private func draw(_ values: [Double], _ position: Int) -> Int {
    let order: [Int]
    if temperature == 0 {
      return values.indices.max { (values[$0], $1) < (values[$1], $0) } ?? 0
    } else {
      order = values.indices.sorted { (values[$1], $0) < (values[$0], $1) }
    }
    let top = values[order[0]]
    var weights = order.prefix(topK > 0 ? topK : order.count).map { exp((values[$0] - top) / temperature) }
    let total = weights.reduce(0, +)
    var cumulative = 0.0
    var kept = 0
    for weight in weights {
      if kept > 0, cumulative >= topP * total || weight < minP * weights[0] { break }
      cumulative += weight
      kept += 1
    }
    weights = Array(weights.prefix(kept))
    var target = uniform(position) * cumulative
    for (index, weight) in weights.enumerated() {
      target -= weight
      if target < 0 { return order[index] }
    }
    return order[kept - 1]
  }

  /// A number in 0 ..< 1 that depends on the seed and the position only (SplitMix64's finaliser, twice).
  private func uniform(_ position: Int) -> Double {
    func mix(_ x: UInt64) -> UInt64 {
      var z = x &+ 0x9E37_79B9_7F4A_7C15
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    return Double(mix(mix(seed) ^ UInt64(position)) >> 11) * 0x1p-53
  }
}
