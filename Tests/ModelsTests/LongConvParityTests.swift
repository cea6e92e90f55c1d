import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// LongConv and the learned block transform against the original modules.
@Suite struct LongConvParityTests {
  private func settings(_ sets: Int, _ ends: LongConv.Ends, longest: Int) -> LongConv.Settings {
    var filter = LongConvolutionSettings()
    (filter.sets, filter.squash, filter.dropout) = (sets, 0.05, 0)
    return LongConv.Settings(ends: ends, longest: longest, filter: filter)
  }

  @Test func causal() throws {
    try compareMixer("r6-longconv-one-sided") {
      try LongConv($0, width: 8, settings: settings(1, .causal, longest: 32))
    }
  }

  @Test func bothWays() throws {
    try compareMixer("r6-longconv-two-sided") {
      try LongConv($0, width: 8, settings: settings(2, .twoSided, longest: 32))
    }
  }

  /// Taps behind the sequence's end reach its beginning, since the original's transform is that short.
  @Test func wrapped() throws {
    try compareMixer("r6-longconv-wrap") {
      try LongConv($0, width: 8, settings: settings(2, .wrapped, longest: 64))
    }
  }

  @Test(arguments: zip(["squash", "average", "frequency"], LongConvolutionSettings.Smoothing.allCases))
  func filters(name: String, smoothing: LongConvolutionSettings.Smoothing) throws {
    var settings = LongConvolutionSettings()
    (settings.smoothing, settings.dropout) = (smoothing, 0)
    for device in try parityDevices() {
      let golden = try GoldenCase("r7-longconv-kernels")
      let parameters = golden.parameters(on: device)
      let filter = try LongFilter(parameters.root, sets: 2, channels: 5, longest: 32, settings: settings)
      let k = try filter()
      try golden.expect(k, "out.\(name)", within: 1e-6)
      try (k * golden.variable("in.w", on: device)).sum().backward()
      let gradient = try #require(parameters.parameters[0].variable.gradient)
      try golden.expect(Variable(gradient, on: device), "grad.\(name).kernel", within: 1e-6)
    }
  }

  @Test func tapsAreDroppedInTrainingAlone() throws {
    let device = Device(try CPUExecutor(threads: 2))
    var settings = LongConvolutionSettings()
    (settings.squash, settings.dropout) = (0, 0.25)
    let parameters = ParameterSet(NetworkJudge.source(), on: device)
    let filter = try LongFilter(parameters.root, sets: 2, channels: 16, longest: 64, settings: settings)
    func taps() throws -> [Float] { try device.numbers(filter().value) }
    let whole = try device.evaluating { try taps() }
    #expect(try device.numbers(parameters.parameters[0].variable.value) == whole)
    device.begin(step: 3, seed: 1)
    let found = try taps()
    let dropped = found.count { $0 == 0 }
    // Of 2,048 taps a quarter; the deviation of their number is 20.
    #expect((412...612).contains(dropped))
    #expect(zip(found, whole).allSatisfy { $0 == 0 || abs($0 / $1 - 4 / 3) < 1e-6 })
    device.begin(step: 3, seed: 1)
    #expect(try taps() == found)
    #expect(try taps() != found)
  }

  @Test func decayingFiltersBeginAsTheOriginals() throws {
    let golden = try GoldenCase("r7-longconv-kernels")
    let noise = try golden.numbers("in.noise")
    let found = noise.enumerated().map { $1 * Double(LongFilter.deviation($0, channels: 5, taps: 32)) }
    #expect(relativeError(found, try golden.numbers("param.kernel")) < 1e-6)
  }

  @Test(arguments: [64, 256, 512]) func blockTransforms(count: Int) throws {
    for device in try parityDevices() {
      let golden = try GoldenCase("r8-block-fft")
      let parameters = golden.parameters(on: device)
      let transform = try BlockTransform(parameters.root, channels: 2)
      let parts = try golden.variable("in.\(count).x", on: device).parts
      let x = try ComplexVariable(real: parts.real, imaginary: parts.imaginary)
        .mapped { try $0.reshaped([2, 1, count]) }
      let y = try transform(x).mapped { try $0.reshaped([2, count, 1]) }
      let joined = try Variable.joined([y.real, y.imaginary], axis: 2)
      try golden.expect(joined, "out.\(count).y")
      try (joined * golden.variable("in.\(count).w", on: device)).sum().backward()
      for parameter in parameters.parameters {
        let name = "grad.\(count).\(parameter.name)"
        #expect(golden.file.contains(name) == (parameter.variable.gradient != nil), "\(name)")
        guard let gradient = parameter.variable.gradient else { continue }
        try golden.expect(Variable(gradient, on: device), name)
      }
    }
  }
}
