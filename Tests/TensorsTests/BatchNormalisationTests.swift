import Memory
import TestSupport
import Testing

@testable import Tensors

@Suite struct BatchNormalisationTests {
  private func statistics(_ width: Int, on device: Device) throws -> BatchStatistics {
    BatchStatistics(
      mean: try device.constant([Float](repeating: 0.5, count: width), [width]),
      variance: try device.constant([Float](repeating: 2, count: width), [width]))
  }

  @Test(arguments: [[1, 3], [2, 1], [5, 7], [3, 67, 5], [2, 300, 65]]) func gradients(shape: [Int]) throws {
    let width = shape[shape.count - 1]
    let judged = Judged([shape, [width], [width]]) { leaves in
      let device = leaves[0].device
      return try leaves[0].batchNormalised(
        self.statistics(width, on: device), weight: leaves[1], bias: leaves[2], epsilon: 0.1)
    }
    #expect(try judged.worstGradient(most: 8) < 1e-6)
    #expect(try judged.distance() < 1e-5)
  }

  @Test func meansAndVariancesRun() throws {
    for device in [exactDevice(), try coreDevice()] {
      let x: [[Float]] = [[1, -2], [3, 5], [5, 0]]
      let known = try statistics(2, on: device)
      let (weight, bias) = (try device.constant([2, 3], [2]), try device.constant([0, 1], [2]))
      let input = try device.constant(x.flatMap { $0 }, [3, 2])
      let trained = try device.numbers(
        input.batchNormalised(known, weight: weight, bias: bias, epsilon: 0).value)
      // Means 3 and 1; variances 8/3 and 26/3 of the batch, 4 and 13 of what it was drawn from.
      let first: [Float] = x.map { row in 2 * (row[0] - 3) / Float(8.0 / 3).squareRoot() }
      let second: [Float] = x.map { row in 3 * (row[1] - 1) / Float(26.0 / 3).squareRoot() + 1 }
      #expect(near(trained, zip(first, second).flatMap { [$0, $1] }))
      #expect(near(try device.numbers(known.mean.value), [0.5 + 0.25, 0.5 + 0.05]))
      #expect(near(try device.numbers(known.variance.value), [2 + 0.2, 2 + 1.1]))
      let used = try device.evaluating {
        try device.numbers(input.batchNormalised(known, weight: weight, bias: bias, epsilon: 0).value)
      }
      #expect(near([used[0]], [0.5 / Float(2.2).squareRoot()]))
      // Nothing moves where nothing trains.
      #expect(near(try device.numbers(known.mean.value), [0.75, 0.55]))
    }
  }

  private func near(_ a: [Float], _ b: [Float]) -> Bool {
    zip(a, b).allSatisfy { (a: Float, b: Float) in abs(a - b) < 1e-5 }
  }
}
