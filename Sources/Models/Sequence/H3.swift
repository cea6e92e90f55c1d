internal import Glibc
internal import Kernels
internal import Tensors

/// H3: a shift and a diagonal state space between gates, y = q · SSM_diag(SSM_shift(k) · v).
///
/// Fu et al., “Hungry Hungry Hippos: towards language modeling with state space models”, 2022, arXiv:2212.14052.
struct H3: SequenceMixer {
  /// Numbers that H3 is built with.
  struct Settings: Sendable, Hashable {
    /// States of each state space, N.
    var states = 64
    /// Channels that share a diagonal state space.
    var headWidth = 1
    /// Poles at the beginning.
    var measure = DiagonalFilter.Measure.linear
  }

  let settings: Settings
  let projections: [AffineLayer]
  let output: AffineLayer
  let shiftSkip: Variable
  let skip: Variable
  let shiftInput: Variable
  let shiftOutput: Variable
  let modes: DiagonalFilter.Modes

  init(_ scope: ParameterScope, width: Int, settings: Settings) throws {
    self.settings = settings
    let heads = width / settings.headWidth
    projections = try ["q_proj", "k_proj", "v_proj"].map {
      try AffineLayer(scope.scope($0), inputs: width, outputs: width)
    }
    output = try AffineLayer(scope.scope("output_linear"), inputs: width, outputs: width)
    shiftSkip = try scope("ssm_k_D", [width], .normal(deviation: 1))
    skip = try scope("D", [heads], .normal(deviation: 1))
    let n = settings.states
    let shift = scope.scope("ssm_k_kernel").scope("kernel")
    shiftInput = try shift("B", [width, n], .values { $0 % n == 0 ? 1 : 0 }, .stateSpace)
    let bound = 1 / Float(n).squareRoot()
    shiftOutput = try shift("C", [1, width, n], .uniform(-bound...bound))
    modes = try .diagonal(
      scope.scope("kernel").scope("kernel"), channels: heads, settings.states, settings.measure)
  }

  func callAsFunction(_ u: Variable) throws -> Variable { try mix(u) { _, _, _ in } }

  /// Mixed sequences.
  ///
  /// - Parameter visit: is shown the keys, those keys shifted, and the values, `[B, D, L]`.
  func mix(
    _ u: Variable, _ visit: (_ keys: Variable, _ shifted: Variable, _ values: Variable) throws -> Void
  ) throws -> Variable {
    let all = try projections.map { try $0.channels(of: u) }
    let (q, k, v) = (all[0], all[1], all[2])
    let length = u.shape[1]
    let device = u.device
    let shift = try device.precisely { try shiftFilter(taps: min(length, settings.states)) }
    let keys = try k.convolved(shift, skip: shiftSkip)
    try visit(k, keys, v)
    let filter = try device.precisely {
      try DiagonalFilter(discretisation: .bilinear)(modes, length: length)
    }
    let mixed =
      settings.headWidth == 1
      ? try keys.convolved(filter, skip: skip, gateBefore: v, gateAfter: q)
      : try heads(q, keys, v, filter)
    return try output.positions(of: mixed)
  }

  /// Taps of the shift state space: K[l] = Σ_n B[n] · C[n + l].
  func shiftFilter(taps: Int) throws -> Variable {
    let (h, n) = (shiftInput.shape[0], settings.states)
    let all = try shiftOutput.definedConvolution(shiftInput, isAdjoint: true)
    return try all.reshaped([h, n]).sliced(axis: 1, 0..<taps)
  }

  /// Heads of several channels: the state space of a head takes every product of a key with a value.
  private func heads(_ q: Variable, _ k: Variable, _ v: Variable, _ filter: Variable) throws -> Variable {
    let (b, d, length) = (q.shape[0], q.shape[1], q.shape[2])
    let (width, h) = (settings.headWidth, d / settings.headWidth)
    let products = try k.reshaped([b, h, width, 1, length]) * v.reshaped([b, h, 1, width, length])
    let count = h * width * width
    let filters = try filter.reshaped([h, 1, length]).broadcast(to: [h, width * width, length])
    let skips = try skip.reshaped([h, 1]).broadcast(to: [h, width * width])
    let convolved = try products.reshaped([b, count, length]).convolved(
      filters.reshaped([count, length]), skip: skips.reshaped([count]))
    let gated = try convolved.reshaped([b, h, width, width, length]) * q.reshaped([b, h, width, 1, length])
    return try gated.sum(axes: [2]).reshaped([b, d, length])
  }
}

extension DiagonalFilter.Modes {
  /// The modes of H3's diagonal state space, each channel with its own poles.
  static func diagonal(
    _ scope: ParameterScope, channels h: Int, _ states: Int, _ measure: DiagonalFilter.Measure
  ) throws -> Self {
    let half = states / 2
    let c = try scope("C", [1, h, half, 2], .normal(deviation: Float(0.5).squareRoot()))
    let logStep = try scope("log_dt", [h], .logStep, .stateSpace)
    let b = try scope("B", [h, half, 2], .values { $0 % 2 == 0 ? 1 : 0 }, .stateSpace)
    let decay = try scope("inv_A_real", [h, half], .constant(Float(log(0.5))), .stateSpace)
    let frequency = try scope(
      "A_imag", [h, half], .values { measure.frequency($0 % half, states: states) }, .stateSpace)
    return Self(logStep: logStep, logDecay: decay, frequency: frequency, residues: [c, b])
  }
}

extension Initialiser {
  /// Logarithms of time steps, uniform between those of 0.001 and 0.1.
  static var logStep: Initialiser { .uniform(Float(log(1e-3))...Float(log(0.1))) }
}
