import Fourier
import TestSupport
import Testing

func numbers(_ count: Int, seed: UInt64) -> [Double] {
  var state = seed
  return (0..<count).map { _ in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Double(Int64(bitPattern: state) >> 11) / 0x1p52
  }
}

@Suite struct OracleTests {
  /// The transform against its definition, frequencies in the order that it promises.
  @Test(arguments: [[16, 16], [8, 16, 4], [4, 8, 2, 16], [3, 5, 7], [13], [1, 6]], [0, 1])
  func transformAgreesWithTheDefinition(factors: [Int], quarters: Int) {
    let transform = MonarchTransform(factors, quarters: quarters)
    let n = transform.count
    let x = ComplexVector(real: numbers(n, seed: 1), imaginary: numbers(n, seed: 2))
    var exact = ComplexVector(zeros: n)
    for position in 0..<n {
      let k = transform.frequency(at: position)
      for m in 0..<n {
        let root = UnitRoot(-(4 * k - quarters) * m, of: 4 * n)
        exact.real[position] += x.real[m] * root.cosine - x.imaginary[m] * root.sine
        exact.imaginary[position] += x.real[m] * root.sine + x.imaginary[m] * root.cosine
      }
    }
    let found = transform.forward(x)
    #expect(relativeError(found.real + found.imaginary, exact.real + exact.imaginary) < 1e-13)
    let back = transform.adjoint(found)
    let scale = Double(n)
    #expect(
      relativeError((back.real + back.imaginary).map { $0 / scale }, x.real + x.imaginary) < 1e-13)
  }

  static let modes: [ConvolutionMode] = [
    .causal, .circular, .bidirectional(lagZero: .both), .bidirectional(lagZero: .causalOnly),
  ]

  @Test(arguments: [1, 2, 3, 15, 17, 63, 64, 100, 127], modes)
  func transformsAgreeWithTheSums(length: Int, mode: ConvolutionMode) throws {
    for taps in Set([1, (length + 1) / 2, length]) {
      let oracle = ConvolutionOracle(try ConvolutionShape(mode: mode, length: length, filterLength: taps))
      let (u, k) = (numbers(length, seed: 3), numbers(taps, seed: 4))
      let q = mode.hasReverse ? numbers(taps, seed: 5) : []
      let exact = oracle.definition(u, k, reverse: q)
      #expect(relativeError(oracle.transformed(u, k, reverse: q), exact) < 1e-13)
      #expect(relativeError(exact.map { _ in 0 }, exact) == 1, "zeros must not pass")
    }
  }

  /// Learned butterflies: the stages' matrices are the Fourier matrices unless others are given.
  @Test func stagesTakeOtherMatrices() {
    let factors = [4, 3]
    let given = [MonarchTransform.fourierMatrix(4, quarters: 1), MonarchTransform.fourierMatrix(3)]
    let x = ComplexVector(real: numbers(12, seed: 6), imaginary: numbers(12, seed: 7))
    let usual = MonarchTransform(factors, quarters: 1).forward(x)
    #expect(MonarchTransform(factors, quarters: 1, matrices: given).forward(x) == usual)
    var changed = given
    changed[1].real[4] += 0.5
    #expect(MonarchTransform(factors, quarters: 1, matrices: changed).forward(x) != usual)
  }

  @Test func planNumbersFrequenciesAsTheTransformDoes() throws {
    let radices = Radices([3, 8, 2])
    #expect(radices.frequencies == (0..<48).map { MonarchTransform([3, 8, 2]).frequency(at: $0) })
    #expect(Radices(of: 1)?.list == [])
    #expect(Radices(of: 22) == nil)
    // 3^24 has as many levels as there may be, 3^25 one more.
    #expect(Radices(of: 282_429_536_481)?.list.count == 24)
    #expect(Radices(of: 847_288_609_443) == nil)
  }

  @Test func masksKeepABoxOfDigits() throws {
    let mask = try FrequencyMask(factors: [4, 8], keep: [2, 8])
    #expect(mask.sparsity == 0.5)
    #expect((0..<32).filter(mask.contains) == (0..<32).filter { $0 % 4 < 2 })
  }

  @Test func badShapesAreRefusedWithNumbers() {
    #expect(throws: ConvolutionError.length(0)) {
      try ConvolutionShape(mode: .causal, length: 0, filterLength: 1)
    }
    #expect(throws: ConvolutionError.length(8_388_609)) {
      try ConvolutionShape(mode: .causal, length: 8_388_609, filterLength: 1)
    }
    #expect(throws: ConvolutionError.filterLength(9, length: 8)) {
      try ConvolutionShape(mode: .causal, length: 8, filterLength: 9)
    }
    #expect(throws: (any Error).self) { try FrequencyMask(factors: [4, 11], keep: [4, 4]) }
    #expect(throws: (any Error).self) { try FrequencyMask(factors: [4, 4], keep: [4, 0]) }
    for factor in [847_288_609_443, 16_777_216, Int.max] {
      #expect(
        throws: ConvolutionError.mask(factors: [factor], keep: [1], why: "the transform would be too long")
      ) { try FrequencyMask(factors: [factor], keep: [1]) }
    }
    #expect("\(ConvolutionError.filterLength(9, length: 8))".contains("9 taps for 8"))
  }
}
