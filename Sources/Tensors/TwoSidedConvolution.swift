internal import Fourier

extension Variable {
  /// Convolution of sequences `[B, H, L]` with what came before, and with what comes later where there is a second filter:
  /// y[t] = Σ_{s ≤ t} ahead[t − s] · x[s] + Σ_{s > t} back[s − t − 1] · x[s] + skip · x[t] with x = gateBefore · this, all times
  /// gateAfter.
  ///
  /// - Parameters:
  ///   - ahead: `[H, taps]`, at most L taps.
  ///   - back: likewise; its first tap is for the next position.
  ///   - skip: `[H]`.
  ///   - gateBefore: `[B, H, L]`.
  ///   - gateAfter: `[B, H, L]`.
  public func convolvedBothWays(
    _ ahead: Variable, back: Variable?, skip: Variable? = nil, gateBefore: Variable? = nil,
    gateAfter: Variable? = nil
  ) throws -> Variable {
    guard let back else {
      return try convolved(ahead, skip: skip, gateBefore: gateBefore, gateAfter: gateAfter)
    }
    // The operation's second filter begins at the position itself, which belongs to the first; both have as many taps.
    let reach = min(back.shape[1], shape[2] - 1)
    let later = try back.sliced(axis: 1, 0..<reach).padded(axis: 1, before: 1)
    let taps = max(ahead.shape[1], reach + 1)
    return try convolved(
      ahead.padded(axis: 1, after: taps - ahead.shape[1]),
      reverse: later.padded(axis: 1, after: taps - reach - 1),
      mode: .bidirectional(lagZero: .causalOnly), skip: skip, gateBefore: gateBefore, gateAfter: gateAfter)
  }
}
