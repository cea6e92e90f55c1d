import Formats
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// M2-BERT: gradients, batches, padding, settings.
@Suite struct MonarchMixerNetworkTests {
  private func settings(normalisesFirst: Bool = false, layers: Int = 2) -> MonarchMixerSettings {
    var settings = MonarchMixerSettings(
      vocabularySize: 7, width: 4, layers: layers, feedForward: 6, longest: 9)
    (settings.feedForwardBlocks, settings.filterWidth, settings.features) = (2, 5, 3)
    (settings.frequency, settings.dropout, settings.normalisesFirst) = (3, 0, normalisesFirst)
    return settings
  }

  private let tokens: [Int32] = [1, 3, 5, 2, 1, 6, 4, 2, 2, 5, 5, 3, 1, 4]
  private let targets: [Int32] = [0, 5, 0, 0, 2, 4, -100, 0, 0, 5, 3, 0, 0, 2]

  @Test(arguments: [false, true]) func gradientsAreDifferenceQuotients(normalisesFirst: Bool) throws {
    let judge = NetworkJudge { parameters in
      try MaskedLanguageModel(
        settings(normalisesFirst: normalisesFirst, layers: normalisesFirst ? 1 : 2), parameters
      )
      .loss(tokens, targets: targets, batch: 2).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
    try judge.expectCoresAgree(isApart: true)
    try judge.expectMixedPrecisionIsNear(isApart: false)
    try judge.expectMixedPrecisionIsNear(isApart: true)
  }

  @Test(arguments: [MonarchMixerClassifier.Pool.first, .mean])
  func gradientsOfClassifiers(pool: MonarchMixerClassifier.Pool) throws {
    let judge = NetworkJudge { parameters in
      try MonarchMixerClassifier(settings(layers: 1), classes: 3, pool: pool, parameters)
        .logits(tokens, batch: 2).crossEntropy([2, 0]).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
  }

  @Test(arguments: [1, 2, 7]) func aBatchIsItsSequencesAndEveryPositionSeesAll(length: Int) throws {
    // Filters decay so fast that float32 does not see the farthest positions.
    let device = NetworkJudge.exactDevice()
    let network = try MaskedLanguageModel(settings(), ParameterSet(NetworkJudge.source(), on: device))
    func logits(_ tokens: [Int32], _ batch: Int) throws -> [Double] {
      try device.evaluating { NetworkJudge.doubles(try network.logits(tokens, batch: batch).value) }
    }
    let rows = [Array(tokens[..<length]), Array(tokens[7..<7 + length])]
    let both = try logits(rows[0] + rows[1], 2)
    for row in 0..<2 {
      let one = try logits(rows[row], 1)
      #expect(zip(one, both[row * length * 7..<(row + 1) * length * 7]).allSatisfy { abs($0 - $1) < 1e-12 })
      for place in 0..<length {
        var changed = rows[row]
        changed[place] = changed[place] % 6 + 1
        let other = try logits(changed, 1)
        for position in 0..<length {
          let part = position * 7..<(position + 1) * 7
          #expect(part.contains { abs(one[$0] - other[$0]) > 1e-12 })
        }
      }
    }
  }

  /// Filling is mixed like any token, as in the original; only the mean leaves it out.
  @Test func paddingChangesWhatStandsBesideIt() throws {
    let device = Device(try CPUExecutor(threads: 2))
    let network = try MaskedLanguageModel(settings(), ParameterSet(NetworkJudge.source(), on: device))
    let short = try device.numbers(network.logits([1, 3, 5], batch: 1).value)
    let long = try device.numbers(network.logits([1, 3, 5, 0, 0], batch: 1).value)
    #expect(zip(short, long).contains { abs($0 - $1) > 1e-3 })
  }

  @Test func settingsSurviveTheirObject() throws {
    for normalisesFirst in [false, true] {
      let settings = settings(normalisesFirst: normalisesFirst)
      #expect(try MonarchMixerSettings(JSONNode(settings.json, file: "x")) == settings)
    }
    #expect(throws: FormatError.self) {
      try MonarchMixerSettings(
        JSONNode(["vocabulary": 7, "width": 6, "layers": 1, "longest": 4, "blocks": 4], file: "x"))
    }
  }
}
