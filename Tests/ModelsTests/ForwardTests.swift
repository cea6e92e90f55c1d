import Kernels
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// Networks that only run: with what parameters give kept, and products that do what follows them, as networks that train compute.
@Suite struct ForwardTests {
  private enum Kind: String, CaseIterable { case monarchMixer, hyena, hyenaOfOrderThree, transformer }

  private func network(_ kind: Kind, longest: Int, _ device: Device) throws -> (
    ParameterSet, (Variable) throws -> Variable
  ) {
    let parameters = ParameterSet(NetworkJudge.source(), on: device)
    func hyena(order: Int) throws -> any SequenceMixer {
      try SequenceSettings.Mixer.hyena(
        order: order, filterWidth: 5, features: 3, frequency: 3, hasWindow: true
      ).causalOperator(width: 8, longest: longest, parameters)
    }
    switch kind {
    case .monarchMixer:
      var settings = MonarchMixerSettings(
        vocabularySize: 7, width: 8, layers: 2, feedForward: 12, longest: longest)
      (settings.filterWidth, settings.features, settings.frequency) = (5, 3, 3)
      settings.dropout = 0
      return (parameters, try MaskedLanguageModel(settings, parameters).layers)
    case .hyena: return (parameters, try hyena(order: 2).callAsFunction)
    case .hyenaOfOrderThree: return (parameters, try hyena(order: 3).callAsFunction)
    case .transformer:
      var settings = TransformerEncoder.Settings(width: 8, layers: 2)
      settings.heads = 2
      return (parameters, try TransformerEncoder(settings, parameters).callAsFunction)
    }
  }

  private func states(_ length: Int, _ device: Device) throws -> Variable {
    var generator = SeededGenerator(seed: 11)
    let numbers = (0..<2 * length * 8).map { _ in Float.random(in: -1...1, using: &generator) }
    return try device.constant(numbers, [2, length, 8])
  }

  @Test(arguments: Kind.allCases, [5, 64, 131])
  private func evaluatingIsAsRecording(kind: Kind, length: Int) throws {
    let exact = NetworkJudge.exactDevice()
    let expected = NetworkJudge.doubles(try network(kind, longest: 131, exact).1(states(length, exact)).value)
    let cores = try CPUExecutor(threads: 2)
    let machines: [(Device, Double)] = [
      // Sums of some hundred products in float32; some dozen roundings to eight bits.
      (Device(cores), 1e-4), (Device(DeviceExecutor(cores), factors: .bfloat16), 0.04),
    ]
    for (device, bound) in machines where kind != .transformer || length < 100 || device.factors != .float32 {
      let (parameters, forward) = try network(kind, longest: 131, device)
      let input = try states(length, device).converted(to: device.factors)
      func error() throws -> Double {
        let found = try device.evaluating { try forward(input) }
        return relativeError(try device.numbers(found.value).map(Double.init), expected)
      }
      #expect(try error() < bound)
      device.keepsWhatParametersGive = true
      for _ in 0..<2 { #expect(try error() < bound) }
      // Filters are made once: kernels of theirs, with sines, run no more.
      let profile = cores.profile
      profile.isOn.store(true, ordering: .relaxed)
      let kept = try error()
      profile.isOn.store(false, ordering: .relaxed)
      let sines = profile.entries.filter { $0.name.hasPrefix("monarch_spectrum") }
      profile.reset()
      #expect(kept < bound && sines.isEmpty)
      // What was kept is forgotten when parameters are written.
      for parameter in parameters.parameters where parameter.group.isTrained {
        let numbers = try device.numbers(parameter.variable.value)
        try parameter.variable.assign(numbers.map { -$0 })
      }
      #expect(try error() > 0.3)
      for parameter in parameters.parameters where parameter.group.isTrained {
        let numbers = try device.numbers(parameter.variable.value)
        try parameter.variable.assign(numbers.map { -$0 })
      }
      #expect(try error() < bound)
    }
  }

  @Test func gradientsOfTransformerEncoders() throws {
    let judge = NetworkJudge { parameters in
      var settings = TransformerEncoder.Settings(width: 8, layers: 1)
      settings.heads = 2
      let device = parameters.device
      let y = try TransformerEncoder(settings, parameters)(states(3, device))
      let weights = try device.constant((0..<48).map { Float($0 % 7) - 3 }, [2, 3, 8])
      return try (y * weights).sum()
    }
    try judge.expectDifferenceQuotients()
  }
}
