internal import Glibc

/// A transform as a list of small ones, decimation in frequency: n points are split in radix[0] blocks, and so on.
public struct Radices: Sendable, Hashable {
  /// The small transforms, first to last; each is one of ``supported``.
  public let list: [Int]
  /// Points of the whole transform.
  public let length: Int

  /// Lengths of small transforms that have a routine.
  public static let supported = [2, 3, 4, 5, 7, 8]

  /// How many levels there may be.
  static let most = 24

  /// - Precondition: each radix is supported.
  public init(_ list: [Int]) {
    precondition(
      list.allSatisfy { Self.supported.contains($0) } && list.count <= Self.most, "radices of 2 to 8")
    self.list = list
    length = list.reduce(1, *)
  }

  /// Radices whose product is `length`, with eights last, or `nil` where a prime above 7 divides it or they are more than 24.
  public init?(of length: Int) {
    guard length >= 1 else { return nil }
    var rest = length
    var odd: [Int] = []
    for prime in [7, 5, 3] {
      while rest % prime == 0 {
        odd.append(prime)
        rest /= prime
      }
    }
    guard rest & (rest - 1) == 0 else { return nil }
    let bits = rest.trailingZeroBitCount
    var list = odd
    switch bits % 3 {
    case 1 where bits >= 4: list += [4, 4]
    case 1: list += [2]
    case 2: list += [4]
    default: break
    }
    let eights = bits % 3 == 1 && bits >= 4 ? (bits - 4) / 3 : bits / 3
    list += Array(repeating: 8, count: eights)
    guard list.count <= Self.most else { return nil }
    self.init(list)
  }

  /// The frequency that lies at each position when all levels have run: digits reversed.
  public var frequencies: [Int] {
    (0..<length).map { frequencyWithReversedDigits(of: $0, radices: list) }
  }

  /// The factors between levels: for each level but the last, exp(−2πi q j / n) for every position j and each q from 1,
  /// as pairs.
  public var twiddles: [[Float]] {
    var (tables, block): ([[Float]], Int) = ([], length)
    for radix in list {
      let part = block / radix
      var table: [Float] = []
      if part > 1 {
        table.reserveCapacity(part * (radix - 1) * 2)
        for j in 0..<part {
          for q in 1..<radix {
            let root = UnitRoot(-q * j, of: block)
            table += [Float(root.cosine), Float(root.sine)]
          }
        }
      }
      tables.append(table)
      block = part
    }
    return tables
  }
}

/// What is at a position when each level has put its outputs one block after the other: the first digit weighs least.
func frequencyWithReversedDigits(of position: Int, radices: [Int]) -> Int {
  var (rest, block, weight, frequency) = (position, radices.reduce(1, *), 1, 0)
  for radix in radices {
    let part = block / radix
    frequency += weight * (rest / part)
    rest %= part
    weight *= radix
    block = part
  }
  return frequency
}

/// exp(2πi a / n), exact to float64 for any a: whole turns are taken off first.
public struct UnitRoot: Sendable {
  /// The real part.
  public let cosine: Double
  /// The imaginary part.
  public let sine: Double

  /// Number `index` of `count` equal steps around the circle, from 1 on.
  public init(_ index: Int, of count: Int) {
    let turn = ((index % count) + count) % count
    let angle = 2 * Double.pi * Double(turn) / Double(count)
    cosine = cos(angle)
    sine = sin(angle)
  }
}
