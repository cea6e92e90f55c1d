import TestSupport
import Testing

@testable import Models
@testable import Tensors

/// Gradients while numbers are dropped: what is drawn again on the way back must be what was drawn on the way there.
@Suite struct DropoutGradientTests {
  private static let causal: [SequenceSettings.Mixer] = [
    .attention, .hyena(order: 3, filterWidth: 6, features: 5, frequency: 3, hasWindow: true),
    .longConv(longConv(.none)),
  ]
  private static let twoSided: [SequenceSettings.Mixer] = [
    .s4d(states: 4, sets: 2, isGated: true), .longConv(longConv(.average)),
    .monarchMixer(filterWidth: 6, features: 5, frequency: 3, normalises: true),
  ]

  private static func longConv(
    _ smoothing: LongConvolutionSettings.Smoothing
  ) -> LongConvolutionSettings {
    var settings = LongConvolutionSettings()
    (settings.squash, settings.dropout, settings.smoothing) = (0.05, 0.3, smoothing)
    return settings
  }

  private let tokens: [Int32] = [0, 3, 5, 1, 1, 2, 4, 2, 2, 0, 5, 3, 1, 0]
  private let targets: [Int32] = [3, 5, 1, 1, 2, 4, 0, 2, 0, 5, 3, 1, -100, 2]

  /// Of blocks that are computed again on the way back.
  @Test(arguments: causal) private func ofLanguageModels(mixer: SequenceSettings.Mixer) throws {
    var settings = SequenceSettings(
      vocabularySize: 6, vocabularyMultiple: 1, width: 4, layers: 2, feedForward: 6, mixer: mixer,
      heads: mixer.hasHeads ? 2 : 1, longest: 7, learnsPositions: mixer == .attention, embeddingDropout: 0.3)
    (settings.residualDropout, settings.attentionDropout) = (0.3, mixer == .attention ? 0.3 : 0)
    let judge = NetworkJudge { parameters in
      let network = try SequenceNetwork(settings, parameters)
      network.recomputesBlocks = true
      return try network.logits(tokens, batch: 2).crossEntropy(targets).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
    try judge.expectCoresAgree(isApart: true)
  }

  @Test(arguments: twoSided, ClassifierSettings.Norm.allCases)
  private func ofClassifiers(mixer: SequenceSettings.Mixer, norm: ClassifierSettings.Norm) throws {
    var settings = ClassifierSettings(
      input: .tokens(6), classes: 3, width: 4, layers: 1, mixer: mixer, longest: 7)
    (settings.norm, settings.normaliser) = (norm, norm == .post ? .batch : .layer)
    (settings.dropout, settings.feedForward) = (0.3, 6)
    let judge = NetworkJudge { parameters in
      try SequenceClassifier(settings, parameters).logits(tokens, batch: 2, lengths: [7, 5])
        .crossEntropy([2, 0]).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
    try judge.expectCoresAgree(isApart: true)
  }

  @Test func ofMaskedLanguageModels() throws {
    var settings = MonarchMixerSettings(vocabularySize: 7, width: 4, layers: 1, feedForward: 6, longest: 9)
    (settings.feedForwardBlocks, settings.filterWidth, settings.features) = (2, 5, 3)
    (settings.frequency, settings.dropout, settings.normalisesFirst) = (3, 0.3, true)
    let judge = NetworkJudge { parameters in
      // Without the padding token, whose embedding gets no gradient.
      try MaskedLanguageModel(settings, parameters)
        .loss(tokens.map { max(1, $0) }, targets: targets, batch: 2).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
    try judge.expectCoresAgree(isApart: true)
  }
}
