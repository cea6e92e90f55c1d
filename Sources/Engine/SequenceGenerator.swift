internal import Memory
public import Models
internal import Tensors

/// Continues prompts with a network that trains: H3, Hyena, S4D and others of ``Models/SequenceNetwork``.
///
/// Sequences are continued together, and each as it would be alone. Recurrences cost the same for every token; convolutions keep what
/// they were given.
public struct SequenceGenerator {
  /// The network.
  public let network: SequenceNetwork
  /// Sequences that are continued together at most; more requests wait for those.
  public var maximumBatch = 64
  /// Different tokens.
  public var vocabularySize: Int { network.settings.vocabularySize }

  /// A generator for one network, whose device keeps from now on what parameters give.
  public init(_ network: SequenceNetwork) {
    self.network = network
    network.parameters.device.keepsWhatParametersGive = true
  }

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
    var reason = FinishReason.length
    try run([request]) { event in
      switch event {
      case .token(_, let choice): return try receive(choice)
      case .finished(_, let why): reason = why
      case .failed(_, let error): throw error
      case .started: break
      }
      return true
    }
    return reason
  }

  /// Generates until all requests' ends.
  ///
  /// - Parameters:
  ///   - requests: in any order; events name them by their place.
  ///   - receive: is given what happens, and says for a token whether more are wanted of its request. A request whose logits are no
  ///     numbers fails alone.
  /// - Throws: ``EngineError`` for the first request that cannot be served, before anything is computed; errors of memory and the
  ///   executor.
  public func run(
    _ requests: [GenerationRequest], _ receive: (GenerationEvent) throws -> Bool
  ) throws {
    precondition(maximumBatch >= 1, "\(maximumBatch) sequences at a time")
    for request in requests { try check(request) }
    // Prompts of one length go through the network together, where it convolves those that end at one length, too.
    func place(_ index: Int) -> (Int, Int, Int) {
      (requests[index].prompt.count, requests[index].longestLength, index)
    }
    let order = requests.indices.sorted { place($0) < place($1) }
    for start in stride(from: 0, to: order.count, by: maximumBatch) {
      try runTogether(
        order[start..<min(start + maximumBatch, order.count)].map { ($0, requests[$0]) }, receive)
    }
  }

  /// Steps that follow each other where the host need not look at logits. Those behind a sequence's end are wasted.
  private static let stepsAtOnce = 16

  private func runTogether(
    _ requests: [(number: Int, request: GenerationRequest)], _ receive: (GenerationEvent) throws -> Bool
  ) throws {
    let capacities = requests.map(\.request.longestLength)
    let session = try SequenceSession(network, capacity: capacities.max() ?? 0)
    var rows = requests.map { Row($0.number, $0.request) }
    for row in rows {
      let reuse = PrefixReuse(promptTokens: row.request.prompt.count, reusedTokens: 0, end: .disabled)
      _ = try receive(.started(request: row.number, reuse))
    }
    var logits = try session.begin(requests.map(\.request.prompt), capacities: capacities)
    while requests.allSatisfy(\.request.isPlain) {
      let steps = min(Self.stepsAtOnce, rows.map(\.missing).max() ?? 0)
      guard steps > 0 else { return }
      guard let found = try session.likeliestSteps(steps) else { break }
      for step in found {
        for index in rows.indices where !rows[index].isFinished {
          try rows[index].take(step[index], below: vocabularySize, receive)
        }
      }
    }
    while true {
      let numbers = try network.parameters.device.numbers(logits.value)
      let width = logits.shape[1]
      for index in rows.indices where !rows[index].isFinished {
        // Rows that pad the embedding stand for no token.
        let own = Array(numbers[index * width..<index * width + vocabularySize])
        try rows[index].take(own, receive)
      }
      guard rows.contains(where: { !$0.isFinished }) else { return }
      logits = try session.step(rows.map { $0.isFinished ? nil : $0.last })
    }
  }

  /// A request under way.
  private struct Row {
    let number: Int
    let request: GenerationRequest
    private(set) var history: [Int32]
    private(set) var isFinished = false

    init(_ number: Int, _ request: GenerationRequest) {
      (self.number, self.request, history) = (number, request, request.prompt)
    }

    /// Its newest token.
    var last: Int32 { history[history.count - 1] }

    /// Tokens that may still come.
    var missing: Int { isFinished ? 0 : request.maximumTokens - (history.count - request.prompt.count) }

    /// Takes the likeliest next token.
    mutating func take(
      _ likeliest: (token: Int32, logProbability: Float), below vocabulary: Int,
      _ receive: (GenerationEvent) throws -> Bool
    ) throws {
      guard Int(likeliest.token) < vocabulary else {
        isFinished = true
        _ = try receive(.failed(request: number, .notANumber(position: history.count)))
        return
      }
      try accept(
        Sampling.Choice(token: likeliest.token, logProbability: Double(likeliest.logProbability)), receive)
    }

    /// Chooses the next token.
    mutating func take(_ logits: [Float], _ receive: (GenerationEvent) throws -> Bool) throws {
      let choice: Sampling.Choice
      do {
        choice = try request.sampling.choose(
          logits.span, history: history, promptCount: request.prompt.count, position: history.count,
          alternatives: request.alternatives)
      } catch {
        isFinished = true
        _ = try receive(.failed(request: number, error))
        return
      }
      try accept(choice, receive)
    }

    private mutating func accept(
      _ choice: Sampling.Choice, _ receive: (GenerationEvent) throws -> Bool
    ) throws {
      if request.stopTokens.contains(choice.token) { return try finish(.stop, receive) }
      history.append(choice.token)
      guard try receive(.token(request: number, choice)) else { return try finish(.stop, receive) }
      if history.count - request.prompt.count >= request.maximumTokens { try finish(.length, receive) }
    }

    private mutating func finish(
      _ reason: FinishReason, _ receive: (GenerationEvent) throws -> Bool
    ) throws {
      isFinished = true
      _ = try receive(.finished(request: number, reason))
    }
  }

  /// Throws where a request cannot be served.
  ///
  /// - Throws: ``EngineError`` where it cannot.
  public func check(_ request: GenerationRequest) throws(EngineError) {
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
  }
}

extension GenerationRequest {
  /// Whether nothing but the likeliest tokens is wanted.
  fileprivate var isPlain: Bool { sampling.isGreedy && alternatives == 0 }

  /// Positions of the prompt with all that may follow.
  fileprivate var longestLength: Int { prompt.count + maximumTokens }
}
