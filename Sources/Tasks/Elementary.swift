/// Elementary functions made of operations that IEEE 754 rounds in one way only.
///
/// The C library's sine and logarithm differ in the last bit between machines and versions, and with them every example
/// that was drawn with them.
enum Elementary {
  /// sin x for |x| up to a few thousand, to about 2⁻⁵².
  static func sine(_ x: Double) -> Double {
    let (quadrant, rest) = reduced(x)
    let value = quadrant & 1 == 0 ? sineSeries(rest) : cosineSeries(rest)
    return quadrant & 2 == 0 ? value : -value
  }

  /// cos x for |x| up to a few thousand, to about 2⁻⁵².
  static func cosine(_ x: Double) -> Double {
    let (quadrant, rest) = reduced(x)
    let value = quadrant & 1 == 0 ? cosineSeries(rest) : sineSeries(rest)
    return (quadrant + 1) & 2 == 0 ? value : -value
  }

  /// ln x for a normal x above 0, to about 2⁻⁵¹.
  static func logarithm(_ x: Double) -> Double {
    var (mantissa, exponent) = (x.significand, Double(x.exponent))
    if mantissa > 1.4142135623730951 {
      mantissa *= 0.5
      exponent += 1
    }
    // ln m = 2 artanh((m − 1) / (m + 1)). The argument is below 0.172, so terms past its 21st power are below 2⁻⁵⁸.
    let argument = (mantissa - 1) / (mantissa + 1)
    let square = argument * argument
    var sum = 0.0
    for power in stride(from: 21.0, through: 1, by: -2) { sum = sum * square + 1 / power }
    return 2 * argument * sum + exponent * 0.6931471805599453
  }

  /// x less the nearest multiple of π/2, and that multiple's number modulo 4.
  private static func reduced(_ x: Double) -> (quadrant: Int, rest: Double) {
    let turns = (x * (2 / Double.pi)).rounded()
    // π/2 in two parts: the first has 33 bits, so that its product with a small number of turns is exact.
    let rest = x - turns * 1.5707963267341256 - turns * 6.077100506506192e-11
    return (Int(turns) & 3, rest)
  }

  /// For |x| ≤ π/4: what is left out is below (π/4)¹⁷ / 17!, 2⁻⁵⁴.
  private static func sineSeries(_ x: Double) -> Double {
    let square = x * x
    // Each step divides by the next two factors of the factorial, as a product with what the compiler computed.
    var sum = 1 - square * (1 / (15 * 14))
    sum = 1 - square * sum * (1 / (13 * 12))
    sum = 1 - square * sum * (1 / (11 * 10))
    sum = 1 - square * sum * (1 / (9 * 8))
    sum = 1 - square * sum * (1 / (7 * 6))
    sum = 1 - square * sum * (1 / (5 * 4))
    sum = 1 - square * sum * (1 / (3 * 2))
    return x * sum
  }

  /// For |x| ≤ π/4: what is left out is below (π/4)¹⁸ / 18!, 2⁻⁵⁸.
  private static func cosineSeries(_ x: Double) -> Double {
    let square = x * x
    var sum = 1 - square * (1 / (16 * 15))
    sum = 1 - square * sum * (1 / (14 * 13))
    sum = 1 - square * sum * (1 / (12 * 11))
    sum = 1 - square * sum * (1 / (10 * 9))
    sum = 1 - square * sum * (1 / (8 * 7))
    sum = 1 - square * sum * (1 / (6 * 5))
    sum = 1 - square * sum * (1 / (4 * 3))
    return 1 - square * sum * 0.5
  }
}
