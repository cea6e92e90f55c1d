import Formats
import Foundation
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// Published layouts, with the numbers of the reference models: what is loaded answers as they do.
@Suite struct PublicCheckpointTests {
  /// A state dict in memory.
  struct StateDictionary: NamedTensors {
    let file = "state"
    var entries: [(name: String, tensor: Tensor)]

    var names: [String] { entries.map(\.name) }
    func contains(_ name: String) -> Bool { shape(name) != nil }
    func shape(_ name: String) -> [Int]? { entries.first { $0.name == name }?.tensor.shape }
    func tensor(_ name: String) throws(FormatError) -> Tensor {
      guard let entry = entries.first(where: { $0.name == name }) else {
        throw .missingTensor(file: file, name: name)
      }
      return entry.tensor
    }

    /// The parameters of a reference model.
    init(_ golden: GoldenCase) throws {
      entries = []
      // Numbers of positions, of eight bytes each, lie at a multiple of four there.
      for name in golden.file.names where name.hasPrefix("param.") && !name.hasSuffix("position_ids") {
        entries.append((String(name.dropFirst(6)), try golden.file.tensor(name)))
      }
    }

    func renamed(_ rename: (String) -> String) -> Self {
      var copy = self
      copy.entries = entries.map { (rename($0.name), $0.tensor) }
      return copy
    }

    func adding(_ name: String, _ tensor: Tensor) -> Self {
      var copy = self
      copy.entries.removeAll { $0.name == name }
      copy.entries.append((name, tensor))
      return copy
    }

    func without(_ name: String) -> Self {
      var copy = self
      copy.entries.removeAll { $0.name == name }
      return copy
    }
  }

  private static let folder =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Golden/published"
  private static let filter = "backbone.layers.1.mixer.filter_fn"

  private func configuration(_ golden: GoldenCase) throws -> JSONNode {
    JSONNode(try JSON.parse(try #require(golden.file.metadata["config"]), file: "config"), file: "config")
  }

  private func hints() -> PublicHints {
    var hints = PublicHints()
    hints.longest = 24
    return hints
  }

  /// Hints for a network whose filters say how long it may be.
  private func hyenaHints() -> PublicHints {
    var hints = PublicHints()
    hints.windowShift = 0
    return hints
  }

  private func expectLogits(_ checkpoint: PublicCheckpoint, _ golden: GoldenCase) throws {
    let device = Device(try CPUExecutor(threads: 2))
    let network = try checkpoint.network(on: device)
    try device.evaluating {
      let logits = try network.logits(golden.integers("in.ids"), batch: 2)
      try golden.expect(logits, "out.logits", within: checkpoint.layout == .hyena ? 2e-5 : 1e-5)
      // And bit by bit as with the reference's parameters themselves.
      let same = try SequenceNetwork(checkpoint.settings, golden.parameters(on: device))
      let wanted = try device.numbers(same.logits(golden.integers("in.ids"), batch: 2).value)
      #expect(try device.numbers(logits.value) == wanted)
    }
  }

  @Test(arguments: ["h3", "hybrid", "hyena", "attention", "s4d"], ["", "model.", "state_dict.model."])
  func layouts(name: String, prefix: String) throws {
    let golden = try GoldenCase("r10-lm-\(name)")
    var state = try StateDictionary(golden).renamed { prefix + $0 }
    if !prefix.isEmpty { state = state.adding("optimizer.0", try Tensor(zeros: .float32, [2])) }
    let found = try PublicCheckpoint(
      state, configuration: configuration(golden), hints: name == "hyena" ? hyenaHints() : hints())
    #expect(found.layout.rawValue == (name == "hybrid" ? "h3" : name))
    #expect(found.outside == (prefix.isEmpty ? [] : ["optimizer.0"]) && found.assumptions.isEmpty)
    #expect(found.settings.attentionLayers == (name == "hybrid" ? [1] : []))
    #expect(
      found.settings.vocabularySize == 20 && found.settings.embeddingRows == (name == "hybrid" ? 24 : 20))
    #expect(found.settings.longest == (name == "hyena" ? 32 : 24))
    try expectLogits(found, golden)
  }

  /// The same from files of torch.save, which differ in more than the prefix.
  @Test func filesOfPyTorch() throws {
    let hybrid = try PublicCheckpoint(path: "\(Self.folder)/hybrid-lightning.ckpt", hints: hints())
    #expect(hybrid.settings.heads == 2 && hybrid.outside == ["optimizer_states.0.state.0.exp_avg"])
    try expectLogits(hybrid, GoldenCase("r10-lm-hybrid"))
    let old = try PublicCheckpoint(path: "\(Self.folder)/h3-old.pt", hints: hints())
    try expectLogits(old, GoldenCase("r10-lm-h3"))
    for path in ["\(Self.folder)/hyenadna", "\(Self.folder)/hyenadna/"] {
      let hyena = try PublicCheckpoint(path: path, hints: hyenaHints())
      #expect(
        hyena.settings.mixer
          == .hyena(order: 2, filterWidth: 16, features: 5, frequency: 10, hasWindow: true))
      try expectLogits(hyena, GoldenCase("r10-lm-hyena"))
    }
  }

