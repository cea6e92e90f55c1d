internal import Kernels
internal import Tensors

/// LongConv: convolutions with filters as long as the sequences, GELU, a linear layer and a gate.
///
/// Fu et al., “Simple hardware-efficient long convolutions for sequence modeling”, 2023, arXiv:2302.06646.
struct LongConv: SequenceMixer {
  /// What lies beyond the ends of a sequence.
  enum Ends: Sendable, Hashable {
    /// Nothing depends on what comes later.
    case causal
    /// A filter of its own for what comes later.
    case twoSided
    /// One filter; taps from L + 1 on reach later positions, as in the original's transforms of 2L when its filters are longer
    /// than the sequences.
    case wrapped
  }

  /// What a layer is built with.
  struct Settings: Sendable, Hashable {
    /// How it treats the ends.
    var ends = Ends.causal
    /// Taps of its filters.
    var longest = 1024
    /// What they are made of.
    var filter = LongConvolutionSettings()
    /// Share of numbers dropped before the linear layer.
    var dropout: Float = 0
  }

  let settings: Settings
  let filter: LongFilter
  let skip: Variable
  let output: AffineLayer
  let transforms: ButterflyConvolution?

  init(_ scope: ParameterScope, width: Int, settings: Settings) throws {
    self.settings = settings
    let sets = settings.filter.sets
    skip = try scope("D", [sets, width], .normal(deviation: 1))
    filter = try LongFilter(
      scope.scope("kernel"), sets: settings.ends == .twoSided ? 2 * sets : sets, channels: width,
      longest: settings.longest, settings: settings.filter)
    transforms = try settings.filter.learnsTransform ? ButterflyConvolution(scope) : nil
    output = try AffineLayer(
      scope.scope("output_linear").scope("0"), inputs: sets * width, outputs: 2 * width)
  }

  func callAsFunction(_ u: Variable) throws -> Variable {
    let (length, d, sets) = (u.shape[1], u.shape[2], settings.filter.sets)
    precondition(length <= settings.longest, "\(length) positions for filters of \(settings.longest) taps")
    let (ahead, back) = try u.device.precisely { try filters(length, d) }
    // Fixed transforms round what they take.
    let channels = try u.channels(times: sets, isRounded: transforms == nil)
    let skips = try skip.reshaped([sets * d])
    let y =
      try transforms.map { transforms in
        try u.device.precisely { try transforms(channels, ahead, back: back, skip: skips) }
      }
      ?? channels.convolvedBothWays(ahead, back: back, skip: skips)
    let inner = try y.activated(.gelu).dropout(settings.dropout)
    return try output.positions(of: inner).gated()
  }

  /// Filters of all sets for what came before and for what comes later, `[sets · D, taps]`.
  func filters(_ length: Int, _ d: Int) throws -> (ahead: Variable, back: Variable?) {
    let (all, sets, longest) = (try filter(), settings.filter.sets, settings.longest)
    func part(_ first: Int) throws -> Variable {
      try all.sliced(axis: 0, first..<first + sets).sliced(axis: 2, 0..<length)
        .reshaped([sets * d, length])
    }
    switch settings.ends {
    case .causal: return (try part(0), nil)
    case .twoSided: return (try part(0), try part(sets))
    case .wrapped:
      let tail = length + 1..<max(length + 1, min(longest, 2 * length))
      guard !tail.isEmpty else { return (try part(0), nil) }
      // Tap 2L − r is for the position r later.
      let later = try all.sliced(axis: 2, tail).reversed(axis: 2)
        .padded(axis: 2, before: 2 * length - tail.upperBound)
      return (try part(0), try later.reshaped([sets * d, length - 1]))
    }
  }
}

extension Variable {
  /// The first half of the last axis times the sigmoid of the second.
  func gated() throws -> Variable {
    let halves = try split(axis: shape.count - 1, 2)
    return try halves[0].map(halves[1]) { $0 * $1.sigmoid }
  }
}
