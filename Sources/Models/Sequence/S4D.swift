internal import Glibc
internal import Kernels
internal import Tensors

/// S4D: diagonal state spaces for each channel, then GELU and a linear layer.
///
/// Gu et al., “On the parameterization and initialization of diagonal state space models”, 2022, arXiv:2206.11893.
struct S4D: SequenceMixer {
  /// What a layer is built with.
  struct Settings: Sendable, Hashable {
    /// N; N/2 complex modes, their poles shared by all channels.
    var states = 64
    /// State spaces for each of the layer's channels.
    var sets = 1
    /// Whether there are state spaces that run backwards too.
    var isTwoSided = false
    /// Whether the linear layer is twice as wide and its second half gates the first.
    var isGated = false
    /// Share of numbers dropped before the linear layer.
    var dropout: Float = 0
  }

  let settings: Settings
  let modes: DiagonalFilter.Modes
  let skip: Variable
  let output: AffineLayer

  init(_ scope: ParameterScope, width: Int, settings: Settings) throws {
    self.settings = settings
    let (half, sets) = (settings.states / 2, settings.sets)
    skip = try scope("D", [sets, width], .normal(deviation: 1))
    let kernel = scope.scope("kernel").scope("kernel")
    let measure = DiagonalFilter.Measure.inverse
    let frequencies = (0..<half).map { measure.frequency($0, states: settings.states) }
    let c = try kernel(
      "C", [settings.isTwoSided ? 2 * sets : sets, width, half, 2], .residues(frequencies))
    let logStep = try kernel("log_dt", [width], .logStep, .stateSpace)
    let decay = try kernel("log_w_real", [1, half], .constant(Float(log(0.5 + 1e-4))), .stateSpace)
    let frequency = try kernel("w_imag", [1, half], .values { frequencies[$0] }, .stateSpace)
    modes = DiagonalFilter.Modes(logStep: logStep, logDecay: decay, frequency: frequency, residues: [c])
    let linear = scope.scope("output_linear")
    output = try AffineLayer(
      settings.isGated ? linear.scope("0") : linear, inputs: sets * width,
      outputs: settings.isGated ? 2 * width : width)
  }

  func callAsFunction(_ u: Variable) throws -> Variable {
    let (d, sets) = (u.shape[2], settings.sets)
    let filters = try u.device.precisely {
      try self.filters(length: u.shape[1], sets: settings.isTwoSided ? 2 * sets : sets)
    }
    let channels = try u.channels(times: sets, isRounded: true)
    let y = try channels.convolvedBothWays(
      filters.sliced(axis: 0, 0..<sets * d),
      back: settings.isTwoSided ? filters.sliced(axis: 0, sets * d..<2 * sets * d) : nil,
      skip: skip.reshaped([sets * d]))
    let mixed = try output.positions(of: y.activated(.gelu).dropout(settings.dropout))
    return settings.isGated ? try mixed.gated() : mixed
  }

  /// `[sets · D, length]`.
  private func filters(length: Int, sets: Int) throws -> Variable {
    let filter = DiagonalFilter(discretisation: .zeroOrderHold)
    guard sets > 1 else { return try filter(modes, length: length) }
    return try .joined(
      (0..<sets).map { set in
        var part = modes
        part.residues = try modes.residues.map { try $0.sliced(axis: 0, set..<set + 1) }
        return try filter(part, length: length)
      }, axis: 0)
  }
}

extension Initialiser {
  /// C · B with C complex Gaussian of variance 1 and B Gaussian, scaled so that outputs begin with about the size of inputs.
  static func residues(_ frequencies: [Float]) -> Initialiser {
    // With B standard and A as above, Σ |B / A|² is about Σ 1 / |A|².
    let sum = frequencies.reduce(0.0) { $0 + 1 / (0.25 + Double($1) * Double($1)) }
    return .normal(deviation: Float((0.5 / (2 * sum)).squareRoot()))
  }
}
