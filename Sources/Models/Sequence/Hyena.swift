internal import Kernels
internal import Tensors

/// The Hyena operator of order O: v ← x_i · v and v ← k ∗ v + b · v in turn, O − 1 times, then a last gate.
///
/// Poli et al., “Hyena hierarchy: towards larger convolutional language models”, 2023, arXiv:2302.10866.
struct Hyena: SequenceMixer {
  /// What an operator is built with.
  struct Settings: Sendable, Hashable {
    /// Gates, O.
    var order = 2
    /// Taps of the short convolution.
    var shortTaps = 3
    /// The long filters.
    var filter = ImplicitFilter.Settings()
  }

  let order: Int
  let input: AffineLayer
  let output: AffineLayer
  let shortFilter: Variable
  let shortBias: Variable
  let filter: ImplicitFilter
  let skip: Variable
  let shortTaps: Int

  /// - Parameter deviation: of the output projection's weights when they are drawn.
  init(_ scope: ParameterScope, width: Int, settings: Settings, deviation: Float) throws {
    order = settings.order
    shortTaps = settings.shortTaps
    let inner = (order + 1) * width
    input = try AffineLayer(scope.scope("in_proj"), inputs: width, outputs: inner)
    output = try AffineLayer(scope.scope("out_proj"), inputs: width, outputs: width, deviation: deviation)
    let bound = 1 / Float(shortTaps).squareRoot()
    let short = scope.scope("short_filter")
    shortFilter = try short("weight", [inner, 1, shortTaps], .uniform(-bound...bound))
    shortBias = try short("bias", [inner], .uniform(-bound...bound))
    let long = scope.scope("filter_fn")
    skip = try long("bias", [width * (order - 1)], .normal(deviation: 1))
    filter = try ImplicitFilter(long, channels: width * (order - 1), settings: settings.filter)
  }

  func callAsFunction(_ u: Variable) throws -> Variable { try mix(input.channels(of: u), nil) }

  /// Mixed sequences.
  ///
  /// - Parameters:
  ///   - projected: what ``input`` makes of them, `[B, (O + 1) · D, L]`.
  ///   - visit: is shown what each long filter is convolved with, `[B, D, L]`.
  func mix(_ projected: Variable, _ visit: ((_ step: Int, _ input: Variable) throws -> Void)?) throws
    -> Variable
  {
    let (length, d) = (projected.shape[2], projected.shape[1] / (order + 1))
    let z = try projected.shortConvolved(
      shortFilter.reshaped([(order + 1) * d, shortTaps]), bias: shortBias)
    let parts = try z.split(axis: 1, order + 1)
    var made: Variable?
    // Channels of filters have the number of the convolution fastest.
    func taps(_ step: Int) throws -> Variable {
      let all =
        try made ?? z.device.precisely { try filter(length: length) }.reshaped([d, order - 1, length])
      made = all
      return try all.sliced(axis: 1, step..<step + 1).reshaped([d, length])
    }
    let skips = try skip.reshaped([d, order - 1])
    var v = parts[order]
    for step in 0..<order - 1 {
      let (gate, after) = (parts[order - 1 - step], step == order - 2 ? parts[0] : nil)
      if let visit { try visit(step, gate * v) }
      let own = try skips.sliced(axis: 1, step..<step + 1).reshaped([d])
      if let long = try skip.runningConvolution(
        length: length, step: step, skip: own, { (try taps(step), nil) })
      {
        v = try long(v, gateBefore: gate, gateAfter: after)
      } else {
        v = try v.convolved(taps(step), skip: own, gateBefore: gate, gateAfter: after)
      }
    }
    return try output.positions(of: v)
  }
}
