import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// H3, S4D, Hyena and attention against the original modules: outputs and all gradients, in float32 on the cores and in
/// float64, where nothing hides behind rounding.
@Suite struct SequenceParityTests {
  private func device() throws -> Device { Device(try CPUExecutor(threads: 2)) }
  @Test func h3() throws {
    for (name, states) in [("r1-h3", 64), ("r1-h3-short-state", 16)] {
      let width = try GoldenCase(name).shape("in.u")[2]
      try compareMixer(name) { try H3($0, width: width, settings: H3.Settings(states: states)) }
    }
  }

  /// Heads of eight channels, in the order of the fused path, with which models were trained.
  @Test func h3WithHeads() throws {
    try compareMixer("r2-h3-heads", output: "y_fused", gradients: false) {
      try H3($0, width: 16, settings: H3.Settings(states: 16, headWidth: 8))
    }
  }

  @Test(arguments: ["diag-lin", "diag-inv", "diag-legs"], ["bilinear", "zoh"])
  func diagonalFilters(measure: String, discretisation: String) throws {
    let (golden, device) = (try GoldenCase("r3-ssm-kernels"), try device())
    let prefix = "\(measure).\(discretisation).kernel"
    func variable(_ name: String) throws -> Variable {
      try golden.variable("param.\(prefix).\(name)", on: device)
    }
    let modes = DiagonalFilter.Modes(
      logStep: try variable("log_dt"), logDecay: try variable("inv_A_real"),
      frequency: try variable("A_imag"),
      residues: [try variable("C"), try variable("B")])
    let kind: DiagonalFilter.Discretisation = discretisation == "bilinear" ? .bilinear : .zeroOrderHold
    try golden.expect(DiagonalFilter(discretisation: kind)(modes, length: 256), "out.\(prefix)", within: 1e-4)
    // What parameters begin with is known too.
    guard
      let own = [("diag-lin", DiagonalFilter.Measure.linear), ("diag-inv", .inverse)].first(where: {
        $0.0 == measure
      })
    else { return }
    let frequencies = (0..<4 * 32).map { Double(own.1.frequency($0 % 32, states: 64)) }
    #expect(relativeError(frequencies, try golden.numbers("param.\(prefix).A_imag")) < 1e-6)
  }

  @Test func hyena() throws {
    for (name, order) in [("r4-hyena", 2), ("r5-hyena-order3", 3)] {
      var settings = Hyena.Settings()
      (settings.order, settings.filter.width, settings.filter.longest) = (order, 8, 64)
      settings.filter.trainsFeatures = true
      // A network of sines multiplies rounding errors from layer to layer: with order 3 PyTorch's own float32 gradients are
      // 9e-6 away from float64.
      try compareMixer(name, within: order == 3 ? 2e-5 : 1e-5) {
        try Hyena($0, width: 16, settings: settings, deviation: 0.02)
      }
    }
  }

  /// One band, one inner layer, a shifted window and a short filter of five taps.
  @Test func hyenaVariants() throws {
    let filter = ImplicitFilter.Settings(
      features: 3, width: 8, innerLayers: 1, windowShift: 0.05, longest: 64)
    let settings = Hyena.Settings(shortTaps: 5, filter: filter)
    try compareMixer("r4-hyena-variants") { try Hyena($0, width: 8, settings: settings, deviation: 0.02) }
  }

  @Test func hyenaOfFewerPositionsThanItWasMadeFor() throws {
    let (golden, device) = (try GoldenCase("r4-hyena"), try device())
    var settings = Hyena.Settings()
    (settings.filter.width, settings.filter.longest) = (8, 64)
    let mixer = try Hyena(golden.parameters(on: device).root, width: 16, settings: settings, deviation: 0.02)
    let u = try golden.variable("in.u", on: device).sliced(axis: 1, 0..<40)
    try golden.expect(mixer(u), "out.y40")
  }

  @Test func implicitFilters() throws {
    for name in ["r4-hyena", "r5-hyena-order3"] {
      let (golden, device) = (try GoldenCase(name), try device())
      var settings = ImplicitFilter.Settings()
      (settings.width, settings.longest) = (8, 64)
      let channels = try golden.shape("out.filter")[2]
      let filter = try ImplicitFilter(
        golden.parameters(on: device).scope("filter_fn"), channels: channels, settings: settings)
      try golden.expect(filter(length: 64).permuted([1, 0]), "out.filter", within: 5e-6)
    }
  }

  @Test func featuresOfLags() throws {
    let (golden, device) = (try GoldenCase("r4-hyena"), try device())
    var settings = ImplicitFilter.Settings()
    (settings.width, settings.longest) = (8, 64)
    let drawn = ParameterSet(.drawn(seed: 0), on: device)
    _ = try ImplicitFilter(drawn.scope("filter_fn"), channels: 16, settings: settings)
    let features = drawn.parameters.first { $0.name.hasSuffix("pos_emb.z") }
    // The original computes them in float32.
    try golden.expect(#require(features).variable, "param.filter_fn.pos_emb.z", within: 1e-6)
  }

  @Test func s4d() throws { try compareMixer("r9-s4d") { try S4D($0, width: 8, settings: S4D.Settings()) } }

  @Test func s4dBothWays() throws {
    try compareMixer("r9-s4d-two-sided") {
      try S4D($0, width: 8, settings: S4D.Settings(states: 16, sets: 2, isTwoSided: true, isGated: true))
    }
  }

  @Test(arguments: ["h3", "hybrid", "hyena", "attention", "s4d"]) func languageModels(name: String) throws {
    for device in try parityDevices() { try compareModel(GoldenCase("r10-lm-\(name)"), name, device) }
  }

  private func compareModel(_ golden: GoldenCase, _ name: String, _ device: Device) throws {
    let rows = try golden.shape("param.backbone.embeddings.word_embeddings.weight")[0]
    var settings = SequenceSettings(
      vocabularySize: rows, vocabularyMultiple: 1, width: 16, layers: 2, feedForward: 32,
      mixer: .h3(states: 16, headWidth: 1), heads: 2, longest: 24, embeddingDropout: 0)
    switch name {
    case "hybrid": settings.attentionLayers = [1]
    case "hyena":
      settings.mixer = .hyena(order: 2, filterWidth: 16, features: 5, frequency: 10, hasWindow: true)
      settings.longest = 32
    case "attention": (settings.mixer, settings.learnsPositions) = (.attention, true)
    case "s4d":
      let states = 2 * (try golden.shape("param.backbone.layers.0.mixer.kernel.kernel.w_imag")[1])
      settings.mixer = .s4d(states: states)
    default: break
    }
    let network = try SequenceNetwork(settings, golden.parameters(on: device))
    let logits = try network.logits(golden.integers("in.ids"), batch: 2)
    try golden.expect(logits, "out.logits", within: name == "hyena" ? 2e-5 : 1e-5)
    let loss = try logits.crossEntropy(golden.integers("in.labels")).loss
    #expect(abs(Double(try device.numbers(loss.value)[0]) - (try golden.numbers("out.loss")[0])) < 1e-5)
    try loss.backward()
    try golden.expectGradients(network.parameters, within: 1e-4)
  }
}
