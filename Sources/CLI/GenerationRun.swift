internal import Engine
internal import Tokenizers

/// What `godwit generate` gathers while tokens come, and prints as they do.
struct GenerationRun {
  let start: ContinuousClock.Instant
  private(set) var output = ""
  /// Seconds to the first token.
  private(set) var firstToken: Double?
  private(set) var choices: [Sampling.Choice] = []
  private(set) var reason = FinishReason.length
  private var stops: StopMatcher
  private var decoder: StreamDecoder?
  private let isJSON: Bool
  private var isFinished = false

  init(stops: StopMatcher, isJSON: Bool, start: ContinuousClock.Instant) {
    (self.stops, self.isJSON, self.start) = (stops, isJSON, start)
  }

  /// Says whose tokens will come.
  mutating func begin(_ tokenizer: Tokenizer) { decoder = StreamDecoder(tokenizer) }

  /// Takes a token; whether more are wanted, since no stop string was met.
  mutating func receive(_ choice: Sampling.Choice) -> Bool {
    choices.append(choice)
    if firstToken == nil { firstToken = seconds(since: start) }
    emit(stops.append(decoder?.append(choice.token) ?? ""))
    return !stops.isMatched
  }

  /// Gives out what was held back; the first reason counts.
  mutating func finish(_ reason: FinishReason) {
    guard !isFinished else { return }
    isFinished = true
    self.reason = stops.isMatched ? .stop : reason
    if !stops.isMatched { emit(stops.append(decoder?.finish() ?? "") + stops.finish()) }
  }

  private mutating func emit(_ piece: String) {
    output += piece
    if !isJSON { Output.write(piece) }
  }
}
