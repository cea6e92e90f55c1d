import TestSupport
import Testing

@testable import Models
@testable import Tensors

/// Attention a part of the queries at a time, and position by position, against all at once.
@Suite struct SelfAttentionTests {
  private func layer(_ device: Device, isCausal: Bool) throws -> (SelfAttention, Variable) {
    let layer = try SelfAttention(
      ParameterSet(NetworkJudge.source(), on: device).root, width: 12, heads: 3, isCausal: isCausal,
      dropout: 0,
      deviation: 0.1)
    var generator = SeededGenerator(seed: 9)
    let input = (0..<2 * 150 * 12).map { _ in Float.random(in: -2...2, using: &generator) }
    return (layer, try device.constant(input, [2, 150, 12]))
  }

  @Test(arguments: [true, false], [1, 2 * 3 * 150 * 7, 2 * 3 * 150 * 149, 1 << 24])
  func fewScoresAtATimeGiveTheSame(isCausal: Bool, most: Int) throws {
    for device in try parityDevices() {
      var (layer, u) = try layer(device, isCausal: isCausal)
      let whole = NetworkJudge.doubles(try device.dense(layer(u).value))
      layer.mostScores = most
      let parts = try device.evaluating { NetworkJudge.doubles(try device.dense(layer(u).value)) }
      #expect(relativeError(parts, whole) < 1e-6)
    }
  }

  /// Past the room that keys and values have at first, twice.
  @Test func stepsGiveWhatTheWholeGives() throws {
    for device in try parityDevices() {
      let (layer, u) = try layer(device, isCausal: true)
      try device.evaluating {
        let whole = try layer(u)
        let (_, decoder) = try layer.begun(u.sliced(axis: 1, 0..<3), capacity: 150)
        for position in 3..<150 {
          let y = try decoder.step(u.sliced(axis: 1, position..<position + 1))
          let expected = try device.dense(whole.sliced(axis: 1, position..<position + 1).value)
          #expect(
            relativeError(NetworkJudge.doubles(try device.dense(y.value)), NetworkJudge.doubles(expected))
              < 1e-5)
        }
      }
    }
  }
}
