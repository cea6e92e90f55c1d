internal import Memory
public import Tensors

/// Sequences that a network continues, all by one position at a time.
///
/// What a step gives is what the network gives for whole sequences, within rounding. On a GPU a step of H3, S4D, Hyena, Monarch Mixer and
/// attention is started as one; other mixers and machines go through ``MixerDecoder`` operation by operation, a group of sequences of one
/// length at a time.
public final class SequenceSession {
  /// The network.
  public let network: SequenceNetwork
  /// Positions that a sequence can have.
  public let capacity: Int
  /// Positions of each sequence so far.
  public private(set) var positions: [Int] = []
  /// Positions that each sequence can have.
  private var capacities: [Int] = []
  private var state = State.nothing

  private enum State {
    case nothing
    case groups([Group])
    case replayed(ReplayedSteps)
  }

  /// Sequences of one length that follow each other.
  private struct Group {
    let sequences: Range<Int>
    let decoders: [any MixerDecoder]
    /// Of the next tokens.
    var logits: Variable
  }

  /// Positions of prompts that go through the network at a time, at most, where memory is the device's own: enough to keep any busy,
  /// also with long ones of which a state space's kernel wants many.
  private static let promptPositions = 1 << 18

  /// - Parameter capacity: positions there will be at most; states of convolutions and attention grow with it.
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` for more positions than the network was made for.
  public init(_ network: SequenceNetwork, capacity: Int) throws {
    if let limit = network.longestContext, capacity > limit {
      throw ModelError.invalid(
        key: "positions", value: "\(capacity)", allowed: "up to \(limit) for this network")
    }
    self.network = network
    self.capacity = capacity
  }

  /// Takes up sequences, in place of those before.
  ///
  /// Prompts of one length beside each other are computed together. Where convolutions are transformed, rounding depends
  /// on how many positions there will be: with capacities of their own sequences get the bits that they get alone, and
  /// only those of one capacity are computed together.
  ///
  /// - Parameters:
  ///   - prompts: one or more, each of 1 or more tokens below the vocabulary's size, up to its capacity.
  ///   - capacities: positions that each sequence can have, up to ``capacity``, which they have where nothing is said.
  /// - Returns: logits of the next token of each, `[sequences, rows of the embedding]`, for use before the next step.
  public func begin(_ prompts: [[Int32]], capacities: [Int]? = nil) throws -> Variable {
    let own = capacities ?? prompts.map { _ in capacity }
    precondition(
      !prompts.isEmpty && own.count == prompts.count
        && zip(prompts, own).allSatisfy { (1...capacity).contains($1) && (1...$1).contains($0.count) },
      "prompts of \(prompts.map(\.count)) positions, \(own) of \(capacity) are possible")
    (positions, self.capacities) = (prompts.map(\.count), own)
    let device = network.parameters.device
    return try device.evaluating {
      guard ReplayedSteps.suits(network) else {
        state = .nothing
        return try beginGroups(prompts)
      }
      let steps: ReplayedSteps
      if case .replayed(let known) = state, known.batch == prompts.count {
        steps = known
      } else {
        // Memory of the sequences before goes first.
        state = .nothing
        steps = try ReplayedSteps(network, batch: prompts.count, capacity: capacity)
        state = .replayed(steps)
      }
      for run in runs(prompts, limit: Self.promptPositions) {
        try steps.begin(prompts[run].flatMap { $0 }, count: run.count, first: run.lowerBound)
      }
      try steps.finishPrompts(of: positions)
      return Variable(try steps.logits, on: device)
    }
  }

  /// The same for prompts of one length, `[batch, L]`, row by row.
  public func begin(_ tokens: [Int32], batch: Int) throws -> Variable {
    let length = tokens.count / max(1, batch)
    return try begin((0..<batch).map { Array(tokens[$0 * length..<($0 + 1) * length]) })
  }

  private func beginGroups(_ prompts: [[Int32]]) throws -> Variable {
    let isApart = network.blocks.contains { ($0.mixer as? any DecodableMixer)?.roundsByCapacity ?? false }
    let groups = try runs(prompts, isApart: isApart, limit: .max).map { run in
      let capacity = isApart ? capacities[run.lowerBound] : capacity
      var decoders: [any MixerDecoder] = []
      let last = try network.last(prompts[run].flatMap { $0 }, batch: run.count) { number, u in
        guard let mixer = network.blocks[number].mixer as? any DecodableMixer else {
          throw ModelError.unsupported(feature: "continuing sequences with \(network.settings.mixer.name)")
        }
        let (mixed, decoder) = try mixer.begun(u, capacity: capacity)
        decoders.append(decoder)
        return mixed
      }
      return Group(sequences: run, decoders: decoders, logits: try network.head(last))
    }
    state = .groups(groups)
    return try Self.joined(groups)
  }

  private static func joined(_ groups: [Group]) throws -> Variable {
    groups.count == 1 ? groups[0].logits : try .joined(groups.map(\.logits), axis: 0)
  }

  /// Runs of prompts of one length, of no more positions than `limit` unless a single one has more.
  ///
  /// - Parameter isApart: whether capacities must be one, too.
  private func runs(_ prompts: [[Int32]], isApart: Bool = false, limit: Int) -> [Range<Int>] {
    var result: [Range<Int>] = []
    for (number, prompt) in prompts.enumerated() {
      if let last = result.last, prompts[last.lowerBound].count == prompt.count,
        !isApart || capacities[last.lowerBound] == capacities[number],
        (last.count + 1).multipliedReportingOverflow(by: prompt.count).partialValue <= limit
      {
        result[result.count - 1] = last.lowerBound..<number + 1
      } else {
        result.append(number..<number + 1)
      }
    }
    return result
  }

  /// The next token of each sequence.
  ///
  /// - Parameter tokens: one for each; `nil` for a sequence that has ended, whose logits mean nothing from then on.
  /// - Returns: logits of the one after, `[sequences, rows of the embedding]`, for use before the next step.
  public func step(_ tokens: [Int32?]) throws -> Variable {
    precondition(
      tokens.count == positions.count
        && tokens.indices.allSatisfy { tokens[$0] == nil || positions[$0] < capacities[$0] },
      "\(tokens.count) tokens for \(positions.count) sequences at \(positions) of \(capacities)")
    let device = network.parameters.device
    return try device.evaluating {
      switch state {
      case .nothing: preconditionFailure("a step before the beginning")
      case .replayed(let steps):
        // What has ended stays where it is.
        try steps.step(tokens.map { $0 ?? 0 }, at: positions)
        for index in positions.indices where tokens[index] != nil { positions[index] += 1 }
        return Variable(try steps.logits, on: device)
      case .groups(var groups):
        for number in groups.indices {
          let range = groups[number].sequences
          guard tokens[range].contains(where: { $0 != nil }) else { continue }
          let hidden = try network.continued(
            tokens[range].map { $0 ?? 0 }, at: positions[range.lowerBound], groups[number].decoders)
          groups[number].logits = try network.head(hidden.reshaped([range.count, hidden.shape[2]]))
          for index in range { positions[index] += 1 }
        }
        state = .groups(groups)
        return try Self.joined(groups)
      }
    }
  }

  /// Steps of which each takes the likeliest token of the one before, without the host in between; `nil` where there is no such form.
  ///
  /// A sequence that reaches its capacity stays there, and what it gives from then on means nothing.
  ///
  /// - Parameter count: how many, 1 or more.
  /// - Returns: for each step and sequence the token that was taken, and the natural logarithm of its probability. A token past the
  ///   vocabulary stands for logits that are not numbers.
  public func likeliestSteps(_ count: Int) throws -> [[(token: Int32, logProbability: Float)]]? {
    guard case .replayed(let steps) = state else { return nil }
    var found: [[(token: Int32, logProbability: Float)]] = []
    while found.count < count {
      found += try steps.likeliestSteps(min(ReplayedSteps.longestRun, count - found.count))
    }
    for index in positions.indices { positions[index] = min(positions[index] + count, capacity) }
    return found
  }

  /// The likeliest next token of each sequence, found where the logits are; `nil` where they are on the host anyway.
  ///
  /// A token past the vocabulary stands for logits that are not numbers.
  public func likeliestTokens() throws -> [Int32]? {
    guard case .replayed(let steps) = state else { return nil }
    return try steps.likeliestTokens()
  }
}
