import Kernels
import Memory
import TestSupport
import Testing
import TilesCPU
import Tiles

@testable import Tensors

@Suite struct PointwiseTests {
  struct Function: Sendable, CustomTestStringConvertible {
    let name: String
    var range: ClosedRange<Float> = -2...2
    let body: @Sendable (Term, Term) -> Term
    var testDescription: String { name }
  }

  static let functions: [Function] = [
    Function(name: "sum") { $0 + $1 * 3 },
    Function(name: "difference") { Float(2) - ($0 - $1) },
    Function(name: "product") { $0 * $1 * $0 },
    Function(name: "quotient", range: 0.5...2) { $0 / $1 + $0.constant(1) / $0 },
    Function(name: "exp and log", range: 0.5...2) { $0.exp * $1.log },
    Function(name: "tanh, sigmoid") { $0.tanh + $1.sigmoid * $0.sigmoid },
    Function(name: "sine, cosine") { $0.sin * $1.cos },
    Function(name: "angle", range: 0.5...2) { $0.applying(.atan2, $1) },
    Function(name: "roots", range: 0.5...2) {
      $0.squareRoot + $1.applying(.rsqrt) + $0.applying(.reciprocal)
    },
    Function(name: "powers of two") { $0.applying(.exp2) - (-$1).squared },
    Function(name: "error function") { $0.applying(.erf) * $1 },
    Function(name: "fused") { $0.applying(.fma, $1, $0) },
    Function(name: "gelu") { Activation.gelu.apply(to: $0) + Activation.geluTanh.apply(to: $1) },
    Function(name: "silu") { Activation.silu.apply(to: $0) * $1 },
    // Kinks are away from the numbers that are tried.
    Function(name: "largest", range: 1...2) {
      $0.applying(.max, $1 + 3) + ($0 - 9).magnitude + $1.applying(.min, $0 * 9)
    },
    Function(name: "chosen", range: 1...2) { $0.atLeast($1 - 5, then: $0 * $1, else: $1) },
  ]

  @Test(arguments: functions) func derivativesAreDifferenceQuotients(function: Function) throws {
    let judged = Judged([[3, 5], [3, 5]], in: function.range) { try $0[0].map($0[1], function.body) }
    #expect(try judged.worstGradient() < 1e-7)
    #expect(try judged.distance() < 1e-5)
  }

  @Test(arguments: [
    [[2, 3, 4], [4]], [[2, 3, 4], [3, 1]], [[2, 1, 4], [3, 1]], [[5], [1]], [[1, 7], [7, 1]],
    [[2, 3, 1, 5], [2, 1, 4, 5]],
    [[63, 65], [65]], [[1, 1], [1]],
  ])
  func broadcasts(shapes: [[Int]]) throws {
    let judged = Judged(shapes) { try $0[0].map($0[1]) { $0 * $1 + $0 } }
    #expect(try judged.worstGradient() < 1e-7)
    #expect(try judged.distance() < 1e-5)
  }