  @Test func aConvertedCheckpointIsReadAgain() throws {
    let golden = try GoldenCase("r10-lm-hybrid")
    let found = try PublicCheckpoint(path: "\(Self.folder)/hybrid-lightning.ckpt", hints: hints())
    let device = Device(try CPUExecutor(threads: 2))
    let path = Scratch.path("converted.safetensors")
    try found.save(found.network(on: device), to: path)
    let file = try Safetensors(path: path)
    let json = try JSON.parse(try #require(file.metadata["godwit.model"]), file: path)
    #expect(try SequenceSettings(JSONNode(json, file: path)) == found.settings)
    let network = try SequenceNetwork(
      found.settings, ParameterSet(.read { name, _ in try file.tensor(name).floats(name) }, on: device))
    try device.evaluating {
      try golden.expect(network.logits(golden.integers("in.ids"), batch: 2), "out.logits")
    }
    // It is of the same names itself.
    #expect(try PublicCheckpoint(file, hints: hintsWithHeads()).settings.heads == 2)
  }

  private func hintsWithHeads() -> PublicHints {
    var hints = hints()
    hints.heads = 2
    return hints
  }

  @Test func halfPrecision() throws {
    let golden = try GoldenCase("r10-lm-h3")
    var state = try StateDictionary(golden)
    for (place, entry) in state.entries.enumerated() {
      let tensor = try Tensor(zeros: .bfloat16, entry.tensor.shape)
      let numbers = try entry.tensor.floats(entry.name)
      tensor.withMutableElements(as: UInt16.self) { span in
        for index in span.indices { span[index] = BFloat16(numbers[index]).bitPattern }
      }
      state.entries[place].tensor = tensor
    }
    let found = try PublicCheckpoint(state, hints: hints())
    let device = Device(try CPUExecutor(threads: 2))
    let logits = try found.network(on: device).logits(golden.integers("in.ids"), batch: 2)
    #expect(
      relativeError(try device.numbers(logits.value).map(Double.init), try golden.numbers("out.logits"))
        < 0.05)
  }

  static let variants: [SequenceSettings.Mixer] = [
    .h3(states: 8, headWidth: 2), .s4d(states: 6), .attention,
    .hyena(order: 3, filterWidth: 6, features: 3, frequency: 10, hasWindow: false),
    .hyena(
      order: 2, filterWidth: 6, features: 7, frequency: 10, hasWindow: true, innerLayers: 1, shortTaps: 5,
      windowShift: 0.05),
    .hyena(
      order: 2, filterWidth: 6, features: 5, frequency: 10, hasWindow: true, innerLayers: 3, shortTaps: 2),
  ]

