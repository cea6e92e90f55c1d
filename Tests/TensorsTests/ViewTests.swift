import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@testable import Tensors

@Suite struct ViewTests {
  @Test(arguments: [0, 1, 2]) func reversedAxes(axis: Int) throws {
    for device in [exactDevice(), try coreDevice()] {
      let shape = [2, 3, 5]
      let x = try device.constant((0..<30).map(Float.init), shape)
      let found = try device.numbers(x.reversed(axis: axis).value)
      let stride = shape[(axis + 1)...].reduce(1, *)
      let exact = (0..<30).map { place in
        let at = place / stride % shape[axis]
        return Float(place + (shape[axis] - 1 - 2 * at) * stride)
      }
      #expect(found == exact)
      #expect(
        try device.numbers(x.reversed(axis: axis).reversed(axis: axis).value) == (0..<30).map(Float.init))
    }
    let judged = Judged([[2, 3, 5], [2, 3, 5]]) { try $0[0].reversed(axis: axis) * $0[1] }
    #expect(try judged.worstGradient() < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  @Test(arguments: [0, 1], [(0, 0), (0, 3), (2, 0), (2, 3)])
  func paddedAxes(axis: Int, zeros: (before: Int, after: Int)) throws {
    let (before, after) = zeros
    let judged = Judged([[3, 4]]) {
      try $0[0].map { $0 * $0 }.padded(axis: axis, before: before, after: after).map { $0 * $0 + 1 }
    }
    #expect(try judged.worstGradient() < 1e-6)
    #expect(try judged.distance() < 1e-5)
    let device = try coreDevice()
    let x = try device.constant([1, 2, 3], [3])
    #expect(
      try device.numbers(x.padded(axis: 0, before: before, after: after).value)
        == [Float](repeating: 0, count: before) + [1, 2, 3] + [Float](repeating: 0, count: after))
  }

  /// Against the sums as they are written, for filters shorter than the sequences and as long.
  @Test(arguments: [(1, 1, 1), (2, 2, 1), (2, 1, 2), (7, 7, 7), (17, 5, 17), (65, 65, 40), (100, 3, 99)])
  func convolutionsBothWays(length: Int, ahead: Int, back: Int) throws {
    let shapes = [[2, 3, length], [3, ahead], [3, back], [3], [2, 3, length], [2, 3, length]]
    let judged = Judged(shapes) {
      try $0[0].convolvedBothWays($0[1], back: $0[2], skip: $0[3], gateBefore: $0[4], gateAfter: $0[5])
    }
    #expect(try judged.worstGradient(most: 5) < 1e-6)
    if length > 1 { #expect(try judged.distance() < 1e-5) }
    let values = judged.values()
    var exact: [Double] = []
    for place in 0..<6 * length {
      let (row, t) = (place / length, place % length)
      let channel = row % 3
      func x(_ s: Int) -> Double {
        Double(values[0][row * length + s]) * Double(values[4][row * length + s])
      }
      var sum = Double(values[3][channel]) * x(t)
      for s in 0..<length {
        if s <= t, t - s < ahead { sum += Double(values[1][channel * ahead + t - s]) * x(s) }
        if s > t, s - t - 1 < back { sum += Double(values[2][channel * back + s - t - 1]) * x(s) }
      }
      exact.append(sum * Double(values[5][place]))
    }
    for (device, bound) in [(exactDevice(), 1e-12), (try coreDevice(), 1e-6)] {
      let v = try zip(values, shapes).map { try device.constant($0, $1) }
      let y = try v[0].convolvedBothWays(v[1], back: v[2], skip: v[3], gateBefore: v[4], gateAfter: v[5])
      #expect(relativeError(try doubles(device, y.value), exact) < bound)
    }
  }
}
