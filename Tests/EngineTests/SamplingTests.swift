import Engine
import TestSupport
import Testing

@Suite struct SamplingTests {
  static func choose(
    _ sampling: Sampling, _ logits: [Float], history: [Int32] = [], promptCount: Int = 0, position: Int = 0,
    alternatives: Int = 0
  ) throws -> Sampling.Choice {
    try sampling.choose(
      logits.span, history: history, promptCount: promptCount, position: position, alternatives: alternatives)
  }

  /// Probabilities after the filters, by sorting everything in float64.
  static func definition(_ sampling: Sampling, _ logits: [Float]) -> [Double] {
    let scaled = logits.map { Double($0) / sampling.temperature }
    let order = scaled.indices.sorted { (scaled[$1], $0) < (scaled[$0], $1) }
    var kept = Array(order.prefix(sampling.topK > 0 ? sampling.topK : order.count))
    func weight(_ index: Int) -> Double { pow(scaled[index] - scaled[order[0]]) }
    let total = kept.reduce(0) { $0 + weight($1) }
    var before = 0.0
    kept = kept.filter { index in
      defer { before += weight(index) }
      return sampling.topP == 1 || before < sampling.topP * total
    }
    kept = kept.filter { weight($0) >= sampling.minP }
    let sum = kept.reduce(0) { $0 + weight($1) }
    return scaled.indices.map { kept.contains($0) ? weight($0) / sum : 0 }
  }

  private static func pow(_ x: Double) -> Double {
    // e^x by repeated squaring of a Taylor sum: exact enough to compare frequencies.
    let small = x / 1024
    var value = 1 + small * (1 + small / 2 * (1 + small / 3))
    for _ in 0..<10 { value *= value }
    return value
  }

  @Test(arguments: [(0, 1.0, 0.0), (3, 1, 0), (0, 0.7, 0), (0, 1, 0.2), (5, 0.8, 0.1), (100, 0.999, 0)])
  func drawsByProbability(topK: Int, topP: Double, minP: Double) throws {
    var generator = SeededGenerator(seed: UInt64(topK) + 17)
    let logits = (0..<40).map { _ in Float.random(in: -4...4, using: &generator) }
    var sampling = Sampling()
    (sampling.temperature, sampling.topK, sampling.topP, sampling.minP) = (0.8, topK, topP, minP)
    sampling.seed = 5
    let draws = 20_000
    var counts = [Int](repeating: 0, count: logits.count)
    for position in 0..<draws {
      counts[Int(try Self.choose(sampling, logits, position: position).token)] += 1
    }
    for (count, probability) in zip(counts, Self.definition(sampling, logits)) {
      #expect(probability > 0 || count == 0)
      // Six standard deviations of a binomial count: a false alarm once in 10⁸ tokens.
      let deviation = (Double(draws) * probability * (1 - probability)).squareRoot()
      #expect(abs(Double(count) - Double(draws) * probability) <= 6 * deviation + 1)
    }
  }

  @Test func oneCandidateIsTheGreedyOne() throws {
    var generator = SeededGenerator(seed: 3)
    for position in 0..<200 {
      let logits = (0..<1000).map { _ in Float.random(in: -20...20, using: &generator) }
      let greedy = try Self.choose(Sampling(), logits).token
      var sampling = Sampling()
      sampling.temperature = 100
      sampling.topK = 1
      #expect(try Self.choose(sampling, logits, position: position).token == greedy)
      (sampling.topK, sampling.topP) = (0, 1e-9)
      #expect(try Self.choose(sampling, logits, position: position).token == greedy)
      (sampling.topP, sampling.minP) = (1, 1)
      #expect(try Self.choose(sampling, logits, position: position).token == greedy)
      (sampling.minP, sampling.temperature) = (0, 1e-300)
      #expect(try Self.choose(sampling, logits, position: position).token == greedy)
    }
  }

  @Test func randomnessDependsOnSeedAndPositionOnly() throws {
    let logits = [Float](repeating: 0, count: 1000)
    var sampling = Sampling()
    sampling.temperature = 1
    var tokens: Set<Int32> = []
    for position in 0..<50 {
      let token = try Self.choose(sampling, logits, history: [1, 2], position: position).token
      #expect(try Self.choose(sampling, logits, position: position, alternatives: 3).token == token)
      tokens.insert(token)
    }
    #expect(tokens.count > 40)
    sampling.seed = 1
    #expect(try (0..<50).contains { try !tokens.contains(Self.choose(sampling, logits, position: $0).token) })
  }