  /// What a network's parameters are named and shaped like tells its settings again.
  @Test(arguments: variants) func settingsFollowFromTensors(mixer: SequenceSettings.Mixer) throws {
    let settings = SequenceSettings(
      vocabularySize: 11, vocabularyMultiple: 8, width: 12, layers: 3, feedForward: 20, mixer: mixer,
      attentionLayers: mixer == .attention ? [] : [1], heads: 3, longest: 40,
      learnsPositions: mixer == .attention, embeddingDropout: 0)
    #expect(try SequenceSettings(JSONNode(settings.json, file: "x")) == settings)
    let device = Device(try CPUExecutor(threads: 2))
    let network = try SequenceNetwork(settings, ParameterSet(.drawn(seed: 3), on: device))
    var state = try StateDictionary(GoldenCase("r10-lm-h3"))
    state.entries = network.parameters.parameters.map { ($0.name, $0.variable.value) }
    var hints = PublicHints()
    (hints.heads, hints.vocabulary, hints.longest) = (3, 11, 40)
    if case .hyena(_, _, _, _, let hasWindow, _, _, let shift) = mixer {
      (hints.hasWindow, hints.windowShift) = (hasWindow, hasWindow ? shift : nil)
    }
    let found = try PublicCheckpoint(state, hints: hints)
    #expect(found.settings == settings)
    let tokens = (0..<40).map { Int32($0 * 7 % 11) }
    try device.evaluating {
      let again = try found.network(on: device).logits(tokens, batch: 1).value
      let first = try network.logits(tokens, batch: 1).value
      #expect(try device.numbers(again) == device.numbers(first))
    }
  }

