import Memory
import TestSupport
import Testing
import TilesCPU

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

  /// A machine of many cores adds up what it makes of rows as it goes, part by part.
  @Test(arguments: [[700, 65], [3, 67, 5], [1, 4]]) func manyCoresGiveTheSame(shape: [Int]) throws {
    let width = shape[shape.count - 1]
    func numbers(_ count: Int, _ factor: Float) -> [Float] {
      (0..<count).map { (place: Int) -> Float in
        let number: Int = (place * 37 + place / 7) % 101 - 50
        return Float(number) * factor
      }
    }
    func run(_ device: Device) throws -> [[Float]] {
      let inputs = try [(shape, Float(0.05)), ([width], 0.02), ([width], 0.1)].map { extents, factor in
        Variable(
          try device.constant(numbers(extents.reduce(1, *), factor), extents).value, on: device,
          needsGradient: true)
      }
      let weights = try device.constant(numbers(shape.reduce(1, *), 0.01).reversed(), shape)
      let y = try inputs[0].batchNormalised(
        statistics(width, on: device), weight: inputs[1], bias: inputs[2], epsilon: 0.1)
      try (y * weights).sum().backward()
      return try [device.numbers(y.value)] + inputs.map { try device.numbers(#require($0.gradient)) }
    }
    let (many, few) = (try run(Device(DeviceExecutor(try CPUExecutor(threads: 2)))), try run(coreDevice()))
    for (a, b) in zip(many, few) {
      var (distance, norm): (Float, Float) = (0, 0)
      for (first, second) in zip(a, b) {
        distance += (first - second) * (first - second)
        norm += second * second
      }
      #expect(distance.squareRoot() <= 1e-5 * norm.squareRoot() + 1e-5)
    }
  }

  /// Means far from 0, and first rows far from the mean, of which sums are taken.
  @Test(arguments: [(64, 1000, false), (300, 1000, false), (300, 0, true), (4099, 100, true)])
  func littleCancels(rows: Int, mean: Int, isLed: Bool) throws {
    let x = (0..<rows * 3).map { place -> Float in
      let number = Float((place * 37 + place / 7) % 101 - 50) / 32 + Float(mean)
      return isLed && place < 64 * 3 ? number + 64 : number
    }
    func run(_ device: Device) throws -> (states: [Float], variances: [Float]) {
      let known = try statistics(3, on: device)
      let input = try device.constant(x, [rows, 3])
      let y = try input.batchNormalised(
        known, weight: device.constant([1, 2, 3], [3]), bias: device.constant([0, 0, 0], [3]))
      return try (device.numbers(y.value), device.numbers(known.variance.value))
    }
    let exact = try run(exactDevice())
    for device in [try coreDevice(), Device(DeviceExecutor(try CPUExecutor(threads: 2)))] {
      let found = try run(device)
      // Numbers of the input have 2⁻²⁴ of the mean as their own error, in units of a deviation near 1.
      let bound = 4 * Double(max(64, mean)) * 0x1p-24 + 1e-5
      #expect(relativeError(found.states.map { Double($0) }, exact.states.map { Double($0) }) < bound)
      #expect(relativeError(found.variances.map { Double($0) }, exact.variances.map { Double($0) }) < bound)
    }
  }

  private func near(_ a: [Float], _ b: [Float]) -> Bool {
    zip(a, b).allSatisfy { (a: Float, b: Float) in abs(a - b) < 1e-5 }
  }
}
