import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Tensors

/// Long convolutions of slices of something larger, as a GPU takes them: 16-bit rows, memory apart, transforms by matrices.
@Suite struct SlicedConvolutionTests {
  private struct Case: CustomStringConvertible, Sendable {
    var length: Int
    var channels: Int
    var isGatedBefore: Bool
    var isGatedAfter: Bool
    var isTwoSided: Bool
    var description: String {
      "L \(length), H \(channels), gates \(isGatedBefore) \(isGatedAfter), two-sided \(isTwoSided)"
    }
  }

  private static let cases = [(64, 3), (65, 2), (128, 2), (256, 5)].flatMap { length, channels in
    (0..<8).map { bits in
      Case(
        length: length, channels: channels, isGatedBefore: bits & 1 != 0, isGatedAfter: bits & 2 != 0,
        isTwoSided: bits & 4 != 0)
    }
  }

  /// The result, then gradients of the joint rows, the filter and the skip factors.
  private func run(_ c: Case, on device: Device) throws -> [[Double]] {
    func leaf(_ shape: [Int], _ seed: UInt64, _ range: ClosedRange<Float> = -1...1) throws -> Variable {
      Variable(
        try device.tensor(numbers(shape.reduce(1, *), seed: seed, in: range), shape), on: device,
        needsGradient: true)
    }
    let joint = try leaf([2, 3 * c.channels, c.length], 1)
    let (filter, skip) = (try leaf([c.channels, c.length], 2, -0.1...0.1), try leaf([c.channels], 3))
    let parts = try joint.converted(to: device.factors).split(axis: 1, 3)
    let back = c.isTwoSided ? try leaf([c.channels, c.length - 1], 4, -0.1...0.1) : nil
    let result = try parts[2].convolvedBothWays(
      filter, back: back, skip: skip, gateBefore: c.isGatedBefore ? parts[1] : nil,
      gateAfter: c.isGatedAfter ? parts[0] : nil)
    let weights = try device.constant(numbers(result.value.count, seed: 9), result.shape)
    try (result * weights).sum().backward()
    let leaves = [joint, filter, skip] + (back.map { [$0] } ?? [])
    return try ([result.value] + leaves.map { $0.gradient! }).map { tensor in
      try device.numbers(tensor).map { Double($0) }
    }
  }

  @Test(arguments: cases) private func agreesWithFloat64(c: Case) throws {
    let exact = try run(c, on: exactDevice())
    let found = try run(c, on: Device(DeviceExecutor(CPUExecutor(threads: 2)), factors: .bfloat16))
    // Rows, gates, twiddles and products are rounded to eight bits, some ten times one after the other.
    for (a, b) in zip(found, exact) { #expect(relativeError(a, b) < 0.03) }
  }
}
