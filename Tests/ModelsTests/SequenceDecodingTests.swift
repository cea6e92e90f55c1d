import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Networks that continue sequences position by position: steps give what whole sequences give.
@Suite struct SequenceDecodingTests {
  static let mixers: [SequenceSettings.Mixer] = [
    .h3(states: 8, headWidth: 1), .h3(states: 64, headWidth: 1), .s4d(states: 6), .attention,
    .hyena(order: 2, filterWidth: 6, features: 3, frequency: 3, hasWindow: true),
    .hyena(order: 3, filterWidth: 6, features: 5, frequency: 3, hasWindow: false),
    .s4d(states: 6, isGated: true), .longConv(LongConvolutionSettings()),
    .monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: false),
    .monarchMixer(filterWidth: 6, features: 5, frequency: 3, normalises: true), .linearAttention(features: 3),
  ]

  private func network(_ mixer: SequenceSettings.Mixer, on device: Device) throws -> SequenceNetwork {
    let settings = SequenceSettings(
      vocabularySize: 11, vocabularyMultiple: 8, width: 8, layers: 2, feedForward: 12, mixer: mixer,
      attentionLayers: mixer == .s4d(states: 6) ? [1] : [], heads: 2, longest: 160,
      learnsPositions: mixer == .attention, embeddingDropout: 0)
    var generator = SeededGenerator(seed: 3)
    let source = ParameterSet.Source.read { (name: String, shape: [Int]) -> [Float] in
      let shift: Float = name.hasSuffix("log_dt") ? -2 : 0
      let count = shape.reduce(1, *)
      return (0..<count).map { _ in Float.random(in: -0.5...0.5, using: &generator) + shift }
    }
    return try SequenceNetwork(settings, ParameterSet(source, on: device))
  }

  private func worstStep(_ network: SequenceNetwork, prompt: Int, steps: Int) throws -> Double {
    let (device, rows) = (network.parameters.device, network.settings.embeddingRows)
    let length = prompt + steps
    let tokens: [Int32] = (0..<2 * length).map { (n: Int) -> Int32 in Int32((n * n + n / 7) % 11) }
    let whole = try device.evaluating { try device.numbers(network.logits(tokens, batch: 2).value) }
    let session = try SequenceSession(network, capacity: length)
    func row(_ at: Int) -> [Int32] { [tokens[at], tokens[length + at]] }
    var worst = 0.0
    func compare(_ logits: Variable, at place: Int) throws {
      let found = try device.numbers(logits.value)
      for sequence in 0..<2 {
        let start = (sequence * length + place) * rows
        let a: [Double] = found[sequence * rows..<(sequence + 1) * rows].map { Double($0) }
        let b: [Double] = whole[start..<start + rows].map { Double($0) }
        worst = max(worst, relativeError(a, b))
      }
    }
    let start: [Int32] = Array(tokens[..<prompt]) + Array(tokens[length..<length + prompt])
    try compare(session.begin(start, batch: 2), at: prompt - 1)
    for place in prompt..<length { try compare(session.step(row(place)), at: place) }
    #expect(session.position == length)
    return worst
  }

  @Test(arguments: mixers, [(1, 3), (5, 70), (64, 2), (130, 5)]) func stepsAreTheWhole(
    mixer: SequenceSettings.Mixer, sizes: (Int, Int)
  ) throws {
    let network = try network(mixer, on: Device(CPUExecutor(threads: 2)))
    #expect(try worstStep(network, prompt: sizes.0, steps: sizes.1) < 1e-4)
  }

  /// In float64 nothing but the order of sums differs; sums over the past as a GPU forms them.
  @Test(arguments: mixers) func stepsAreTheWholeInFloat64(mixer: SequenceSettings.Mixer) throws {
    let network = try network(
      mixer, on: Device(ReferenceExecutor<Double>(checked: false), scalar: .float64))
    #expect(try worstStep(network, prompt: 5, steps: 4) < 1e-6)
  }

  /// As on a GPU: 16-bit factors, memory apart, the past of convolutions summed as it is written.
  @Test(arguments: mixers) func stepsAreNearTheWholeWithFactorsOf16Bits(mixer: SequenceSettings.Mixer) throws
  {
    let network = try network(
      mixer, on: Device(DeviceExecutor(CPUExecutor(threads: 2)), factors: .bfloat16))
    #expect(try worstStep(network, prompt: 70, steps: 6) < 0.05)
  }

  @Test func sessionsBeginAnew() throws {
    let device = Device(try CPUExecutor(threads: 1))
    let session = try SequenceSession(network(.h3(states: 8, headWidth: 1), on: device), capacity: 20)
    let first = try device.numbers(session.begin([1, 2, 3], batch: 1).value)
    _ = try session.step([4])
    #expect(try device.numbers(session.begin([1, 2, 3], batch: 1).value) == first)
  }

  @Test func whatHasNoStepsIsRefused() throws {
    let device = Device(try CPUExecutor(threads: 1))
    let hyena = try network(Self.mixers[4], on: device)
    #expect(hyena.longestContext == 160)
    #expect(throws: ModelError.self) { try SequenceSession(hyena, capacity: 161) }
    let heads = try SequenceSession(network(.h3(states: 8, headWidth: 2), on: device), capacity: 9)
    #expect(throws: ModelError.self) { try heads.begin([1, 2], batch: 1) }
    // Recurrences go on past what they were made for.
    #expect(try network(.h3(states: 8, headWidth: 1), on: device).longestContext == nil)
  }
}
