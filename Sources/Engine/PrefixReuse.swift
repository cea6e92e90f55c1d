/// How much of a prompt was found in the cache, and why no more.
public struct PrefixReuse: Sendable, Hashable {
  /// Why the reused beginning ends where it does.
  public enum End: Sendable, Hashable {
    /// Everything that can be reused was: only whole pages can, and the last token is always computed.
    case complete
    /// Reuse is switched off.
    case disabled
    /// No cached prompt of this salt begins with the same token.
    case nothingCached
    /// What is cached has another token at this place.
    case diverges(at: Int)
    /// What is cached agrees as far as it goes, up to this place.
    case endsCached(at: Int)
    /// Positions from this one on were cached and gave way to others.
    case evicted(from: Int)
  }

  /// Tokens of the prompt.
  public var promptTokens: Int
  /// Those whose keys and values were in the cache.
  public var reusedTokens: Int
  /// Why there were no more.
  public var end: End

  /// What was reused of a prompt.
  public init(promptTokens: Int, reusedTokens: Int, end: End) {
    self.promptTokens = promptTokens
    self.reusedTokens = reusedTokens
    self.end = end
  }
}

extension PrefixReuse.End: CustomStringConvertible {
  public var description: String {
    switch self {
    case .complete: "all whole pages reused"
    case .disabled: "reuse is off"
    case .nothingCached: "nothing cached begins with these tokens"
    case .diverges(let place): "diverges at token \(place)"
    case .endsCached(let place): "the cached beginning ends at token \(place)"
    case .evicted(let place): "evicted from token \(place) on"
    }
  }
}
