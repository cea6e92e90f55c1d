/// How the next token is chosen from the logits.
///
/// Applied in this order: logit bias, repetition penalty, frequency and presence penalties, temperature, top-k, top-p,
/// min-p, draw. Biases come before penalties and filters follow the temperature, as in `transformers`. Randomness
/// depends on the seed and the token's position only, never on the batch.
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
  /// Taken off a token's logit for each time it was generated; the prompt does not count.
  public var frequencyPenalty: Double = 0
  /// Taken off the logit of every token that was generated at least once; the prompt does not count.
  public var presencePenalty: Double = 0
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
    try check("frequency penalty", frequencyPenalty, abs(frequencyPenalty) <= 100, "-100 to 100")
    try check("presence penalty", presencePenalty, abs(presencePenalty) <= 100, "-100 to 100")
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
}