  /// T-08: whatever the shape of a tensor, there is a network or an error.
  @Test(arguments: ["h3", "hybrid", "hyena", "attention", "s4d"]) func anyShapeIsSurvived(name: String) throws
  {
    let golden = try GoldenCase("r10-lm-\(name)")
    let state = try StateDictionary(golden)
    let config = try configuration(golden)
    let device = Device(try CPUExecutor(threads: 1))
    for entry in state.entries {
      var shapes = [[], [0], [1], [3], entry.tensor.shape + [1], Array(entry.tensor.shape.dropLast())]
      for axis in entry.tensor.shape.indices {
        for extent in [0, 1, 2, 3, 5, 65, 1 << 20] {
          var shape = entry.tensor.shape
          shape[axis] = extent
          shapes.append(shape)
        }
      }
      for shape in shapes where shape != entry.tensor.shape {
        let changed = state.adding(entry.name, try Tensor(zeros: .float32, shape))
        for configuration in [config, nil] {
          let hints = PublicHints(ofGolden: name)
          do {
            let found = try PublicCheckpoint(changed, configuration: configuration, hints: hints)
            let network = try found.network(on: device)
            // Only a vocabulary, or a number of positions, may be another.
            #expect(entry.name.contains("embeddings"), "\(entry.name) \(shape) \(network.settings)")
          } catch { #expect(error is ModelError || error is FormatError, "\(error)") }
        }
      }
    }
  }

  /// What is refused, and the words.
  @Test func whatIsNotKnownIsNamed() throws {
    let golden = try GoldenCase("r10-lm-hyena")
    let state = try StateDictionary(golden)
    let config = try configuration(golden)
    let three = try Tensor(zeros: .float32, [3])
    func refusal(_ state: StateDictionary, _ hints: PublicHints? = nil, config: JSONNode?) throws -> String {
      message {
        let found = try PublicCheckpoint(state, configuration: config, hints: hints ?? hyenaHints())
        _ = try found.network(on: Device(CPUExecutor(threads: 1)))
      }
    }
    func refusal(_ state: StateDictionary) throws -> String { try refusal(state, config: config) }
    #expect(try refusal(state).isEmpty)
    #expect(try refusal(state, PublicHints(), config: config).contains("Say --window-shift"))
    #expect(try refusal(state, hyenaHints(), config: nil).contains("say --window or --no-window"))
    #expect(
      try refusal(state.adding("backbone.layers.0.mixer.gate", three)).contains(
        "1 tensors such as backbone.layers.0.mixer.gate have no place"))
    #expect(
      try refusal(state.without("backbone.ln_f.bias")).contains("there is no tensor backbone.ln_f.bias"))
    #expect(
      try refusal(state.adding("backbone.ln_f.bias", three)).contains(
        "tensor backbone.ln_f.bias has shape [3]"))
    #expect(
      try refusal(state.adding("lm_head.weight", try Tensor(zeros: .float32, [20, 16]))).contains(
        "lm_head.weight are not those of backbone.embeddings"))
    #expect(
      try refusal(state.adding("\(Self.filter).modulation.deltas", try Tensor(zeros: .float32, [1, 1, 16])))
        .contains("modulation.deltas are not rates of decay"))
    #expect(
      try refusal(state.adding("\(Self.filter).pos_emb.t", try Tensor(zeros: .float32, [1, 32, 1])))
        .contains("pos_emb.t are not lags"))
    #expect(
      try refusal(
        state.adding("\(Self.filter).implicit_filter.3.freq", try Tensor(zeros: .float32, [1, 16]))
      )
      .contains("implicit_filter.3.freq are not those of"))
    #expect(try refusal(state.renamed { "ema." + $0 }.joined(state)).contains("the number of networks"))
    #expect(
      try refusal(state.adding("bert.encoder.layer.0.attention.filter_fn.bias", three)).contains("filter_fn"))
    #expect(try refusal(state.renamed { _ in "blocks.0.weight" }).contains("no published layout"))
    #expect(
      try refusal(state.renamed { $0.replacingOccurrences(of: "layers.1", with: "layers.2") }).contains(
        "the layers of state is [0, 2]"))
    for (text, words) in [
      (#"{"d_model": 17}"#, "d_model is 17 in c; allowed is 16"),
      (#"{"n_layer": 3}"#, "n_layer is 3"), (#"{"d_inner": 64}"#, "d_inner is 64"),
      (#"{"layer": {"l_max": 64}}"#, "l_max is 64"), (#"{"layer": {"order": 3}}"#, "order is 3"),
      (#"{"layer_norm_epsilon": 1e-6}"#, "layer_norm_epsilon: expected 1e-5"),
      (#"{"layer": {"num_heads": 2}}"#, "num_heads: expected 1"),
      (#"{"vocab_size": 99}"#, "vocab_size is 99; allowed is at most the 20 rows"),
    ] {
      var hints = hyenaHints()
      hints.hasWindow = true
      let node = JSONNode(try JSON.parse(text, file: "c"), file: "c")
      #expect(try refusal(state, hints, config: node).contains(words), "\(text)")
    }
    let attention = try StateDictionary(GoldenCase("r10-lm-hybrid"))
    #expect(try refusal(attention, hints(), config: nil).contains("how many heads attention has"))
    #expect(
      try refusal(attention, PublicHints(), config: configuration(GoldenCase("r10-lm-hybrid"))).contains(
        "Say --longest"))
    #expect(
      try refusal(
        attention.adding("backbone.layers.1.mixer.rotary_emb.inv_freq", three), hints(), config: nil
      )
      .contains("rotary positions (layer 1)"))
  }
}

extension PublicCheckpointTests.StateDictionary {
  fileprivate func joined(_ other: Self) -> Self {
    var copy = self
    copy.entries += other.entries
    return copy
  }
}

extension PublicHints {
  /// What the tensors and the configuration of a reference network leave open.
  init(ofGolden name: String) {
    self.init()
    switch name {
    case "hyena": (hasWindow, windowShift) = (true, 0)
    case "attention": heads = 2
    case "hybrid": (heads, longest) = (2, 24)
    default: longest = 24
    }
  }
}
