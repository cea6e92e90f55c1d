/// Draws that stay the same for a seed: the standard library leaves open how it turns bits into numbers.
extension RandomNumberGenerator {
  /// A whole number in 0..<bound, each equally likely; `bound` is above 0.
  mutating func below(_ bound: Int) -> Int {
    let bound = UInt64(bound)
    // The upper half of bits · bound is what is asked for. A lower half below 2⁶⁴ mod bound belongs to the numbers that
    // would come up once too often.
    let surplus = (0 &- bound) % bound
    while true {
      let (high, low) = next().multipliedFullWidth(by: bound)
      if low >= surplus { return Int(high) }
    }
  }

  /// A number in 0..<1, a multiple of 2⁻⁵³.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A number of the normal distribution with mean 0 and variance 1.
  mutating func normal() -> Double {
    // Box and Muller; 1 − unit() is in (0, 1], whose logarithm is finite.
    let radius = (-2 * Elementary.logarithm(1 - unit())).squareRoot()
    return radius * Elementary.cosine(2 * Double.pi * unit())
  }

  /// `count` different whole numbers in 0..<bound in rising order, each choice equally likely; `count` is at most `bound`.
  mutating func choose(_ count: Int, below bound: Int) -> [Int] {
    var chosen: [Int] = []
    chosen.reserveCapacity(count)
    for candidate in 0..<bound where chosen.count < count {
      if below(bound - candidate) < count - chosen.count { chosen.append(candidate) }
    }
    return chosen
  }
}
