import Kernels
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Tensors

/// Gradients of parts of something larger, which are written where they belong.
@Suite struct PlacedGradientTests {
  /// Of which axis, into how many parts, and what else takes the whole or a part.
  enum Way: CaseIterable {
    case halves, threeOfFour, usedTwice, wholeToo, overlapping, partOfPart, otherType, onlyOne
  }

  private func body(_ way: Way, axis: Int, _ x: Variable) throws -> Variable {
    // A leaf's gradient is not written in parts.
    let larger = try x.map { $0 * $0 }
    func part(_ range: Range<Int>) throws -> Variable { try larger.sliced(axis: axis, range) }
    switch way {
    case .halves:
      let parts = try larger.split(axis: axis, 2)
      return try parts[0].map(parts[1]) { $0 * $1.sigmoid }
    case .threeOfFour:
      return try part(0..<1).map(part(1..<2), part(3..<4)) { $0 * $1 + $2 * $2 }
    case .usedTwice:
      let first = try part(0..<2)
      return try first.map(part(2..<4)) { $0 * $1 } + first.map { $0.sigmoid }
    case .wholeToo:
      let gated = try part(0..<2).map(part(2..<4)) { $0 * $1.sigmoid }
      return try .joined([gated, larger.map { $0.tanh }], axis: axis)
    case .overlapping:
      return try part(0..<2).map(part(1..<3)) { $0 * $1 } + part(2..<4).map(part(0..<2)) { $0 * $1.tanh }
    case .partOfPart:
      let inner = try part(0..<2)
      return try inner.sliced(axis: axis, 0..<1).map(inner.sliced(axis: axis, 1..<2)) { $0 * $1.tanh }
    case .otherType:
      let rounded = try larger.converted(to: x.device.factors)
      let parts = try rounded.split(axis: axis, 2)
      return try parts[0].map(parts[1]) { $0 * $1.sigmoid }
    case .onlyOne:
      return try part(1..<2).map { $0 * $0 }
    }
  }

  @Test(arguments: Way.allCases, [0, 1, 2]) func areThoseOfCopies(way: Way, axis: Int) throws {
    var shape = [2, 3, 5]
    shape[axis] = 4
    let judged = Judged([shape]) { try self.body(way, axis: axis, $0[0]) }
    #expect(try judged.worstGradient() < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  /// Rounded once, as a copy of the same numbers would be.
  @Test(arguments: [0, 1, 2]) func ofSixteenBits(axis: Int) throws {
    var shape = [3, 5, 65]
    shape[axis] = 4
    func gradient(of device: Device) throws -> [Float] {
      let x = Variable(
        try device.tensor(numbers(shape.reduce(1, *), seed: 3), shape), on: device, needsGradient: true)
      let y = try body(.otherType, axis: axis, x)
      let weights = try device.constant(numbers(y.value.count, seed: 4), y.shape)
      try (y * weights).sum().backward()
      return try device.numbers(#require(x.gradient))
    }
    let found = try gradient(of: Device(DeviceExecutor(CPUExecutor(threads: 2)), factors: .bfloat16))
    let exact = try gradient(of: exactDevice())
    #expect(relativeError(found.map { Double($0) }, exact.map { Double($0) }) < 0.01)
  }

  /// Channels of positions, twice and more, beside a way around them.
  @Test(arguments: [1, 2, 3], [(1, 1, 1), (2, 7, 3), (3, 65, 5)])
  func repeatedChannels(times: Int, sizes: (batch: Int, length: Int, width: Int)) throws {
    let (batch, length, width) = sizes
    let judged = Judged([[batch, length, width], [batch, times * width, length]]) { leaves in
      let x = try leaves[0].map { $0 * $0 }
      let channels = try x.channels(times: times, isRounded: true) * leaves[1]
      return try x.map { $0.tanh }
        + channels.reshaped([batch, times, width, length]).sum(axes: [1]).reshaped([batch, width, length])
        .permuted([0, 2, 1])
    }
    #expect(try judged.worstGradient(most: 6) < 1e-6)
    #expect(try judged.distance() < 1e-5)
    for device in [try coreDevice(), Device(DeviceExecutor(try CPUExecutor(threads: 2)), factors: .bfloat16)]
    {
      let count = batch * length * width
      let x = try device.constant((0..<count).map { Float($0 % 251) }, [batch, length, width])
      let found = try device.numbers(x.channels(times: times, isRounded: true).value)
      let exact = (0..<times * count).map { place -> Float in
        let (row, t) = (place / length, place % length)
        let (b, channel) = (row / (times * width), row % (times * width) % width)
        return Float(((b * length + t) * width + channel) % 251)
      }
      #expect(found == exact)
    }
  }
}
