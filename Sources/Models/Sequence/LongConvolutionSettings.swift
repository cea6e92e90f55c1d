internal import Formats

/// What the filters of ``SequenceSettings/Mixer/longConv(_:)`` are made of.
public struct LongConvolutionSettings: Sendable, Hashable {
  /// What makes taps alike that are close.
  public enum Smoothing: String, Sendable, Hashable, CaseIterable {
    /// Nothing.
    case none
    /// The mean of seven taps.
    case average
    /// A Gaussian over seven frequencies.
    case frequency
  }

  /// How taps begin.
  public enum Initial: String, Sendable, Hashable, CaseIterable {
    /// Gaussian of deviation 0.002.
    case random
    /// Gaussian of deviation 0.02 that decays geometrically, at rates spread geometrically over the channels.
    case decaying
  }

  /// Filters for each of the layer's channels.
  public var sets = 2
  /// λ, what squashing takes off the size of every tap.
  public var squash: Float = 0.003
  /// What is done before.
  public var smoothing = Smoothing.none
  /// Share of taps that is dropped in training.
  public var dropout: Float = 0.2
  /// How taps begin.
  public var initial = Initial.random
  /// Whether sequences and filters go through learned transforms instead of fixed ones.
  public var learnsTransform = false

  /// As in the best published models.
  public init() {}

  /// Its name in recipes, and its keys.
  static let form = SettingForm(
    "longconv", "LongConv: filters as long as the sequence, whose taps are parameters (arXiv:2302.06646).",
    keys: [
      SettingKey("filters", .integer(1...64), default: 2, "Filters for each channel."),
      SettingKey(
        "squash", .nonNegative, default: 0.003,
        "What is taken off the size of every tap, those below becoming 0; 0 leaves filters as they are."),
      SettingKey(
        "smoothing", .choice(Smoothing.allCases.map(\.rawValue)), default: "none",
        "What makes neighbouring taps alike before: `average`, a mean of seven taps; `frequency`: a Gaussian over seven frequencies."
      ),
      SettingKey("tap_dropout", .share, default: 0.2, "Share of taps dropped in training."),
      SettingKey(
        "initial", .choice(Initial.allCases.map(\.rawValue)), default: "random",
        "How taps begin: Gaussian, `random` of deviation 0.002, `decaying` from 0.02 over the lags."),
      SettingKey(
        "learned_transform", .truth, default: false,
        "Whether sequences and filters go through learned transforms instead of fixed ones; for `direction: both`."
      ),
    ])

  /// - Parameter node: an object with no keys but the form's; `nil` for the usual.
  init(_ node: JSONNode?) throws(FormatError) {
    guard let node else { return }
    sets = try node.optional("filters")?.integer(in: 1...64) ?? sets
    if let stated = try node.optional("squash") {
      let value = try stated.number()
      guard value >= 0, value.isFinite else { throw stated.wrong("a number of at least 0") }
      squash = Float(value)
    }
    if let stated = try node.optional("smoothing") {
      smoothing = Smoothing.allCases[try stated.choice(Smoothing.allCases.map(\.rawValue))]
    }
    dropout = try node.share("tap_dropout") ?? dropout
    if let stated = try node.optional("initial") {
      initial = Initial.allCases[try stated.choice(Initial.allCases.map(\.rawValue))]
    }
    learnsTransform = try node.optional("learned_transform")?.bool() ?? false
  }

  var json: JSON {
    [
      "filters": .integer(sets), "squash": .float(squash), "smoothing": .string(smoothing.rawValue),
      "tap_dropout": .float(dropout), "initial": .string(initial.rawValue),
      "learned_transform": .bool(learnsTransform),
    ]
  }
}
