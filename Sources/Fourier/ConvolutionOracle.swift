/// Convolutions in float64: the definition, for small sizes, and the same by Monarch transforms for any.
public struct ConvolutionOracle: Sendable {
  /// The shape.
  public let shape: ConvolutionShape
  /// Frequencies to keep; the definition knows of no others.
  public let mask: FrequencyMask?

  /// - Parameters:
  ///   - shape: mode and lengths.
  ///   - mask: frequencies to keep; its size must be at least the length.
  public init(_ shape: ConvolutionShape, mask: FrequencyMask? = nil) {
    self.shape = shape
    self.mask = mask
  }

  /// The sums as they are defined.
  ///
  /// - Parameters:
  ///   - u: L numbers.
  ///   - filter: its taps.
  ///   - reverse: the taps for what comes later, two-sided convolutions only.
  /// - Complexity: O(L · taps).
  public func definition(_ u: [Double], _ filter: [Double], reverse: [Double] = []) -> [Double] {
    let length = shape.length
    var y = [Double](repeating: 0, count: length)
    for i in 0..<length {
      switch shape.mode {
      case .causal, .bidirectional:
        for m in 0..<min(filter.count, i + 1) { y[i] += filter[m] * u[i - m] }
      case .circular:
        for m in 0..<filter.count { y[i] += filter[m] * u[(i - m % length + length) % length] }
      }
      if case .bidirectional(let lagZero) = shape.mode {
        for m in (lagZero == .both ? 0 : 1)..<max(1, min(reverse.count, length - i)) where m < reverse.count {
          y[i] += reverse[m] * u[i + m]
        }
      }
    }
    return y
  }

  /// The same by transforms; with a mask, what its frequencies give.
  ///
  /// - Complexity: O(S · Σ factors) for the size S of the transform.
  public func transformed(_ u: [Double], _ filter: [Double], reverse: [Double] = []) -> [Double] {
    let circular = shape.mode == .circular
    let exact = circular && (mask.map { $0.size == shape.length } ?? (Radices(of: shape.length) != nil))
    let size =
      mask?.size ?? (exact ? shape.length : PlanSearch.smooth(from: shape.length).min() ?? shape.length)
    let factors = mask?.factors ?? Radices(of: size)?.list ?? [size]
    let transform = MonarchTransform(factors, quarters: exact ? 0 : 1)
    var spectrum = transform.forward(padded(filter, size))
    if case .bidirectional(let lagZero) = shape.mode {
      var later = reverse
      if lagZero == .causalOnly, !later.isEmpty { later[0] = 0 }
      let other = transform.forward(padded(later, size))
      for i in 0..<size {
        spectrum.real[i] += other.real[i]
        spectrum.imaginary[i] -= other.imaginary[i]
      }
    }
    if let mask {
      for i in 0..<size where !mask.contains(transform.frequency(at: i)) {
        spectrum.real[i] = 0
        spectrum.imaginary[i] = 0
      }
    }
    let result = transform.adjoint(transform.forward(padded(u, size)).times(spectrum))
    let linear = (exact ? result.real : result.real + result.imaginary).map { $0 / Double(size) }
    return (0..<shape.length).map { i in
      circular && !exact && i + shape.length < linear.count ? linear[i] + linear[i + shape.length] : linear[i]
    }
  }

  private func padded(_ x: [Double], _ size: Int) -> ComplexVector {
    ComplexVector(
      real: x + [Double](repeating: 0, count: size - x.count), imaginary: [Double](repeating: 0, count: size))
  }
}
