internal import Glibc
internal import Kernels
internal import Tensors

/// Long filters whose taps are parameters: k → smoothed → squashed → some taps dropped.
///
/// Squashing takes λ off every tap's size, which keeps filters sparse in time; taps below λ are 0 and so are their gradients.
///
/// Fu et al., “Simple hardware-efficient long convolutions for sequence modeling”, 2023, arXiv:2302.06646.
struct LongFilter {
  /// Taps, or frequencies, that smoothing reaches over.
  private static let window = 7
  /// Most taps that frequencies of are smoothed: four matrices of half as many times as many numbers, 2 GiB.
  private static let mostSmoothed = 16_384
  private let settings: LongConvolutionSettings
  private let taps: Variable
  private let smoothing: FrequencySmoothing?

  /// - Parameters:
  ///   - sets: of filters, those for later positions included.
  ///   - channels: filters of a set.
  ///   - longest: taps.
  init(
    _ scope: ParameterScope, sets: Int, channels: Int, longest: Int, settings: LongConvolutionSettings
  ) throws {
    self.settings = settings
    guard settings.smoothing != .frequency || longest <= Self.mostSmoothed else {
      throw ModelError.invalid(
        key: "smoothing", value: "frequency, of filters of \(longest) taps",
        allowed: "that up to \(Self.mostSmoothed), or average")
    }
    let initial: Initialiser =
      settings.initial == .random
      ? .normal(deviation: 0.002) : .decaying(channels: channels, taps: longest)
    taps = try scope("kernel", [sets, channels, longest], initial, .filter)
    smoothing =
      try settings.smoothing == .frequency
      ? FrequencySmoothing(taps: longest, window: Self.window, on: scope.device) : nil
  }

  /// Deviation of a decaying filter's tap by place.
  static func deviation(_ place: Int, channels: Int, taps: Int) -> Float {
    let (channel, tap) = (place / taps % channels, place % taps)
    let rate = pow(Double(channels / 2), Double(channel) / Double(channels))
    return Float(0.02 * exp(-Double(tap) / Double(taps) * rate))
  }

  /// `[sets, channels, taps]`.
  func callAsFunction() throws -> Variable {
    var k = taps
    switch settings.smoothing {
    case .none: break
    case .average:
      k = try k.weighted([Float](repeating: 1 / Float(Self.window), count: Self.window))
    case .frequency: k = try smoothing.map { try $0(k) } ?? k
    }
    let squash = settings.squash
    return try k.map { k in
      (k - squash).max(k.constant(0)) - (-k - squash).max(k.constant(0))
    }.dropout(settings.dropout)
  }
}

/// Weighs neighbouring frequencies of sequences together: a real transform, a sum of seven slices, and the way back.
///
/// O(taps²), in memory too: the transforms are products with matrices of cosines and sines.
private struct FrequencySmoothing {
  private let cosines: Variable
  private let sines: Variable
  private let cosinesBack: Variable
  private let sinesBack: Variable
  private let weights: [Float]

  init(taps: Int, window: Int, on device: Device) throws {
    let bins = taps / 2 + 1
    func matrix(_ number: (_ bin: Int, _ angle: Double) -> Double) throws -> Variable {
      let numbers = (0..<bins * taps).map { place in
        let (bin, tap) = (place / taps, place % taps)
        return Float(number(bin, 2 * Double.pi * Double(bin * tap % taps) / Double(taps)))
      }
      return try device.constant(numbers, [bins, taps])
    }
    // Every frequency but the first and an even transform's last stands for its mirror image too.
    func share(_ bin: Int) -> Double { (bin == 0 || 2 * bin == taps ? 1 : 2) / Double(taps) }
    cosines = try matrix { cos($1) }
    sines = try matrix { -sin($1) }
    cosinesBack = try matrix { share($0) * cos($1) }
    sinesBack = try matrix { -share($0) * sin($1) }
    let half = window / 2
    weights = (0..<window).map { Float(exp(-0.5 * Double(($0 - half) * ($0 - half)))) }
  }

  /// `[…, taps]`.
  func callAsFunction(_ k: Variable) throws -> Variable {
    let real = try k.product(cosines, transposesOther: true).weighted(weights)
    let imaginary = try k.product(sines, transposesOther: true).weighted(weights)
    return try real.product(cosinesBack) + imaginary.product(sinesBack)
  }
}

extension Variable {
  /// Sums of neighbours along the last axis, each with its weight; beyond the ends are zeros.
  fileprivate func weighted(_ weights: [Float]) throws -> Variable {
    let (axis, half) = (shape.count - 1, weights.count / 2)
    let wide = try padded(axis: axis, before: half, after: weights.count - 1 - half)
    let slices = try weights.indices.map { try wide.sliced(axis: axis, $0..<$0 + shape[axis]) }
    return try Variable.pointwise(slices) { terms in
      [zip(terms, weights).map { $0 * $1 }.reduce(terms[0].constant(0)) { $0 + $1 }]
    }[0]
  }
}

extension Initialiser {
  /// 0.02 · Gaussian · exp(−(tap / taps) · (channels / 2)^(channel / channels)).
  fileprivate static func decaying(channels: Int, taps: Int) -> Initialiser {
    .scaledNormal { LongFilter.deviation($0, channels: channels, taps: taps) }
  }
}
