/// A prompt to continue.
public struct GenerationRequest: Sendable {
  /// Token ids to continue; at least one.
  public var prompt: [Int32]
  /// Tokens to generate at most.
  public var maximumTokens: Int
  /// How tokens are chosen.
  public var sampling = Sampling()
  /// Tokens that end the sequence; they are not reported.
  public var stopTokens: Set<Int32> = []
  /// How many of the likeliest tokens to report with each.
  public var alternatives = 0
  /// Prefixes are shared only among requests of one salt.
  public var salt = 0

  /// A greedy request.
  public init(prompt: [Int32], maximumTokens: Int) {
    self.prompt = prompt
    self.maximumTokens = maximumTokens
  }
}

/// Something that happened in a step.
public enum GenerationEvent: Sendable {
  /// The request's prompt is being computed, all but what was found in the cache; comes once, first.
  case started(request: Int, PrefixReuse)
  case token(request: Int, Sampling.Choice)
  case finished(request: Int, FinishReason)
  /// The request alone cannot go on; the others do.
  case failed(request: Int, EngineError)
}

/// Why a sequence ended.
public enum FinishReason: String, Sendable { case stop, length, cancelled }

/// Counters since the generator was made.
public struct GenerationStatistics: Sendable {
  /// Prompt tokens that were computed, and those found in the prefix tree.
  public var promptTokensComputed = 0
  /// Prompt tokens found in the prefix tree.
  public var promptTokensReused = 0
  /// Tokens given out.
  public var tokensGenerated = 0
  /// Calls of the model.
  public var steps = 0
  /// Sequences that gave up their pages and were computed again.
  public var preemptions = 0
  /// Unused pages taken from the prefix tree.
  public var evictedPages = 0
  /// Runs of pages visited once for several sequences, and page visits with and without that.
  public var sharedRuns = 0
  /// Pages visited by attention items.
  public var pageVisits = 0
  /// Page visits it would take without sharing.
  public var pageVisitsUnshared = 0
  /// Most sequences that ran at a time.
  public var peakSequences = 0

  /// Nothing yet.
  public init() {}
}
