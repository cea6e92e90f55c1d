internal import Memory
public import Models
internal import Tensors

/// Continues a prompt with a network that trains: H3, Hyena, S4D and others of ``Models/SequenceNetwork``.
///
/// One sequence at a time. Recurrences cost the same for every token; convolutions keep what they were given.
public struct SequenceGenerator {
  /// The network.
  public let network: SequenceNetwork
  /// Different tokens.
  public var vocabularySize: Int { network.settings.vocabularySize }

  /// A generator for one network.
  public init(_ network: SequenceNetwork) { self.network = network }

  /// Generates until the request's end.
  ///
  /// - Parameters:
  ///   - request: the prompt and how it is continued; `salt` has no meaning here.
  ///   - receive: is given each token, and says whether more are wanted.
  /// - Returns: why it ended.
  /// - Throws: ``EngineError`` for a prompt or parameters that cannot be served; errors of memory and the executor.
  public func run(
    _ request: GenerationRequest, _ receive: (Sampling.Choice) throws -> Bool
  ) throws -> FinishReason {
    let capacity = try check(request)
    let session = try SequenceSession(network, capacity: capacity)
    var history = request.prompt
    var logits = try session.begin(request.prompt, batch: 1)
    while true {
      // Rows that pad the embedding stand for no token.
      let numbers = Array(try network.parameters.device.numbers(logits.value).prefix(vocabularySize))
      let choice = try request.sampling.choose(
        numbers.span, history: history, promptCount: request.prompt.count, position: history.count,
        alternatives: request.alternatives)
      if request.stopTokens.contains(choice.token) { return .stop }
      history.append(choice.token)
      guard try receive(choice) else { return .stop }
      guard history.count - request.prompt.count < request.maximumTokens else { return .length }
      logits = try session.step([choice.token])
    }
  }

  /// - Returns: positions that the network reads.
  private func check(_ request: GenerationRequest) throws -> Int {
    guard !request.prompt.isEmpty else { throw EngineError.emptyPrompt }
    guard request.maximumTokens > 0 else {
      throw EngineError.invalidParameter(
        name: "maximum tokens", value: "\(request.maximumTokens)", allowed: "1 or more")
    }
    for token in request.prompt where token < 0 || Int(token) >= vocabularySize {
      throw EngineError.tokenOutOfRange(token: token, vocabulary: vocabularySize)
    }
    try request.sampling.validate()
    let (length, overflow) = request.prompt.count.addingReportingOverflow(request.maximumTokens)
    let limit = network.longestContext ?? Int(Int32.max)
    guard !overflow, length <= limit else {
      throw EngineError.tooLong(
        prompt: request.prompt.count, generated: request.maximumTokens, limit: limit)
    }
    return length
  }
}
