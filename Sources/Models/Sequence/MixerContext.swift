internal import Tensors

/// What a network's mixers share.
struct MixerContext {
  /// Numbers of a position.
  var width: Int
  /// Longest sequence.
  var longest: Int
  /// Heads of attention.
  var heads: Int
  /// Whether nothing may depend on what comes later.
  var isCausal: Bool
  /// Deviation of output projections' weights when they are drawn.
  var deviation: Float
  /// Share of attention's weights that is dropped.
  var attentionDropout: Float = 0
  /// Share of numbers dropped inside mixers that do so.
  var dropout: Float = 0
}

extension SequenceSettings.Mixer {
  /// The operator by itself, causal: `[B, L, D]` → `[B, L, D]`, projections included.
  ///
  /// - Parameters:
  ///   - width: D.
  ///   - longest: sequence.
  ///   - heads: of attention.
  ///   - parameters: where its parameters come from.
  public func causalOperator(
    width: Int, longest: Int, heads: Int = 1, _ parameters: ParameterSet
  ) throws -> any SequenceMixer {
    try make(
      parameters.root,
      MixerContext(width: width, longest: longest, heads: heads, isCausal: true, deviation: 0.02))
  }

  /// The mixer of a layer.
  func make(_ scope: ParameterScope, _ context: MixerContext) throws -> any SequenceMixer {
    let width = context.width
    precondition(context.isCausal || canBeTwoSided, "\(name) has no two-sided form")
    switch self {
    case .h3(let states, let headWidth):
      return try H3(scope, width: width, settings: H3.Settings(states: states, headWidth: headWidth))
    case .s4d(let states, let sets, let isGated):
      return try S4D(
        scope, width: width,
        settings: S4D.Settings(
          states: states, sets: sets, isTwoSided: !context.isCausal, isGated: isGated,
          dropout: context.dropout))
    case .attention:
      return try SelfAttention(
        scope, width: width, heads: context.heads, isCausal: context.isCausal,
        dropout: context.attentionDropout, deviation: context.deviation)
    case .hyena(
      let order, let filterWidth, let features, let frequency, let hasWindow, let innerLayers, let shortTaps,
      let windowShift):
      let filter = ImplicitFilter.Settings(
        features: features, width: filterWidth, innerLayers: innerLayers, frequency: frequency,
        hasWindow: hasWindow, windowShift: windowShift, longest: context.longest)
      return try Hyena(
        scope, width: width, settings: Hyena.Settings(order: order, shortTaps: shortTaps, filter: filter),
        deviation: context.deviation)
    case .longConv(let filter):
      return try LongConv(
        scope, width: width,
        settings: LongConv.Settings(
          ends: context.isCausal ? .causal : .twoSided, longest: context.longest, filter: filter,
          dropout: context.dropout))
    case .monarchMixer(let filterWidth, let features, let frequency, let normalises):
      let filter = ImplicitFilter.Settings(
        features: features, width: filterWidth, frequency: frequency, longest: context.longest)
      return try MonarchMixer(
        scope, width: width,
        settings: MonarchMixer.Settings(
          isCausal: context.isCausal, normalises: normalises, dropout: context.dropout, filter: filter),
        deviation: context.deviation)
    case .listed(let mixer): return try mixer.settings.make(scope, context)
    }
  }
}
