import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@testable import Tensors

@Suite struct OperationTests {
  @Test(arguments: [(1, 1, 1), (2, 3, 5), (63, 65, 2), (7, 1, 9), (130, 20, 33)])
  func productsOfOneMatrix(m: Int, k: Int, n: Int) throws {
    for transposesFirst in [false, true] {
      let judged = Judged([transposesFirst ? [k, m] : [m, k], [n, k], [n]]) {
        try $0[0].product($0[1], transposesSelf: transposesFirst, transposesOther: true, bias: $0[2])
      }
      #expect(try judged.worstGradient(most: 8) < 1e-7)
      #expect(try judged.distance() < 1e-5)
    }
  }

  @Test(arguments: [false, true], [false, true])
  func productsOfBatches(transposesA: Bool, transposesB: Bool) throws {
    let judged = Judged([
      [2, 3] + (transposesA ? [4, 5] : [5, 4]), [2, 3] + (transposesB ? [6, 4] : [4, 6]),
    ]) {
      try $0[0].product($0[1], transposesSelf: transposesA, transposesOther: transposesB)
    }
    #expect(try judged.worstGradient(most: 12) < 1e-7)
    #expect(try judged.distance() < 1e-5)
  }

  @Test func productsOfBatchesWithOneMatrix() throws {
    let judged = Judged([[2, 3, 4], [4, 5]]) { try $0[0].product($0[1]) }
    #expect(try judged.worstGradient(most: 12) < 1e-7)
    #expect(try judged.distance() < 1e-5)
  }

  @Test(arguments: [[5, 7], [300, 3], [2, 70, 4], [3000, 2], [1, 9]]) func sums(shape: [Int]) throws {
    for axis in shape.indices {
      let judged = Judged([shape]) { try $0[0].sum(axes: [axis]).map { $0 * $0 } }
      #expect(try judged.worstGradient(most: 5) < 1e-6)
      #expect(try judged.distance() < 1e-5)
    }
  }

  // Rows of one or two numbers have no gradient to compare: they become ±1 whatever they are.
  @Test(arguments: [3, 33, 64], [1, 9, 300]) func normalisations(width: Int, rows: Int) throws {
    for norm in [Normalisation.layer(epsilon: 1e-5), .rms(epsilon: 1e-5)] {
      let isLayer = if case .layer = norm { true } else { false }
      let judged = Judged([[rows, width], [width]] + (isLayer ? [[width]] : [])) {
        try $0[0].normalised(norm, weight: $0[1], bias: isLayer ? $0[2] : nil)
      }
      #expect(try judged.worstGradient(step: 0x1p-13, most: 6) < 1e-5, "\(norm)")
      #expect(try judged.distance() < 1e-4, "\(norm)")
    }
  }

  @Test(arguments: [false, true], [1, 2, 31, 65]) func softmax(isCausal: Bool, columns: Int) throws {
    let judged = Judged([[2, 3, columns]], in: -3...3) {
      try $0[0].softmax(scale: 0.7, isCausal: isCausal && columns >= 3)
    }
    #expect(try judged.worstGradient(most: 20) < 1e-6)
    #expect(columns == 1 ? true : try judged.distance() < 1e-5)
  }

  @Test(arguments: [2, 3, 64, 1030]) func crossEntropy(vocabulary: Int) throws {
    let targets: [Int32] = [1, -100, 0, Int32(vocabulary - 1), 1]
    let judged = Judged([[5, vocabulary]], in: -3...3) { try $0[0].crossEntropy(targets).loss }
    #expect(try judged.worstGradient(most: 20) < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  @Test func correctRowsAreThoseWhoseTargetIsAlone() throws {
    for device in [exactDevice(), try coreDevice()] {
      let logits = try device.constant(
        [3, 1, 2] + [1, 1, 0] + [5, 6, 7] + [.nan, .nan, .nan] + [1, 2, 3], [5, 3])
      let found = try logits.crossEntropy([0, 0, 2, 0, -100])
      let correct = try device.numbers(found.correct)
      #expect(correct == [1, 0, 1, 0, 0])
      #expect(found.count == 4)
      #expect(try device.numbers(found.losses)[4] == 0)
    }
  }

  @Test func lookupsOfFrequentNumbers() throws {
    // Two numbers stand at more than 256 places, 64 of which make a piece.
    let ids: [Int32] = (0..<700).map { place in
      let often: Int32 = place < 330 ? 5 : 2
      return place % 7 == 0 ? Int32(place % 5) : often
    }
    let judged = Judged([[6, 3]]) { try $0[0].rows(ids) }
    #expect(try judged.worstGradient() < 1e-7)
    #expect(try judged.distance() < 1e-5)
    let device = try coreDevice()
    let table = Variable(
      try device.tensor((0..<18).map { Float($0) }, [6, 3]), on: device, needsGradient: true)
    try table.rows(ids).backward(from: device.tensor([Float](repeating: 1, count: 2100), [700, 3]))
    let counts = (0..<6).map { number in Float(ids.count { $0 == number }) }
    #expect(counts.count { $0 > 256 } == 2)
    #expect(try device.numbers(#require(table.gradient)) == counts.flatMap { [$0, $0, $0] })
  }

  @Test func lookups() throws {
    let judged = Judged([[6, 5]]) { try $0[0].rows([3, 0, 3, 5, 3]) }
    #expect(try judged.worstGradient() < 1e-7)
    #expect(try judged.distance() < 1e-6)
  }

  @Test func joinedVariables() throws {
    let judged = Judged([[2, 3], [2, 2], [2, 3]]) { leaves in
      let all = try Variable.joined(leaves, axis: 1)
      return try all.map { $0 * $0 }
    }
    #expect(try judged.worstGradient() < 1e-7)
  }

  @Test(arguments: [1, 2, 31, 65]) func longConvolutions(length: Int) throws {
    let shapes = [[3, 2, length], [2, length], [2], [3, 2, length], [3, 2, length]]
    let judged = Judged(shapes) {
      try $0[0].convolved($0[1], skip: $0[2], gateBefore: $0[3], gateAfter: $0[4])
    }
    #expect(try judged.worstGradient(most: 5) < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  @Test(arguments: [ConvolutionMode.LagZero.both, .causalOnly]) func twoSidedConvolutions(
    lagZero: ConvolutionMode.LagZero
  ) throws {
    let judged = Judged([[2, 3, 17], [3, 17], [3, 17]]) {
      try $0[0].convolved($0[1], reverse: $0[2], mode: .bidirectional(lagZero: lagZero))
    }
    #expect(try judged.worstGradient(most: 20) < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  @Test func shortConvolutions() throws {
    let judged = Judged([[2, 5, 9], [5, 3], [5]]) { try $0[0].shortConvolved($0[1], bias: $0[2]) }
    #expect(try judged.worstGradient(most: 12) < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  @Test func gradientsAddUpUntilTheyAreCleared() throws {
    let device = try coreDevice()
    let x = Variable(try device.tensor([Float(1), 2], [2]), on: device, needsGradient: true)
    for _ in 0..<2 { try x.map { $0 * $0 }.sum().backward() }
    #expect(try device.numbers(x.gradient!) == [4, 8])
    x.clearGradient()
    #expect(x.gradient == nil)
  }
}
