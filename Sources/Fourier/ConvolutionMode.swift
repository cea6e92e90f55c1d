/// How a filter meets the two ends of a sequence.
public enum ConvolutionMode: Sendable, Hashable {
  /// y[i] = Σ over j ≤ i of k[i − j] u[j]: nothing depends on what comes later.
  case causal
  /// y[i] = Σ over j of k[(i − j) mod L] u[j].
  case circular
  /// The causal sum with k, and the sum over j ≥ i of q[j − i] u[j] with a second filter q.
  case bidirectional(lagZero: LagZero)

  /// Which of two filters holds lag 0.
  public enum LagZero: Sendable, Hashable {
    /// Both: k[0] + q[0] multiplies the number itself (H3).
    case both
    /// The causal one alone: q[0] is not read.
    case causalOnly
  }

  /// Whether a second filter, for what comes later, belongs to it.
  public var hasReverse: Bool {
    if case .bidirectional = self { true } else { false }
  }
}
