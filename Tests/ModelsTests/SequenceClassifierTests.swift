import Formats
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Classifiers of sequences: gradients, batches, lengths, direction, settings.
@Suite struct SequenceClassifierTests {
  static let mixers: [SequenceSettings.Mixer] =
    [
      .longConv(longConv(learns: false)), .longConv(longConv(learns: true)),
      .s4d(states: 4, sets: 2, isGated: true), .attention,
      .monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: false),
    ] + SequenceSettings.Mixer.listedExamples.filter(\.canBeTwoSided)

  private static func longConv(learns: Bool) -> LongConvolutionSettings {
    var settings = LongConvolutionSettings()
    (settings.squash, settings.dropout, settings.learnsTransform) = (0.05, 0, learns)
    return settings
  }

  private func settings(
    _ mixer: SequenceSettings.Mixer, _ input: ClassifierSettings.Input = .tokens(6), longest: Int = 7
  ) -> ClassifierSettings {
    var settings = ClassifierSettings(
      input: input, classes: 3, width: 4, layers: 2, mixer: mixer, longest: longest)
    settings.heads = mixer.hasHeads ? 2 : 1
    return settings
  }

  private let tokens: [Int32] = [0, 3, 5, 1, 1, 2, 4, 2, 2, 0, 5, 3, 1, 0]
  private var pixels: [Float] { (0..<28).map { Float(($0 * 11) % 17) / 8 - 1 } }

  @Test func batchesNormalise() throws {
    var settings = settings(.longConv(Self.longConv(learns: false)))
    (settings.normaliser, settings.pool, settings.layers) = (.batch, .last, 1)
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters).logits(tokens, batch: 2, lengths: [7, 5])
        .crossEntropy([2, 0]).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
    let device = Device(try CPUExecutor(threads: 2))
    let network = try SequenceClassifier(settings, ParameterSet(.drawn(seed: 1), on: device))
    let measured = network.parameters.parameters.filter { $0.group == .statistics }
    #expect(
      measured.map(\.name).sorted()
        == ["layers.0.norm1", "norm"].flatMap { ["\($0).running_mean", "\($0).running_var"] })
    func logits(_ batch: Int) throws -> [Float] {
      try device.numbers(network.logits(Array(tokens.prefix(7 * batch)), batch: batch).value)
    }
    // Each for itself where nothing trains, whatever else is in the batch.
    let (both, one) = try device.evaluating { (try logits(2), try logits(1)) }
    #expect(zip(one, both).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(try logits(2) != both)
  }

  /// Blocks of 4 and 8 are in no transform of 14 positions, whose size is 16 at least.
  private let unused = (0..<2).flatMap { layer in
    ["u", "k"].flatMap { side in
      [2, 4, 8].map { "layers.\(layer).mixer.block_fft_\(side).mat_\($0)" }
    }
  }

  @Test(arguments: mixers, ClassifierSettings.Norm.allCases)
  func gradientsAreDifferenceQuotients(
    mixer: SequenceSettings.Mixer, norm: ClassifierSettings.Norm
  ) throws {
    var settings = settings(mixer)
    settings.norm = norm
    // Once with feed-forward layers and positions, once without.
    (settings.feedForward, settings.learnsPositions) = norm == .pre ? (6, true) : (0, false)
    settings.pool = norm == .pre ? .mean : .last
    settings.layers = norm == .pre && mixer.name != "monarch_mixer" ? 2 : 1
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters).logits(tokens, batch: 2, lengths: [7, 5])
        .crossEntropy([2, 0]).loss
    }
    try judge.expectDifferenceQuotients(unused: unused)
    try judge.expectCoresAgree()
  }

  /// One number at a position is a factor of all weights, which on GPUs is no product of matrices.
  @Test(arguments: [1, 2]) func gradientsFromNumbers(count: Int) throws {
    let settings = settings(.s4d(states: 4, sets: 1, isGated: false), .numbers(count))
    let numbers = Array(pixels.prefix(pixels.count / 2 * count))
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters).logits(numbers, batch: 2).crossEntropy([1, 2]).loss
    }
    try judge.expectDifferenceQuotients()
    for isApart in [false, true] { try judge.expectCoresAgree(isApart: isApart) }
    try judge.expectMixedPrecisionIsNear(isApart: true)
  }

  /// Past 64 positions convolutions go through transforms; the definition judges them.
  @Test(arguments: mixers) func longerSequencesAgreeWithFloat64(mixer: SequenceSettings.Mixer) throws {
    let settings = settings(mixer, longest: 101)
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters)
        .logits((0..<202).map { Int32($0 * 5 % 6) }, batch: 2, lengths: [101, 67]).crossEntropy([2, 0]).loss
    }
    try judge.expectCoresAgree()
  }

  /// Two-sided mixers with 16-bit factors, and with memory as a GPU has it.
  @Test(arguments: mixers, [false, true]) func mixedPrecisionIsNear(
    mixer: SequenceSettings.Mixer, isApart: Bool
  ) throws {
    let settings = settings(mixer)
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters).logits(tokens, batch: 2, lengths: [7, 5])
        .crossEntropy([2, 0]).loss
    }
    try judge.expectMixedPrecisionIsNear(isApart: isApart)
    if isApart { try judge.expectCoresAgree(isApart: true) }
  }

  private func network(_ settings: ClassifierSettings) throws -> (SequenceClassifier, Device) {
    let device = Device(try CPUExecutor(threads: 2))
    return (try SequenceClassifier(settings, ParameterSet(NetworkJudge.source(), on: device)), device)
  }

  @Test(arguments: mixers, [1, 2, 7]) func aBatchIsItsSequences(
    mixer: SequenceSettings.Mixer, length: Int
  ) throws {
    let (network, device) = try network(settings(mixer))
    func logits(_ tokens: [Int32], _ batch: Int) throws -> [Float] {
      try device.evaluating { try device.numbers(network.logits(tokens, batch: batch).value) }
    }
    let rows = [Array(tokens[..<length]), Array(tokens[7..<7 + length])]
    let both = try logits(rows[0] + rows[1], 2)
    for row in 0..<2 {
      #expect(zip(try logits(rows[row], 1), both[row * 3..<row * 3 + 3]).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  private static let causalMixers =
    mixers.filter { $0 != .longConv(longConv(learns: true)) } + [
      .h3(states: 8, headWidth: 2),
      .hyena(order: 2, filterWidth: 6, features: 3, frequency: 3, hasWindow: true),
    ] + SequenceSettings.Mixer.listedExamples.filter { !$0.canBeTwoSided }

  /// The last position of a causal classifier knows no filling; the first of a two-sided one knows every position.
  @Test(arguments: causalMixers)
  func causalOnesSeeNoFilling(mixer: SequenceSettings.Mixer) throws {
    var causal = settings(mixer, longest: 100)
    (causal.isCausal, causal.pool) = (true, .last)
    for length in [7, 100] {
      let (network, device) = try network(causal)
      let all = (0..<length).map { Int32($0 * 5 % 6) }
      let filled = all.enumerated().map { $0 < length - 2 ? $1 : 0 }
      let (long, short) = (
        try device.numbers(network.logits(filled, batch: 1, lengths: [length - 2]).value),
        try device.numbers(network.logits(Array(all[..<(length - 2)]), batch: 1).value)
      )
      #expect(zip(long, short).allSatisfy { abs($0 - $1) < 1e-4 })
    }
    guard mixer.canBeTwoSided else { return }
    var both = settings(mixer)
    both.pool = .first
    let (network, device) = try network(both)
    let before = try device.numbers(network.logits(Array(tokens[..<7]), batch: 1).value)
    for place in 0..<7 {
      var changed = Array(tokens[..<7])
      changed[place] = (changed[place] + 1) % 6
      let after = try device.numbers(network.logits(changed, batch: 1).value)
      #expect(zip(before, after).contains { abs($0 - $1) > 1e-6 })
    }
  }

  @Test func settingsSurviveTheirObject() throws {
    for mixer in Self.mixers {
      for input in [ClassifierSettings.Input.tokens(18), .numbers(3)] {
        var settings = settings(mixer, input)
        #expect(try ClassifierSettings(JSONNode(settings.json, file: "x")) == settings)
        (settings.feedForward, settings.feedForwardKind) = (8, .blockDiagonal(blocks: 2))
        (settings.norm, settings.pool, settings.learnsPositions) = (.post, .last, true)
        (settings.dropout, settings.isCausal) = (0.25, false)
        #expect(try ClassifierSettings(JSONNode(settings.json, file: "x")) == settings)
        guard case .numbers = input else { continue }
        settings.patches = PicturePatches(side: 2, row: 6)
        settings.feedForwardKind = .blockDiagonal(blocks: 2, isGated: false)
        #expect(try ClassifierSettings(JSONNode(settings.json, file: "x")) == settings)
      }
    }
  }

  /// Pictures of 4 by 6 pixels of 2 channels in patches of 2 by 2: what sequences of six positions of eight numbers give, which are put
  /// together here one by one.
  @Test(arguments: [
    SequenceSettings.Mixer.attention,
    .monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: false),
  ])
  func patchesArePositions(mixer: SequenceSettings.Mixer) throws {
    var settings = settings(mixer, .numbers(2), longest: 6)
    (settings.feedForward, settings.feedForwardKind) = (8, .blockDiagonal(blocks: 2, isGated: false))
    (settings.learnsPositions, settings.layers) = (true, 1)
    settings.patches = PicturePatches(side: 2, row: 6)
    let pixels: [Float] = (0..<96).map { (place: Int) -> Float in Float((place * 29) % 31) / 16 - 1 }
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters).logits(pixels, batch: 2).crossEntropy([2, 0]).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
    var plain = settings
    (plain.patches, plain.input) = (nil, .numbers(8))
    var patches: [Float] = []
    for picture in 0..<2 {
      for (top, left): (Int, Int) in [(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)] {
        for (y, x): (Int, Int) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
          let row: Int = picture * 4 + top + y
          let place: Int = (row * 6 + left + x) * 2
          patches += pixels[place..<place + 2]
        }
      }
    }
    let (network, device) = try network(settings)
    let (other, _) = try self.network(plain)
    #expect(
      try device.numbers(network.logits(pixels, batch: 2).value)
        == other.parameters.device.numbers(other.logits(patches, batch: 2).value))
  }

  /// What patches may not be, and what a recipe is told.
  @Test(
    arguments: [
      (["patch": 3], 100, "a divisor of 10"), (["patch": 2], 99, "picture_row"),
      (["patch": 2, "picture_row": 7], 98, "a divisor of 7 and of 14"),
      (["patch": 2, "picture_row": 8], 100, "a divisor of the data's 100 pixels"),
      (["picture_row": 10], 100, "since there is no patch"), (["patch": 0], 100, "patch"),
      (["patch": 5000], 100, "patch"), (["patch": 2, "longest": 24], 100, "at least the data's 25"),
    ] as [(JSON, Int, String)])
  func badPatchesAreRefused(changes: JSON, pixels: Int, message: String) throws {
    let size: JSON = ["width": 4, "layers": 2, "mixer": "longconv"]
    func settings(_ changes: JSON, _ input: ClassifierSettings.Input) throws -> ClassifierSettings {
      let object = JSON.object(try #require(JSONObject(size.object!.members + changes.object!.members)))
      return try ClassifierSettings(
        JSONNode(object, file: "recipe"), input: input, classes: 10, longest: pixels)
    }
    let error = try #require(throws: FormatError.self) { try settings(changes, .numbers(3)) }
    #expect("\(error)".contains(message), "\(error)")
    let whole = try settings(["patch": 1, "picture_row": .integer(pixels)], .numbers(3))
    #expect(whole.longest == pixels && whole.patches == PicturePatches(side: 1, row: pixels))
    let tokens = try #require(throws: FormatError.self) { try settings(["patch": 2], .tokens(9)) }
    #expect("\(tokens)".contains("the data are tokens"), "\(tokens)")
  }

  /// What a recipe may not say, and what it is told.
  @Test(
    arguments: [
      (["direction": "both", "mixer": "hyena"], "direction causal, or a mixer that has a two-sided form"),
      (["mixer": ["longconv": ["learned_transform": true]], "direction": "causal"], "no learned_transform"),
      (["mixer": "longconv", "heads": 2], "no such key, since no layer has attention"),
      (["mixer": "longconv", "mlp": "dense"], "no such key, since feed_forward is 0"),
      (["mixer": "longconv", "feed_forward": 8, "mlp": ["monarch": ["blocks": 4]]], "square divides 4"),
      (["mixer": "attention", "heads": 3], "a divisor of the width, 4"),
      (["mixer": "longconv", "pool": "max"], "one of mean, first, last"),
      (["mixer": ["longconv": ["lambda": 1]]], "an unknown key"),
      (["mixer": ["longconv": ["squash": -1]]], "at least 0"),
      (["mixer": ["linear_attention": ["features": 0]]], "features"),
      (["mixer": "longconv", "channels": 3], "no such key, since the data are tokens"),
      (["mixer": "longconv", "classes": 9], "the data's 10"),
      (["mixer": "longconv", "longest": 9], "at least the data's 2000"),
      (["mixer": "longconv", "vocabulary": 9], "at least the 18 tokens of the data"),
      (["mixer": "mamba"], "one of h3, s4d"),
      (["mixer": "longconv", "depth": 3], "an unknown key"),
    ] as [(JSON, String)])
  func badSettingsAreRefused(changes: JSON, message: String) throws {
    let size = [JSONObject.Member(key: "width", value: 4), JSONObject.Member(key: "layers", value: 2)]
    let object = JSON.object(try #require(JSONObject(size + changes.object!.members)))
    let error = try #require(throws: FormatError.self) {
      try ClassifierSettings(
        JSONNode(object, file: "recipe"), input: .tokens(18), classes: 10, longest: 2000)
    }
    #expect("\(error)".contains(message), "\(error)")
  }
}
