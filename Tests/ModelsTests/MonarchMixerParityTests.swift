import Formats
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Monarch Mixer's layers and networks against the original modules.
@Suite struct MonarchMixerParityTests {
  @Test(arguments: [("even", 12, 24, true), ("plain", 12, 24, false), ("uneven", 10, 14, true)])
  func blockDiagonalLayers(name: String, inputs: Int, outputs: Int, hasBias: Bool) throws {
    try compareLayer("m1-blockdiag-linear", prefix: name, within: 1e-6) { scope in
      let layer = try BlockDiagonalLayer(scope, inputs: inputs, outputs: outputs, blocks: 4, hasBias: hasBias)
      return { try layer($0) }
    }
  }

  @Test(arguments: ["square", "oblong"]) func butterflies(name: String) throws {
    for device in try parityDevices() {
      let golden = try GoldenCase("m2-blockdiag-butterfly")
      let names = ["in.\(name).x", "param.\(name).w1_bfly", "param.\(name).w2_bfly"]
      let leaves = try names.map { try golden.variable($0, on: device, needsGradient: true) }
      let y = try leaves[0].butterfly(leaves[1], leaves[2])
      try golden.expect(y, "out.\(name).y", within: 1e-6)
      try (y * golden.variable("in.\(name).w", on: device)).sum().backward()
      for (leaf, end) in zip(leaves, ["x", "w1_bfly", "w2_bfly"]) {
        let gradient = try #require(leaf.gradient)
        try golden.expect(Variable(gradient, on: device), "grad.\(name).\(end)", within: 1e-6)
      }
    }
  }

  @Test func filtersAheadAndBack() throws {
    for device in try parityDevices() {
      let golden = try GoldenCase("m3-hyena-filter")
      let settings = ImplicitFilter.Settings(width: 16, longest: 32, hasReverse: true)
      let filter = try ImplicitFilter(golden.parameters(on: device).root, channels: 8, settings: settings)
      for length in [32, 20] {
        try golden.expect(filter(length: length).permuted([1, 0]), "out.filter\(length)")
        try golden.expect(filter.reverse(length: length).permuted([1, 0]), "out.filter_rev\(length)")
      }
      let y = try golden.variable("in.x", on: device).convolvedBothWays(
        filter(length: 20), back: filter.reverse(length: 20),
        skip: golden.variable("param.bias", on: device))
      try golden.expect(y, "out.y")
    }
  }

  @Test(arguments: [("two-sided", false, false), ("additions", false, true), ("causal", true, false)])
  func mixers(name: String, isCausal: Bool, normalises: Bool) throws {
    let filter = ImplicitFilter.Settings(width: 16, longest: 32, trainsFeatures: true)
    let settings = MonarchMixer.Settings(isCausal: isCausal, normalises: normalises, filter: filter)
    try compareMixer("m4-mixer-\(name)") { try MonarchMixer($0, width: 16, settings: settings) }
  }

  @Test func gatedLayers() throws {
    try compareLayer("m5-gated-mlp") { scope in
      let layer = try NormalisedGatedBlockLayer(scope, width: 16, inner: 32, blocks: 4, dropout: 0)
      return { try layer($0) }
    }
  }

  /// Bound of whole networks' gradients in float32: networks of sines, and layers that nothing goes around, multiply rounding
  /// errors. PyTorch's own float32 gradients are up to 1.05e-4 away from float64 for the masked language model, and up to 2.7e-5
  /// for the classifiers; ours 4.2e-5 and 2.8e-5. In float64 the bound is 1e-6.
  private static let gradientBound = 5e-5

  private func settings(layers: Int) -> MonarchMixerSettings {
    var settings = MonarchMixerSettings(
      vocabularySize: 24, width: 16, layers: layers, feedForward: 32, longest: 16)
    (settings.filterWidth, settings.dropout) = (8, 0)
    return settings
  }

  @Test func maskedLanguageModel() throws {
    for device in try parityDevices() {
      let golden = try GoldenCase("m6-masked-lm")
      let network = try MaskedLanguageModel(settings(layers: 2), golden.parameters(on: device))
      let ids = try golden.integers("in.ids")
      try golden.expect(network.encoder.embedded(Feed(ids), batch: 2), "out.embedded")
      for (layer, states) in try network.encoder.states(Feed(ids), batch: 2).enumerated() {
        try golden.expect(states, "out.hidden.\(layer)")
      }
      try golden.expect(network.logits(ids, batch: 2), "out.logits")
      let loss = try network.loss(ids, targets: golden.integers("in.labels"), batch: 2).loss
      try golden.expect(loss, "out.loss")
      try loss.backward()
      try golden.expectGradients(network.parameters, within: Self.gradientBound)
    }
  }

  @Test(arguments: [("first", MonarchMixerClassifier.Pool.first), ("mean", .mean)])
  func classifiers(name: String, pool: MonarchMixerClassifier.Pool) throws {
    for device in try parityDevices() {
      let golden = try GoldenCase("m7-classifier-\(name)")
      let network = try MonarchMixerClassifier(
        settings(layers: 1), classes: 2, pool: pool, golden.parameters(on: device))
      let ids = try golden.integers("in.ids")
      #expect(ids.map { $0 == 0 ? 0 : 1 } == (try golden.integers("in.mask")))
      try golden.expect(network.pooled(ids, batch: 2), "out.pooled")
      let logits = try network.logits(ids, batch: 2)
      try golden.expect(logits, "out.logits")
      let loss = try logits.crossEntropy(golden.integers("in.labels")).loss
      try golden.expect(loss, "out.loss")
      try loss.backward()
      try golden.expectGradients(network.parameters, within: Self.gradientBound)
    }
  }

  /// Totals of the published models, masked language head included.
  @Test(arguments: [(768, 80_267_328), (960, 115_583_616)]) func sizesAreThePublishedOnes(
    width: Int, count: Int
  ) throws {
    let settings = MonarchMixerSettings(
      vocabularySize: 30_528, width: width, layers: 12, feedForward: 4 * width, longest: 128)
    let zeros = ParameterSet.Source.read { [Float](repeating: 0, count: $1.reduce(1, *)) }
    let parameters = ParameterSet(zeros, on: Device(try CPUExecutor(threads: 1)))
    #expect(try MaskedLanguageModel(settings, parameters).parameters.count == count)
  }
}