  @Test func stridedOperandsAreReadAsTheyLie() throws {
    for device in [exactDevice(), try coreDevice()] {
      let x = try device.constant((0..<24).map(Float.init), [2, 3, 4])
      let turned = try x.permuted([2, 0, 1])
      let sum = try turned + device.constant([100, 200, 300], [3])
      #expect(sum.shape == [4, 2, 3])
      let found = try device.numbers(sum.value)
      for a in 0..<4 {
        for b in 0..<2 {
          for c in 0..<3 { #expect(found[(a * 2 + b) * 3 + c] == Float(b * 12 + c * 4 + a + 100 * (c + 1))) }
        }
      }
    }
  }

  @Test func severalResultsShareOnePass() throws {
    let judged = Judged([[4, 6], [6]]) { leaves in
      let both = try Variable.pointwise(leaves) { [$0[0] * $0[1], $0[0].exp + $0[1]] }
      // One of them is used twice, the other once.
      return try both[0].map(both[1], both[0]) { $0 * $1 + $2 }
    }
    #expect(try judged.worstGradient() < 1e-7)
  }

  @Test func whatIsUsedTwiceGetsBothGradients() throws {
    let judged = Judged([[3, 4]]) { leaves in
      let x = leaves[0]
      let halves = try x.split(axis: 1, 2)
      return try (x.sliced(axis: 1, 1..<3) * halves[0]) + (halves[1] * halves[1]) + x.sliced(axis: 1, 0..<2)
    }
    #expect(try judged.worstGradient() < 1e-7)
  }

  @Test func longChainsAreCutWhereRegistersEnd() throws {
    let judged = Judged([[2, 9], [2, 9]]) {
      try $0[0].map($0[1]) { a, b in
        let terms = (1...20).map { (a * Float($0) * 0.1).sin * (b * Float($0) * 0.1).cos }
        return terms.dropFirst().reduce(terms[0]) { $0 + $1 } * terms[19] * terms[3]
      }
    }
    #expect(try judged.worstGradient() < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  /// What the gradient draws again are the numbers of before, however it lies in memory.
  @Test(arguments: 0..<5) func dropoutsGradientIsOfItsMaskHoweverItLies(way: Int) throws {
    let (device, shape) = (exactDevice(), [3, 70, 50])
    device.begin(step: 1, seed: 5)
    let x = Variable(
      try device.tensor(numbers(3 * 70 * 50, seed: 1, in: 1...2), shape), on: device, needsGradient: true)
    let dropped = try (way == 3 ? x.permuted([1, 2, 0]) : x).dropout(0.5)
    let seen: Variable
    switch way {
    case 0: seen = try dropped.permuted([2, 0, 1]).dense()
    case 1: seen = try dropped.sliced(axis: 1, 0..<33).padded(axis: 1, after: 2)
    case 2: seen = try Variable.joined([dropped, dropped], axis: 2)
    // Its gradient is a view that repeats.
    case 4: seen = try dropped.sum(axes: [1])
    default: seen = try dropped.permuted([1, 0, 2]).dense()
    }
    let weights = try device.constant(numbers(seen.value.count, seed: 2, in: 1...2), seen.shape)
    try (seen * weights).sum(axes: Array(seen.shape.indices)).backward()
    let given = try device.numbers(device.dense(dropped.value.permuted(way == 3 ? [2, 0, 1] : [0, 1, 2])))
    let found = try device.numbers(x.gradient!)
    let isSeen = found.indices.map { way != 1 || $0 / 50 % 70 < 33 }
    #expect(found.indices.allSatisfy { (found[$0] != 0) == (isSeen[$0] && given[$0] != 0) })
    #expect(found.filter { $0 != 0 }.count > 2000)
  }

  /// Masks do not depend on how many cores there are.
  @Test(arguments: [[1, 100_000], [3, 5000], [70, 33, 9]]) func dropoutIsTheSameEverywhere(shape: [Int])
    throws
  {
    let masks = try [
      try coreDevice(), Device(CPUExecutor(threads: 1)), Device(DeviceExecutor(CPUExecutor(threads: 2))),
    ].map {
      device in
      let x = try device.constant([Float](repeating: 1, count: shape.reduce(1, *)), shape)
      device.begin(step: 3, seed: 5)
      return try device.numbers(x.dropout(0.25).value)
    }
    #expect(masks[0] == masks[1] && masks[0] == masks[2])
  }

  @Test func dropoutKeepsTheMeanAndItsGradientTheMask() throws {
    let device = try coreDevice()
    device.begin(step: 3, seed: 5)
    let x = Variable(
      try device.tensor([Float](repeating: 1, count: 100_000), [500, 200]), on: device, needsGradient: true)
    let y = try x.dropout(0.25)
    let found = try device.numbers(y.value)
    #expect(found.allSatisfy { $0 == 0 || $0 == Float(1) / 0.75 })
    // Five standard deviations.
    let kept = Double(found.filter { $0 != 0 }.count)
    #expect(abs(kept - 75_000) < 5 * (100_000 * 0.25 * 0.75).squareRoot())
    try y.sum().backward()
    #expect(try device.numbers(x.gradient!) == found)
    let again = try x.dropout(0.25)
    #expect(try device.numbers(again.value) != found)
    device.begin(step: 3, seed: 5)
    #expect(try device.numbers(x.dropout(0.25).value) == found)
    #expect(try device.evaluating { try x.dropout(0.25) } === x)
  }
}
