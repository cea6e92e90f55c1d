import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// Mixers at lengths that take each of the long convolutions' forms, as a GPU runs them: 16-bit factors, memory apart, transforms by
/// matrices. The cores' own transforms in float32 are the judge.
@Suite struct LongDeviceTests {
  private static let mixers: [SequenceSettings.Mixer] =
    [
      .h3(states: 8, headWidth: 1), .h3(states: 8, headWidth: 4), .s4d(states: 8),
      .s4d(states: 8, sets: 2, isGated: true), .attention,
      .hyena(order: 2, filterWidth: 16, features: 5, frequency: 5, hasWindow: true),
      .hyena(order: 3, filterWidth: 16, features: 5, frequency: 5, hasWindow: true),
      .longConv(LongConvolutionSettings()), .longConv(Self.averaged),
      .monarchMixer(filterWidth: 16, features: 5, frequency: 5, normalises: true),
    ] + SequenceSettings.Mixer.listedExamples

  private static var averaged: LongConvolutionSettings {
    var settings = LongConvolutionSettings()
    (settings.smoothing, settings.sets, settings.initial) = (.average, 1, .decaying)
    return settings
  }

  private struct Case: CustomStringConvertible, Sendable {
    var mixer: SequenceSettings.Mixer
    var isCausal: Bool
    var length: Int
    var description: String { "\(mixer.name) \(length)\(isCausal ? "" : " two-sided")" }
  }

  private static let cases = mixers.flatMap { mixer in
    [true, false].filter { $0 || mixer.canBeTwoSided }.flatMap { isCausal in
      (["hyena", "longconv"].contains(mixer.name) ? [300, 9000, 17_000] : [300, 9000]).map {
        Case(mixer: mixer, isCausal: isCausal, length: $0)
      }
    }
  }

  private func numbers(_ count: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
  }

  /// The result, and gradients of the input and of parameters.
  private func run(_ c: Case, on device: Device) throws -> [(name: String, numbers: [Double])] {
    let (width, parameters) = (8, ParameterSet(.drawn(seed: 5), on: device))
    let mixer = try c.mixer.make(
      parameters.root,
      MixerContext(width: width, longest: c.length, heads: 2, isCausal: c.isCausal, deviation: 0.2))
    let u = Variable(
      try device.tensor(numbers(c.length * width, seed: 1), [1, c.length, width]), on: device,
      needsGradient: true)
    let y = try mixer(u)
    let weights = try device.constant(numbers(y.value.count, seed: 9), y.shape)
    try (y * weights).sum().backward()
    let leaves = [("u", u)] + parameters.parameters.map { ($0.name, $0.variable) }
    let found = [("y", y.value)] + leaves.compactMap { name, leaf in leaf.gradient.map { (name, $0) } }
    return try found.map { name, tensor in (name, try device.numbers(tensor).map(Double.init)) }
  }

  @Test(arguments: cases) private func agreesWithTheCores(c: Case) throws {
    let exact = try run(c, on: Device(CPUExecutor(threads: 2)))
    let found = try run(c, on: Device(DeviceExecutor(CPUExecutor(threads: 2)), factors: .bfloat16))
    #expect(found.map(\.name) == exact.map(\.name))
    for (a, b) in zip(found, exact) {
      // Rounded to eight bits many times over. What is lost between chunks is more than that in LongConv, whose filters do not decay.
      #expect(relativeError(a.numbers, b.numbers) < 0.1, "\(a.name)")
    }
  }
}
