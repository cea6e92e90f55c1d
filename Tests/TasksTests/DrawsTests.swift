import Glibc
import Memory
import Testing

@testable import Tasks

@Suite struct DrawsTests {
  @Test func theFingerprintIsTheKnownOne() {
    // FNV-1a of "foobar" is known; here its bytes come four at a time, so "fooo" by its definition.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in "fooo".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    #expect(fingerprint([0x6F6F_6F66 as UInt32]) == hash)
  }

  @Test(arguments: [1, 2, 3, 10, 1 << 40])
  func wholeNumbersAreEvenlySpread(bound: Int) {
    var generator = SeededNumbers(seed: 7)
    let count = 20_000
    var sum = 0.0
    for _ in 0..<count {
      let draw = generator.below(bound)
      #expect((0..<bound).contains(draw))
      sum += Double(draw)
    }
    // Five standard deviations of the mean of numbers spread evenly.
    let mean = Double(bound - 1) / 2
    #expect(abs(sum / Double(count) - mean) <= 5 * Double(bound) / (12 * Double(count)).squareRoot())
  }

  @Test func normalNumbersHaveTheirMoments() {
    var generator = SeededNumbers(seed: 11)
    let draws = (0..<100_000).map { _ in generator.normal() }
    func moment(_ power: Double) -> Double { draws.map { pow($0, power) }.reduce(0, +) / Double(draws.count) }
    // Standard deviations of these means are √(1, 2, 15, 96) / √100000.
    #expect(abs(moment(1)) < 0.016)
    #expect(abs(moment(2) - 1) < 0.023)
    #expect(abs(moment(3)) < 0.062)
    #expect(abs(moment(4) - 3) < 0.16)
  }

  @Test func choicesAreEvenAndInOrder() {
    var generator = SeededNumbers(seed: 3)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<6000 { counts[generator.choose(2, below: 4), default: 0] += 1 }
    #expect(Set(counts.keys) == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
    for count in counts.values { #expect(abs(count - 1000) < 150) }
    #expect(generator.choose(3, below: 3) == [0, 1, 2])
    #expect(generator.choose(0, below: 3) == [])
  }

  @Test func elementaryFunctionsAgreeWithTheLibrary() {
    var generator = SeededNumbers(seed: 5)
    for _ in 0..<20_000 {
      let x = (generator.unit() - 0.5) * 100
      #expect(abs(Elementary.sine(x) - sin(x)) < 0x1p-50)
      #expect(abs(Elementary.cosine(x) - cos(x)) < 0x1p-50)
      let y = exp(x / 2)
      #expect(abs(Elementary.logarithm(y) - log(y)) <= 0x1p-50 * max(1, abs(log(y))))
    }
    #expect(Elementary.logarithm(1) == 0)
    #expect(Elementary.logarithm(0x1p-53) == -53 * 0.6931471805599453)
    #expect(Elementary.sine(0) == 0 && Elementary.cosine(0) == 1)
  }
}
