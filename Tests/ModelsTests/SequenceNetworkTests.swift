import Formats
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Networks that train: gradients, causality, and what published parameter totals say.
@Suite struct SequenceNetworkTests {
  static let mixers: [SequenceSettings.Mixer] =
    [
      .h3(states: 8, headWidth: 1), .h3(states: 8, headWidth: 2), .s4d(states: 6), .attention,
      .hyena(order: 2, filterWidth: 6, features: 3, frequency: 3, hasWindow: true),
      .hyena(order: 3, filterWidth: 6, features: 5, frequency: 3, hasWindow: false),
      .s4d(states: 4, sets: 2, isGated: true), .longConv(longConv()), .longConv(longConv(.average)),
      .longConv(longConv(.frequency)),
      .monarchMixer(filterWidth: 6, features: 5, frequency: 3, normalises: false),
      .monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: true),
    ] + SequenceSettings.Mixer.listedExamples

  private static func longConv(
    _ smoothing: LongConvolutionSettings.Smoothing = .none
  ) -> LongConvolutionSettings {
    var settings = LongConvolutionSettings()
    (settings.squash, settings.dropout, settings.smoothing) = (0.05, 0, smoothing)
    return settings
  }

  private func settings(_ mixer: SequenceSettings.Mixer, longest: Int = 7) -> SequenceSettings {
    SequenceSettings(
      vocabularySize: 6, vocabularyMultiple: 1, width: 4, layers: 2, feedForward: 6, mixer: mixer,
      heads: mixer.hasHeads ? 2 : 1,
      longest: longest, learnsPositions: mixer == .attention, embeddingDropout: 0)
  }

  private func network(
    _ mixer: SequenceSettings.Mixer, on device: Device, longest: Int = 7
  ) throws -> SequenceNetwork {
    try SequenceNetwork(
      settings(mixer, longest: longest), ParameterSet(NetworkJudge.source(), on: device))
  }

  private let tokens: [Int32] = [0, 3, 5, 1, 1, 2, 4, 2, 2, 0, 5, 3, 1, 0]
  private let targets: [Int32] = [3, 5, 1, 1, 2, 4, 0, 2, 0, 5, 3, 1, -100, 2]

  private func judge(_ settings: SequenceSettings) -> NetworkJudge {
    NetworkJudge { parameters in
      try SequenceNetwork(settings, parameters).logits(tokens, batch: 2).crossEntropy(targets).loss
    }
  }

  private func loss(
    _ mixer: SequenceSettings.Mixer, on device: Device, recomputes: Bool = false
  ) throws -> (value: Double, network: SequenceNetwork) {
    let network = try network(mixer, on: device)
    network.recomputesBlocks = recomputes
    let loss = try network.logits(tokens, batch: 2).crossEntropy(targets).loss
    try loss.backward()
    return (doubles(try device.executor.fetch(loss.value))[0], network)
  }

  private func doubles(_ tensor: Tensor) -> [Double] {
    NetworkJudge.doubles(tensor)
  }

  @Test(arguments: mixers) func gradientsAreDifferenceQuotients(mixer: SequenceSettings.Mixer) throws {
    try judge(settings(mixer)).expectDifferenceQuotients()
  }

  @Test(arguments: mixers) func coresAgreeWithFloat64(mixer: SequenceSettings.Mixer) throws {
    try judge(settings(mixer)).expectCoresAgree()
  }

  /// M2-GPT, and Monarch matrices in the place of dense ones.
  @Test(arguments: [
    FeedForwardKind.blockDiagonal(blocks: 2), .blockDiagonal(blocks: 2, isGated: false), .monarch(blocks: 2),
  ])
  func feedForwardKinds(kind: FeedForwardKind) throws {
    var settings = settings(.monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: false))
    (settings.feedForwardKind, settings.feedForward, settings.layers) = (kind, 8, 1)
    try judge(settings).expectDifferenceQuotients()
    try judge(settings).expectCoresAgree()
    #expect(try SequenceSettings(JSONNode(settings.json, file: "x")) == settings)
  }

  @Test(arguments: mixers) func recomputedBlocksGiveTheSameBits(mixer: SequenceSettings.Mixer) throws {
    let kept = try loss(mixer, on: Device(try CPUExecutor(threads: 2)))
    let again = try loss(mixer, on: Device(try CPUExecutor(threads: 2)), recomputes: true)
    #expect(kept.value == again.value)
    for (a, b) in zip(kept.network.parameters.parameters, again.network.parameters.parameters)
    where a.group.isTrained {
      let gradients = try [a, b].map { try $0.variable.device.numbers($0.variable.gradient!) }
      #expect(gradients[0] == gradients[1], "\(a.name)")
    }
  }

  /// Whole networks with 16-bit factors, on the cores and as a GPU does it: rows that lie apart, transforms by matrices.
  @Test(arguments: mixers, [false, true]) func mixedPrecisionIsNear(
    mixer: SequenceSettings.Mixer, isApart: Bool
  ) throws {
    try judge(settings(mixer)).expectMixedPrecisionIsNear(isApart: isApart)
  }

  /// With rows that lie apart everything but long convolutions is float32 too.
  @Test(arguments: mixers) func rowsThatLieApartAgreeWithFloat64(mixer: SequenceSettings.Mixer) throws {
    try judge(settings(mixer)).expectCoresAgree(isApart: true)
  }

  @Test(arguments: mixers, [7, 100]) func nothingDependsOnWhatComesLater(
    mixer: SequenceSettings.Mixer, length: Int
  ) throws {
    let device = Device(try CPUExecutor(threads: 2))
    let network = try network(mixer, on: device, longest: 100)
    let all = (0..<length).map { Int32($0 * 5 % 6) }
    let logits = try device.evaluating { try device.numbers(network.logits(all, batch: 1).value) }
    for cut in [1, 3, length - 1] {
      var changed = all
      for place in cut..<length { changed[place] = Int32((place * 7 + 1) % 6) }
      let other = try device.evaluating { try device.numbers(network.logits(changed, batch: 1).value) }
      let part = try device.evaluating {
        try device.numbers(network.logits(Array(all[..<cut]), batch: 1).value)
      }
      for place in 0..<cut * 6 {
        #expect(abs(logits[place] - other[place]) < 1e-4)
        #expect(abs(logits[place] - part[place]) < 1e-4)
      }
      // And it does depend on what stands there.
      #expect((cut * 6..<length * 6).contains { abs(logits[$0] - other[$0]) > 1e-3 })
    }
  }

  @Test(arguments: mixers) func aBatchIsItsSequences(mixer: SequenceSettings.Mixer) throws {
    let device = Device(try CPUExecutor(threads: 2))
    let network = try network(mixer, on: device)
    let both = try device.evaluating { try device.numbers(network.logits(tokens, batch: 2).value) }
    for row in 0..<2 {
      let one = try device.evaluating {
        try device.numbers(network.logits(Array(tokens[row * 7..<row * 7 + 7]), batch: 1).value)
      }
      #expect(zip(one, both[row * 42..<row * 42 + 42]).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  /// Totals that the papers' own modules have.
  @Test func sizesAreThePublishedOnes() throws {
    func count(_ settings: SequenceSettings) throws -> Int {
      let device = Device(try CPUExecutor(threads: 1))
      return try SequenceNetwork(settings, ParameterSet(.drawn(seed: 0), on: device)).parameters.count
    }
    var small = SequenceSettings(
      vocabularySize: 20, vocabularyMultiple: 1, width: 32, layers: 2, feedForward: 128,
      mixer: .h3(states: 64, headWidth: 1), longest: 32)
    #expect(try count(small) == 46_784)
    (small.mixer, small.learnsPositions) = (.attention, true)
    #expect(try count(small) == 27_136)
  }

  /// What a recipe may not say, and what it is told.
  @Test(
    arguments: [
      (["mixer": ["longconv": ["learned_transform": true]]], "no learned_transform"),
      (["mixer": ["longconv": ["smoothing": "median"]]], "one of none, average, frequency"),
      (["mixer": ["monarch_mixer": ["features": 4]]], "an odd number"),
      (["mixer": ["monarch_mixer": ["window": true]]], "an unknown key"),
      (["mixer": "monarch_mixer", "heads": 2], "no such key, since no layer has attention"),
      (["mixer": "linear_attention", "heads": 3], "a divisor of the width, 8"),
      (["mixer": "linear_attention", "attention_dropout": 0.1], "no such key, since no layer has attention"),
      (["mixer": "h3", "mlp": ["block_diagonal": ["blocks": 3]]], "a divisor of the width, 8"),
      (["mixer": "h3", "mlp": ["monarch": ["blocks": 4]]], "square divides 8"),
      (["mixer": "h3", "mlp": "sparse"], "one of dense, block_diagonal, monarch"),
      (["mixer": ["s4d": ["sets": 0]]], "sets"),
    ] as [(JSON, String)])
  func badSettingsAreRefused(changes: JSON, message: String) throws {
    let size = [JSONObject.Member(key: "width", value: 8), JSONObject.Member(key: "layers", value: 2)]
    let object = JSON.object(try #require(JSONObject(size + changes.object!.members)))
    let error = try #require(throws: FormatError.self) {
      try SequenceSettings(JSONNode(object, file: "recipe"), vocabulary: 18, longest: 20)
    }
    #expect("\(error)".contains(message), "\(error)")
  }

  @Test func settingsSurviveTheirObject() throws {
    for mixer in Self.mixers {
      let settings = settings(mixer)
      #expect(try SequenceSettings(JSONNode(settings.json, file: "x")) == settings)
    }
  }
}
