import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Learned transforms begin as the exact ones, and have gradients of their own.
@Suite struct ButterflyConvolutionTests {
  private func settings(_ ends: LongConv.Ends, learns: Bool) -> LongConv.Settings {
    var filter = LongConvolutionSettings()
    (filter.squash, filter.dropout, filter.learnsTransform) = (0.01, 0, learns)
    return LongConv.Settings(ends: ends, longest: 40, filter: filter)
  }

  @Test(arguments: [1, 2, 5, 9, 40], [LongConv.Ends.causal, .twoSided])
  func beginsAsTheConvolution(length: Int, ends: LongConv.Ends) throws {
    for (device, bound) in zip(try parityDevices(), [1e-5, 1e-6]) {
      let found = try [false, true].map { learns in
        let parameters = ParameterSet(
          .read { name, shape in
            if name.contains("mat_") { return try Self.initial(name, shape) }
            var generator = SeededGenerator(seed: name.fingerprint)
            return (0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.5...0.5, using: &generator) }
          }, on: device)
        let layer = try LongConv(parameters.root, width: 3, settings: settings(ends, learns: learns))
        let u = try uniform([2, length, 3], seed: 3)
        let input = try device.constant(values(u).map { Float($0) }, [2, length, 3])
        return NetworkJudge.doubles(try device.dense(layer(input).value))
      }
      #expect(relativeError(found[1], found[0]) < bound)
    }
  }

  /// What a fresh layer draws.
  private static func initial(_ name: String, _ shape: [Int]) throws -> [Float] {
    let device = Device(try CPUExecutor(threads: 1))
    let drawn = ParameterSet(.drawn(seed: 0), on: device)
    _ = try BlockTransform(drawn.root, channels: 1)
    let end = try #require(name.split(separator: ".").last)
    let found = try #require(drawn.parameters.first { $0.name == end })
    #expect(found.variable.shape == shape)
    return try device.numbers(found.variable.value)
  }

  @Test func gradientsAreDifferenceQuotients() throws {
    let judge = NetworkJudge { parameters in
      let layer = try LongConv(parameters.root, width: 2, settings: settings(.twoSided, learns: true))
      let input = try uniform([2, 11, 2], seed: 3)
      let y = try layer(parameters.device.constant(values(input).map { Float($0) }, [2, 11, 2]))
      return try y.reshaped([22, 2]).crossEntropy((0..<22).map { Int32($0 % 2) }).loss
    }
    // A transform of 32 has blocks of 16 and of 2.
    let unused = ["u", "k"].flatMap { side in [4, 8].map { "block_fft_\(side).mat_\($0)" } }
    try judge.expectDifferenceQuotients(unused: unused)
    try judge.expectCoresAgree()
  }
}
