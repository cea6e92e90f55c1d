internal import Kernels
internal import Tensors

/// The sequence mixer of Monarch Mixer: a long convolution between gates, and another of the input itself beside it.
///
/// With x₁, x₂, v a projection of u behind a short causal convolution: y = W (x₂ · (K₁ ∗ (x₁ · v)) + K₂ ∗ u) + b. Both filters are
/// implicit; two-sided ones have a network for what comes later. The convolutions are exact transforms, Monarch matrices with
/// fixed factors.
///
/// Fu et al., “Monarch Mixer: a simple sub-quadratic GEMM-based architecture”, 2023, arXiv:2310.12109.
struct MonarchMixer: SequenceMixer {
  /// What a mixer is built with.
  struct Settings: Sendable, Hashable {
    /// Whether nothing depends on what comes later.
    var isCausal = false
    /// Whether the input is convolved beside the gates.
    var hasResidual = true
    /// Whether the input is normalised first.
    var normalises = false
    /// Share of numbers dropped before the long convolution and from the result.
    var dropout: Float = 0
    /// The long filters; whether there are filters for what comes later follows from ``isCausal``.
    var filter = ImplicitFilter.Settings(width: 128, trainsFeatures: true)
  }

  /// A filter and what multiplies the number itself.
  struct Convolution {
    let filter: ImplicitFilter
    let skip: Variable

    init(_ scope: ParameterScope, width: Int, settings: ImplicitFilter.Settings) throws {
      skip = try scope("bias", [width], .normal(deviation: 1))
      filter = try ImplicitFilter(scope, channels: width, settings: settings)
    }

    func callAsFunction(
      _ x: Variable, isCausal: Bool, gateBefore: Variable? = nil, gateAfter: Variable? = nil
    ) throws -> Variable {
      let length = x.shape[2]
      func filters() throws -> (ahead: Variable, back: Variable?) {
        try x.device.precisely {
          (try filter(length: length), try isCausal ? nil : filter.reverse(length: length))
        }
      }
      if let long = try skip.runningConvolution(length: length, skip: skip, filters) {
        return try long(x, gateBefore: gateBefore, gateAfter: gateAfter)
      }
      let (ahead, back) = try filters()
      return try x.convolvedBothWays(
        ahead, back: back, skip: skip, gateBefore: gateBefore, gateAfter: gateAfter)
    }
  }

  static let shortTaps = 3
  let settings: Settings
  let norm: NormLayer?
  let input: AffineLayer
  let output: AffineLayer
  let shortFilter: Variable
  let shortBias: Variable
  let convolution: Convolution
  let residual: Convolution?

  /// - Parameter deviation: of the output projection's weights when they are drawn.
  init(_ scope: ParameterScope, width: Int, settings: Settings, deviation: Float = 0.02) throws {
    self.settings = settings
    norm = try settings.normalises ? NormLayer(scope.scope("layernorm"), width: width) : nil
    input = try AffineLayer(scope.scope("in_linear"), inputs: width, outputs: 3 * width)
    output = try AffineLayer(scope.scope("out_linear"), inputs: width, outputs: width, deviation: deviation)
    let bound = 1 / Float(Self.shortTaps).squareRoot()
    let short = scope.scope("short_filter")
    shortFilter = try short("weight", [3 * width, 1, Self.shortTaps], .uniform(-bound...bound))
    shortBias = try short("bias", [3 * width], .uniform(-bound...bound))
    var filter = settings.filter
    filter.hasReverse = !settings.isCausal
    convolution = try Convolution(scope.scope("filter_fn"), width: width, settings: filter)
    residual =
      try settings.hasResidual
      ? Convolution(scope.scope("filter_fn2"), width: width, settings: filter) : nil
  }

  func callAsFunction(_ u: Variable) throws -> Variable {
    let rows = try norm.map { try $0(u) } ?? u
    return try mix(rows, input.channels(of: rows))
  }

  /// Mixed sequences.
  ///
  /// - Parameters:
  ///   - u: `[B, L, D]`, normalised where the mixer does so.
  ///   - projected: what ``input`` makes of them, `[B, 3 · D, L]`.
  ///   - visit: is shown what the filter between the gates is convolved with, `[B, D, L]`.
  func mix(_ u: Variable, _ projected: Variable, _ visit: ((Variable) throws -> Void)? = nil) throws
    -> Variable
  {
    let z = try projected.shortConvolved(
      shortFilter.reshaped([3 * u.shape[2], Self.shortTaps]), bias: shortBias)
    let parts = try z.split(axis: 1, 3)
    if let visit { try visit(parts[0] * parts[2]) }
    var y: Variable
    if settings.dropout > 0 {
      let gated = try (parts[0] * parts[2]).dropout(settings.dropout)
      y = try convolution(gated, isCausal: settings.isCausal, gateAfter: parts[1])
    } else {
      y = try convolution(
        parts[2], isCausal: settings.isCausal, gateBefore: parts[0], gateAfter: parts[1])
    }
    if let residual { y = try y + residual(u.turned(), isCausal: settings.isCausal) }
    return try output.positions(of: y).dropout(settings.dropout)
  }
}