  @Test func penaltiesAndBiases() throws {
    let logits: [Float] = [2, 1.5, -1, 0]
    var sampling = Sampling()
    sampling.repetitionPenalty = 2
    #expect(try Self.choose(sampling, logits, history: [0], promptCount: 1).token == 1)
    sampling.logitBias = [0: 3]
    // Bias first: (2 + 3) / 2 = 2.5 stays ahead of 1.5.
    #expect(try Self.choose(sampling, logits, history: [0]).token == 0)
    sampling = Sampling()
    sampling.presencePenalty = 1
    #expect(try Self.choose(sampling, logits, history: [0], promptCount: 1).token == 0)
    #expect(try Self.choose(sampling, logits, history: [0], promptCount: 0).token == 1)
    sampling.presencePenalty = 0
    sampling.frequencyPenalty = 0.3
    #expect(try Self.choose(sampling, logits, history: [0]).token == 0)
    #expect(try Self.choose(sampling, logits, history: [0, 0]).token == 1)
  }

  @Test func logProbabilitiesAreThoseOfTheModel() throws {
    var sampling = Sampling()
    sampling.temperature = 5
    let choice = try Self.choose(sampling, [0, 0, 0, 0, -.infinity], alternatives: 9)
    // Four equally likely tokens: ln ¼.
    #expect(abs(choice.logProbability + 1.3862943611198906) < 1e-6)
    #expect(choice.alternatives.map(\.token) == [0, 1, 2, 3, 4])
    #expect(choice.alternatives[4].logProbability == -.infinity)
    #expect(
      try Self.choose(Sampling(), [1, 3, 2, 3], alternatives: 3).alternatives.map(\.token) == [1, 3, 2])
  }

  @Test func refusesWhatIsNoNumber() {
    for logits in [[0, .nan, 1], [.nan], [.infinity, 0], [-.infinity, -.infinity]] as [[Float]] {
      for temperature in [0, 1.0] {
        var sampling = Sampling()
        sampling.temperature = temperature
        #expect(throws: EngineError.notANumber(position: 9)) {
          try Self.choose(sampling, logits, position: 9)
        }
      }
    }
    let changes: [(inout Sampling) -> Void] = [
      { $0.temperature = -1 }, { $0.temperature = .nan }, { $0.topK = -1 }, { $0.topP = 0 },
      { $0.topP = 1.1 },
      { $0.minP = .infinity }, { $0.minP = -0.1 }, { $0.repetitionPenalty = 0 }, { $0.logitBias = [3: .nan] },
      { $0.frequencyPenalty = .nan }, { $0.presencePenalty = 1000 },
    ]
    for change in changes {
      var sampling = Sampling()
      change(&sampling)
      #expect(throws: EngineError.self) { try sampling.validate() }
    }
  }
}

@Suite struct StopMatcherPropertyTests {
  @Test(arguments: Array(0..<400 as Range<UInt64>)) func equalsTheDefinition(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    func text(_ length: ClosedRange<Int>) -> String {
      (0..<Int.random(in: length, using: &generator)).reduce("") { text, _ in
        text + ["a", "b", "é"][Int.random(in: 0...2, using: &generator)]
      }
    }
    let stops = (0..<Int.random(in: 0...3, using: &generator)).map { _ in text(0...5) }
    let pieces = (0..<Int.random(in: 1...8, using: &generator)).map { _ in text(0...4) }
    let whole = Array(pieces.joined().utf8)
    let patterns = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    let end = (0...whole.count).first { end in
      patterns.contains { whole[..<end].reversed().starts(with: $0.reversed()) }
    }
    var expected = whole
    if let end {
      let longest =
        patterns.filter { whole[..<end].reversed().starts(with: $0.reversed()) }.map(\.count).max() ?? 0
      expected = Array(whole[..<(end - longest)])
    }
    var matcher = StopMatcher(stops)
    var given = ""
    var consumed = 0
    for piece in pieces {
      given += matcher.append(piece)
      consumed += piece.utf8.count
      #expect(matcher.isMatched == (end.map { $0 <= consumed } ?? false))
      guard !matcher.isMatched else { break }
      // Nothing is held back longer than it must be.
      let held =
        patterns.flatMap { pattern in pattern.indices.map { pattern[..<$0] } }.filter {
          whole[..<consumed].reversed().starts(with: $0.reversed())
        }.map(\.count).max() ?? 0
      #expect(given.utf8.count == consumed - held)
    }
    given += matcher.finish()
    #expect(Array(given.utf8) == expected)
  }
}
