/// Frequencies that a convolution keeps: a box in the digits of the Monarch transform.
///
/// With factors N₁ … N_p, whose product is the transform's size S, a frequency is k = k₁ + N₁k₂ + N₁N₂k₃ + …; those are
/// kept whose every digit is below its bound. Dropping values of the first digit leaves a comb, dropping values of the last one a
/// band. What is dropped is not computed, so that the time falls with it: whole rows of the matrix where the first factors
/// agree with a plan's columns, blocks of rows for the others. The result is the real part of what the kept frequencies give;
/// in a circular convolution that is the kernel whose spectrum was made symmetric.
///
/// Fu et al., “FlashFFTConv”, 2023, arXiv:2311.05908, frequency-sparse convolutions.
public struct FrequencyMask: Sendable, Hashable {
  /// The digits' ranges, least significant first.
  public let factors: [Int]
  /// How many values of each digit are kept.
  public let keep: [Int]

  /// - Throws: ``ConvolutionError/mask(factors:keep:why:)``.
  public init(factors: [Int], keep: [Int]) throws(ConvolutionError) {
    func refuse(_ why: String) -> ConvolutionError { .mask(factors: factors, keep: keep, why: why) }
    guard !factors.isEmpty, factors.count == keep.count else {
      throw refuse("one bound for each factor is needed")
    }
    var size = 1
    for (factor, kept) in zip(factors, keep) {
      // First, since what is longer may be a product of more small transforms than there are levels.
      guard factor <= ConvolutionShape.longest else { throw refuse("the transform would be too long") }
      guard factor >= 1, Radices(of: factor) != nil else {
        throw refuse("\(factor) is no product of 2, 3, 5 and 7")
      }
      guard (1...factor).contains(kept) else { throw refuse("\(kept) of \(factor) values cannot be kept") }
      let (product, overflow) = size.multipliedReportingOverflow(by: factor)
      guard !overflow, product <= ConvolutionShape.longest else {
        throw refuse("the transform would be too long")
      }
      size = product
    }
    self.factors = factors
    self.keep = keep
  }

  /// The transform's size.
  public var size: Int { factors.reduce(1, *) }

  /// The share of frequencies that is dropped.
  public var sparsity: Double {
    1 - zip(factors, keep).reduce(1.0) { $0 * Double($1.1) / Double($1.0) }
  }

  /// Whether a frequency, from 0 to the size, is kept.
  public func contains(_ frequency: Int) -> Bool {
    var rest = frequency
    for (factor, kept) in zip(factors, keep) {
      if rest % factor >= kept { return false }
      rest /= factor
    }
    return true
  }
}
