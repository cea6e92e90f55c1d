import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// Prompts of 9,215 tokens, after which spans of 512 positions begin anew, and steps behind them as a GPU runs them, 16-bit factors and memory apart; whole sequences on the cores in
/// float32 are the judge.
@Suite struct LongSessionTests {
  private static let mixers: [SequenceSettings.Mixer] =
    [
      .h3(states: 8, headWidth: 1), .h3(states: 64, headWidth: 1), .s4d(states: 8),
      .s4d(states: 8, isGated: true), .attention,
      .hyena(order: 3, filterWidth: 16, features: 5, frequency: 5, hasWindow: true),
      .longConv(LongConvolutionSettings()),
      .monarchMixer(filterWidth: 16, features: 5, frequency: 5, normalises: true),
    ] + SequenceSettings.Mixer.listedExamples
  private static let length = 9215
  private let next: [Int32] = [3, 0, 5]

  private func network(_ mixer: SequenceSettings.Mixer, on device: Device) throws -> SequenceNetwork {
    let settings = SequenceSettings(
      vocabularySize: 13, width: 16, layers: 2, feedForward: 32, mixer: mixer, heads: 2,
      longest: Self.length + 8)
    var generator = SeededGenerator(seed: 4)
    let source = ParameterSet.Source.read { name, shape in
      let shift: Float = name.hasSuffix("log_dt") ? -2 : 0
      return (0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.5...0.5, using: &generator) + shift }
    }
    return try SequenceNetwork(settings, ParameterSet(source, on: device))
  }

  @Test(arguments: mixers) private func stepsAreThoseOfWholeSequences(mixer: SequenceSettings.Mixer) throws {
    let prompts: [[Int32]] = (0..<2).map { row in
      (0..<Self.length - row).map { Int32(($0 * $0 + 7 * $0 + row * 3) % 13) }
    }
    let device = Device(
      DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true), factors: .bfloat16)
    let session = try SequenceSession(network(mixer, on: device), capacity: Self.length + next.count)
    // Logits are for use before the next step.
    func rows(_ logits: Variable) throws -> [[Double]] {
      let (numbers, width) = (try device.numbers(logits.value), logits.shape[logits.shape.count - 1])
      return prompts.indices.map { row in numbers[row * width..<(row + 1) * width].map { Double($0) } }
    }
    var found = [try rows(session.begin(prompts))]
    for token in next { found.append(try rows(session.step(prompts.map { _ in token }))) }
    let exact = Device(try CPUExecutor(threads: 2))
    let whole = try network(mixer, on: exact)
    for (row, prompt) in prompts.enumerated() {
      let logits = try exact.evaluating { try whole.logits(prompt + next, batch: 1) }
      let (numbers, width) = (try exact.numbers(logits.value), logits.shape[2])
      for step in found.indices {
        let place = prompt.count - 1 + step
        let right = numbers[place * width..<(place + 1) * width].map { Double($0) }
        #expect(relativeError(found[step][row], right) < 0.05)
      }
    }
  }
}
