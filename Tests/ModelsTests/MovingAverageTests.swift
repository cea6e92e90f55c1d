import Glibc
import TestSupport
import Testing

@testable import Models
@testable import Tensors

/// Moving averages as a convolution against the averages as they are written.
@Suite struct MovingAverageTests {
  private static let width = 3

  private static func input(_ length: Int) -> [Float] {
    var generator = SeededGenerator(seed: 9)
    return (0..<2 * length * width).map { _ in Float.random(in: -2...2, using: &generator) }
  }

  private func layer(_ parameters: ParameterSet, averages: Int, block: Int) throws -> MovingAverage {
    var layer = try MovingAverage(
      parameters.root, width: Self.width, settings: MovingAverage.Settings(averages: averages),
      deviation: 0.02)
    layer.block = block
    return layer
  }

  private func exact(_ x: [Double], _ parameters: [String: [Double]], length: Int, averages: Int) throws
    -> [Double]
  {
    let width = Self.width
    func parameter(_ name: String) throws -> [Double] { try #require(parameters[name]) }
    func affine(_ name: String, _ x: ArraySlice<Double>) throws -> [Double] {
      let (weight, bias) = (try parameter("\(name).weight"), try parameter("\(name).bias"))
      return (0..<width).map { row in
        zip(weight[row * width..<(row + 1) * width], x).reduce(bias[row]) { $0 + $1.0 * $1.1 }
      }
    }
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    let (alpha, delta) = (try parameter("alpha").map(sigmoid), try parameter("delta").map(sigmoid))
    let (eta, omega) = (try parameter("eta"), try parameter("omega"))
    var result: [Double] = []
    var state = [Double](repeating: 0, count: width * averages)
    for row in 0..<2 * length {
      if row % length == 0 { state = state.map { _ in 0 } }
      let own = x[row * width..<(row + 1) * width]
      let gates = try affine("gate_proj", own).map { $0 * sigmoid($0) }
      let mixed = (0..<width).map { channel in
        let number = own[own.startIndex + channel]
        var sum = omega[channel] * number
        for n in channel * averages..<(channel + 1) * averages {
          state[n] = alpha[n] * number + (1 - alpha[n] * delta[n]) * state[n]
          sum += eta[n] * state[n]
        }
        return sum * gates[channel]
      }
      result += try affine("out_proj", mixed[...])
    }
    return result
  }

  @Test(arguments: [(1, 4), (4, 4), (9, 4), (23, 5), (70, 64), (200, 64)], [1, 3])
  func agreesWithTheDefinition(sizes: (length: Int, block: Int), averages: Int) throws {
    for (device, bound) in zip(try parityDevices(), [1e-5, 1e-6]) {
      let parameters = ParameterSet(NetworkJudge.source(), on: device)
      let layer = try self.layer(parameters, averages: averages, block: sizes.block)
      let input = Self.input(sizes.length)
      let y = try layer(device.constant(input, [2, sizes.length, Self.width]))
      let numbers = try parameters.parameters.map {
        ($0.name, NetworkJudge.doubles(try device.dense($0.variable.value)))
      }
      let exact = try exact(
        input.map(Double.init), Dictionary(uniqueKeysWithValues: numbers), length: sizes.length,
        averages: averages)
      #expect(relativeError(NetworkJudge.doubles(try device.dense(y.value)), exact) < bound)
    }
  }

  /// Several blocks in a loss: the network's own test has fewer positions than one.
  @Test func gradientsThroughSeveralBlocks() throws {
    let judge = NetworkJudge { parameters in
      let layer = try self.layer(parameters, averages: 3, block: 4)
      let y = try layer(parameters.device.constant(Self.input(11), [2, 11, Self.width]))
      return try y.reshaped([22, Self.width]).crossEntropy((0..<22).map { Int32($0 % 3) }).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
  }

  /// Averages that forget all at once, or nothing within float32, are numbers all the same.
  @Test(arguments: [Float(-60), 60]) func extremesAreNumbers(logit: Float) throws {
    let device = try #require(try parityDevices().first)
    let source = ParameterSet.Source.read { name, shape in
      let number = ["alpha", "delta"].contains(name) ? logit : 0.5
      return [Float](repeating: number, count: shape.reduce(1, *))
    }
    let parameters = ParameterSet(source, on: device)
    let y = try layer(parameters, averages: 2, block: 64)(
      device.constant(Self.input(90), [2, 90, Self.width]))
    try y.sum().backward()
    #expect(try device.numbers(y.value).allSatisfy(\.isFinite))
    for parameter in parameters.parameters {
      let gradient = try #require(parameter.variable.gradient)
      #expect(try device.numbers(gradient).allSatisfy(\.isFinite), "\(parameter.name)")
    }
  }
}
