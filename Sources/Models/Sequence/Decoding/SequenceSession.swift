public import Tensors

/// Sequences of equal length that a network continues, all by one position at a time.
///
/// What a step gives is what the network gives for whole sequences, within rounding.
public final class SequenceSession {
  /// The network.
  public let network: SequenceNetwork
  /// Positions there can be.
  public let capacity: Int
  /// Positions so far.
  public private(set) var position = 0
  private var decoders: [any MixerDecoder] = []
  private var batch = 0

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
  /// - Parameters:
  ///   - tokens: `[batch, L]`, row by row, each below the vocabulary's size.
  ///   - batch: sequences.
  /// - Returns: logits of the next token of each, `[batch, rows of the embedding]`.
  public func begin(_ tokens: [Int32], batch: Int) throws -> Variable {
    let length = tokens.count / max(1, batch)
    precondition(length >= 1 && length <= capacity, "\(length) positions of \(capacity)")
    decoders = []
    (self.batch, position) = (batch, length)
    return try network.parameters.device.evaluating {
      let hidden = try network.begun(tokens, batch: batch, capacity: capacity) { decoders.append($0) }
      return try network.head(hidden.sliced(axis: 1, length - 1..<length).reshaped([batch, hidden.shape[2]]))
    }
  }

  /// The next token of each sequence.
  ///
  /// - Returns: logits of the one after, `[batch, rows of the embedding]`.
  public func step(_ tokens: [Int32]) throws -> Variable {
    precondition(tokens.count == batch && position < capacity, "\(tokens.count) tokens, position \(position)")
    defer { position += 1 }
    return try network.parameters.device.evaluating {
      let hidden = try network.continued(tokens, at: position, decoders)
      return try network.head(hidden.reshaped([batch, hidden.shape[2]]))
    }
  }
}
