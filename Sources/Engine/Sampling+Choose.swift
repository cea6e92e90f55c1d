internal import Glibc

extension Sampling {
  /// Chooses a token.
  ///
  /// - Parameters:
  ///   - logits: a number a token of the vocabulary; minus infinity forbids a token.
  ///   - history: the prompt, then what was generated.
  ///   - promptCount: how many tokens of `history` are the prompt.
  ///   - position: position of the token to choose, which keys the randomness.
  ///   - alternatives: how many of the likeliest tokens to report.
  /// - Throws: ``EngineError/notANumber(position:)`` where a logit is NaN or infinite, or none is above minus infinity.
  /// - Complexity: a few passes over the vocabulary; top-k and top-p sort only the tokens near the likeliest.
  public func choose(
    _ logits: Span<Float>, history: [Int32], promptCount: Int = 0, position: Int, alternatives: Int = 0
  ) throws(EngineError) -> Choice {
    let best = try LogitScan.largest(logits, position)
    let top = logits[best]
    let token: Int
    if isPlain {
      token = temperature == 0 ? best : draw(logits.indices.map { logits[$0] }, top: top, position)
    } else {
      let values = adjusted(logits, history, promptCount)
      let first = try LogitScan.largest(values.span, position)
      token = temperature == 0 ? first : draw(values, top: values[first], position)
    }
    let normaliser = Double(top) + LogitScan.logSum(logits, top)
    return Choice(
      token: Int32(token), logProbability: Double(logits[token]) - normaliser,
      alternatives: Self.likeliest(logits, min(alternatives, logits.count)).map {
        Alternative(token: Int32($0), logProbability: Double(logits[$0]) - normaliser)
      })
  }

  /// Whether the likeliest token is taken, by logits as they are.
  var isGreedy: Bool { isPlain && temperature == 0 }

  /// Whether the logits are used as they are.
  private var isPlain: Bool {
    repetitionPenalty == 1 && frequencyPenalty == 0 && presencePenalty == 0 && logitBias.isEmpty
  }

  /// The `count` tokens of the largest logits, largest first, the lower id first among equals.
  private static func likeliest(_ logits: Span<Float>, _ count: Int) -> [Int] {
    guard count > 0 else { return [] }
    var found: [Int] = []
    for index in logits.indices {
      if found.count == count, logits[index] <= logits[found[count - 1]] { continue }
      let place = found.firstIndex { logits[$0] < logits[index] } ?? found.count
      if found.count == count { found.removeLast() }
      found.insert(index, at: place)
    }
    return found
  }

  private func adjusted(_ logits: Span<Float>, _ history: [Int32], _ promptCount: Int) -> [Float] {
    var values = logits.indices.map { logits[$0] }
    for (token, bias) in logitBias where values.indices.contains(Int(token)) {
      values[Int(token)] += Float(bias)
    }
    if repetitionPenalty != 1 {
      let penalty = Float(repetitionPenalty)
      for token in Set(history) where values.indices.contains(Int(token)) {
        let value = values[Int(token)]
        values[Int(token)] = value > 0 ? value / penalty : value * penalty
      }
    }
    guard frequencyPenalty != 0 || presencePenalty != 0 else { return values }
    var counts: [Int32: Int] = [:]
    for token in history.dropFirst(promptCount) { counts[token, default: 0] += 1 }
    for (token, count) in counts where values.indices.contains(Int(token)) {
      values[Int(token)] -= Float(frequencyPenalty * Double(count) + presencePenalty)
    }
    return values
  }

  /// A token drawn among those that the filters keep, by probability, in order of id.
  private func draw(_ values: [Float], top: Float, _ position: Int) -> Int {
    // Differences first: they are exact near the top, where a small temperature magnifies them.
    let weights = values.map { expf(Float(Double($0 - top) / temperature)) }
    let kept = kept(values, weights)
    let total = kept.reduce(0) { $0 + Double(weights[$1]) }
    var target = uniform(position) * total
    for index in kept {
      target -= Double(weights[index])
      if target < 0 { return index }
    }
    // Rounding left a remainder: the last token that can be drawn at all.
    return kept.last { weights[$0] > 0 } ?? kept[0]
  }

  /// Tokens that pass top-k, top-p and min-p, in order of id; never empty, as the likeliest always passes.
  private func kept(_ values: [Float], _ weights: [Float]) -> [Int] {
    var kept = Array(weights.indices)
    let total = weights.reduce(0.0) { $0 + Double($1) }
    if topK > 0, topK < weights.count {
      kept = Array(Self.ranked(values, weights) { count, _ in count >= topK }.prefix(topK))
      if topP < 1 { kept = nucleus(kept, weights, total: kept.reduce(0) { $0 + Double(weights[$1]) }) }
      kept.sort()
    } else if topP < 1 {
      kept = nucleus(Self.ranked(values, weights) { _, mass in mass >= topP * total }, weights, total: total)
      kept.sort()
    }
    return minP > 0 ? kept.filter { Double(weights[$0]) >= minP } : kept
  }

  /// The shortest beginning of `ranked` that holds at least `topP` of `total`.
  private func nucleus(_ ranked: [Int], _ weights: [Float], total: Double) -> [Int] {
    var mass = 0.0
    for (place, index) in ranked.enumerated() {
      mass += Double(weights[index])
      if mass >= topP * total { return Array(ranked[...place]) }
    }
    return ranked
  }

  /// Tokens of largest value, largest first, the lower id first among equals: at least so many that `isEnough` holds
  /// of their count and weight, all where it never does.
  ///
  /// Sorting a vocabulary takes longer than a small model's step, so only what lies above a falling threshold is.
  private static func ranked(
    _ values: [Float], _ weights: [Float], _ isEnough: (_ count: Int, _ mass: Double) -> Bool
  ) -> [Int] {
    for threshold: Float in [0x1p-5, 0x1p-10, 0x1p-20, 0] {
      let found = weights.indices.filter { weights[$0] >= threshold }
      let mass = found.reduce(0) { $0 + Double(weights[$1]) }
      guard isEnough(found.count, mass) || threshold == 0 else { continue }
      return found.sorted { (values[$1], $0) < (values[$0], $1) }
    }
    return []
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
