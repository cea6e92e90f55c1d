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
    let pair = try ahead.pair(withLater: back, length: shape[2])
    return try convolved(
      pair.ahead, reverse: pair.back, mode: .bidirectional(lagZero: .causalOnly), skip: skip,
      gateBefore: gateBefore, gateAfter: gateAfter)
  }

  /// This filter and one for later positions as one operation takes them: its second filter begins at the position itself, which
  /// belongs to the first, and both have as many taps.
  func pair(withLater back: Variable, length: Int) throws -> (ahead: Variable, back: Variable) {
    let reach = min(back.shape[1], length - 1)
    let later = try back.sliced(axis: 1, 0..<reach).padded(axis: 1, before: 1)
    let taps = max(shape[1], reach + 1)
    return (
      try padded(axis: 1, after: taps - shape[1]), try later.padded(axis: 1, after: taps - reach - 1)
    )
  }
}
