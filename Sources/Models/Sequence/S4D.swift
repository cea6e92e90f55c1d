internal import Glibc
internal import Kernels
internal import Tensors

/// S4D: a diagonal state space for each channel, then GELU and a linear layer.
///
/// Gu et al., “On the parameterization and initialization of diagonal state space models”, 2022, arXiv:2206.11893.
struct S4D: SequenceMixer {
  private let modes: DiagonalFilter.Modes
  private let skip: Variable
  private let output: AffineLayer
  private let dropout: Float

  /// - Parameter states: N; N/2 complex modes, their poles shared by all channels.
  init(_ scope: ParameterScope, width: Int, states: Int, dropout: Float) throws {
    self.dropout = dropout
    let half = states / 2
    skip = try scope("D", [1, width], .normal(deviation: 1))
    let kernel = scope.scope("kernel").scope("kernel")
    let measure = DiagonalFilter.Measure.inverse
    let frequencies = (0..<half).map { measure.frequency($0, states: states) }
    let c = try kernel("C", [1, width, half, 2], .residues(frequencies))
    let logStep = try kernel("log_dt", [width], .logStep, .stateSpace)
    let decay = try kernel("log_w_real", [1, half], .constant(Float(log(0.5 + 1e-4))), .stateSpace)
    let frequency = try kernel("w_imag", [1, half], .values { frequencies[$0] }, .stateSpace)
    modes = DiagonalFilter.Modes(logStep: logStep, logDecay: decay, frequency: frequency, residues: [c])
    output = try AffineLayer(scope.scope("output_linear"), inputs: width, outputs: width)
  }

  func callAsFunction(_ u: Variable) throws -> Variable {
    let filter = try u.device.precisely {
      try DiagonalFilter(discretisation: .zeroOrderHold)(modes, length: u.shape[1])
    }
    let y = try u.permuted([0, 2, 1]).convolved(filter, skip: skip.reshaped([u.shape[2]]))
    return try output.positions(of: y.activated(.gelu).dropout(dropout))
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
