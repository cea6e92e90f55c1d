public import Fourier
public import Memory
internal import Tiles

/// A depthwise convolution with a short filter: what is fixed while its kernels are recorded.
///
/// y[t] = act(bias + Σ over j < K of w[j] · x[t + j − before]), each channel with a filter of its own, numbers beyond the
/// ends of the sequence taken as 0. The order of the filter is torch's: w[K − 1] multiplies the newest number. Causal
/// convolutions have K − 1 numbers `before`, so w[K − 1] multiplies x[t]; centred ones (K − 1) / 2 rounded down, which is
/// torch's `padding="same"`.
public struct ShortConvolutionShape: Sendable, Hashable {
  /// Taps of the filter, K.
  public let width: Int
  /// What a result may depend on.
  public let reach: Reach
  /// `[B, H, L]` or `[B, L, H]`.
  public let layout: LongConvolution.Layout
  /// Type of x, y, states and their gradients: float32, bfloat16 or float16. Sums are float32.
  public let type: ElementType
  /// Type of filter and bias; their gradients are float32.
  public let filterType: ElementType
  /// Whether each channel has a number that is added.
  public let hasBias: Bool
  /// Whether the sum z becomes z · sigmoid(z).
  public let appliesSiLU: Bool

  /// What a result may depend on.
  public enum Reach: Sendable, Hashable {
    /// The number at its own position and the K − 1 before.
    case causal
    /// Numbers on both sides.
    case centred
  }

  /// Filters that there are kernels for.
  public static let widths = 2...16

  /// - Throws: ``Fourier/ConvolutionError/operand(name:why:)`` for widths, ``Fourier/ConvolutionError/tensor(name:found:expected:)``
  ///   for types that there is no kernel for.
  public init(
    width: Int, reach: Reach = .causal, layout: LongConvolution.Layout = .channelsFirst,
    type: ElementType = .float32, filterType: ElementType = .float32, hasBias: Bool = true,
    appliesSiLU: Bool = false
  ) throws(ConvolutionError) {
    guard Self.widths.contains(width) else {
      throw .operand(
        name: "width",
        why: "\(width) taps; short convolutions have \(Self.widths.lowerBound) to \(Self.widths.upperBound). "
          + "Use LongConvolution for longer filters")
    }
    for (name, type) in [("input", type), ("filter", filterType)]
    where ![.float32, .float16, .bfloat16].contains(type) {
      throw .tensor(name: name, found: type.rawValue, expected: "float32, float16 or bfloat16")
    }
    self.width = width
    self.reach = reach
    self.layout = layout
    self.type = type
    self.filterType = filterType
    self.hasBias = hasBias
    self.appliesSiLU = appliesSiLU
  }

  /// Positions before its own that a result depends on.
  public var before: Int { reach == .causal ? width - 1 : (width - 1) / 2 }

  /// Numbers of each channel that decoding keeps.
  public var stateLength: Int { width - 1 }

  /// Whether channels lie beside each other in memory.
  var isLast: Bool { layout == .channelsLast }

  /// The kernels' names end with what tells them apart.
  var title: String {
    let words = [
      "\(width)", isLast ? "blh" : "bhl", "\(reach)", type.rawValue,
      filterType == .float32 ? "" : "w\(filterType.rawValue)", hasBias ? "bias" : "",
      appliesSiLU ? "silu" : "",
    ]
    return words.filter { !$0.isEmpty }.joined(separator: "_")
  }
}
