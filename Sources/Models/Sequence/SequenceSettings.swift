public import Formats

/// What a sequence model is built with: the skeleton that all share, and what mixes positions.
///
/// Written into checkpoints and read from recipes; see ``init(_:)`` for the keys.
public struct SequenceSettings: Sendable, Hashable {
  /// What mixes the positions of a layer.
  public enum Mixer: Sendable, Hashable {
    /// State spaces between gates: states, channels of a head.
    case h3(states: Int, headWidth: Int)
    /// A diagonal state space for each channel: states.
    case s4d(states: Int)
    /// Softmax attention.
    case attention
    /// Long implicit filters between gates: order, width, features and frequency of the filter's network, window, layers
    /// between the network's first and last, taps of the short convolution, what is added to the window.
    case hyena(
      order: Int, filterWidth: Int, features: Int, frequency: Float, hasWindow: Bool, innerLayers: Int = 2,
      shortTaps: Int = 3, windowShift: Float = 0)

    /// Whether it goes on for any number of positions, since none of its parameters belongs to a position.
    var isRecurrent: Bool {
      switch self {
      case .h3, .s4d, .attention: true
      case .hyena: false
      }
    }

    /// Its name in recipes.
    public var name: String {
      switch self {
      case .h3: "h3"
      case .s4d: "s4d"
      case .attention: "attention"
      case .hyena: "hyena"
      }
    }
  }

  /// Different tokens.
  public var vocabularySize: Int
  /// Rows of the embedding: the vocabulary rounded up to a multiple of this.
  public var vocabularyMultiple = 8
  /// Numbers of a position, D.
  public var width: Int
  /// Blocks.
  public var layers: Int
  /// Inner width of the feed-forward layers.
  public var feedForward: Int
  /// What mixes positions.
  public var mixer: Mixer
  /// Blocks that have attention instead, counted from 0.
  public var attentionLayers: [Int] = []
  /// Heads of attention.
  public var heads = 1
  /// Longest sequence it is made for.
  public var longest: Int
  /// Whether positions have learned embeddings.
  public var learnsPositions = false
  /// Share of numbers dropped behind the embedding.
  public var embeddingDropout: Float = 0.1
  /// Share of numbers dropped before each later sum.
  public var residualDropout: Float = 0
  /// Share of attention's weights that is dropped.
  public var attentionDropout: Float = 0

  /// Whether any block has attention.
  public var attends: Bool { mixer == .attention || !attentionLayers.isEmpty }

  /// Rows of the embedding.
  public var embeddingRows: Int {
    (vocabularySize + vocabularyMultiple - 1) / vocabularyMultiple * vocabularyMultiple
  }
}

extension SequenceSettings {
  /// Settings from an object.
  ///
  /// - Parameters:
  ///   - node: keys `mixer` (a name or an object of one), `width`, `layers`, `feed_forward`, and optionally `attention_layers`,
  ///     `heads`, `positions` (learned or none), `embedding_dropout`, `residual_dropout`, `attention_dropout`,
  ///     `vocabulary_multiple`, `vocabulary`, `longest`.
  ///   - vocabulary: what is known of it elsewhere.
  ///   - longest: likewise.
  /// - Throws: ``Formats/FormatError`` naming the key; unknown keys are errors.
  public init(_ node: JSONNode, vocabulary: Int? = nil, longest: Int? = nil) throws(FormatError) {
    try node.requireKeys([
      "mixer", "width", "layers", "feed_forward", "attention_layers", "heads", "positions",
      "embedding_dropout",
      "residual_dropout", "attention_dropout", "vocabulary_multiple", "vocabulary", "longest",
    ])
    width = try node.required("width").positiveInteger()
    layers = try node.required("layers").integer(in: 1...1000)
    feedForward = try node.optional("feed_forward")?.positiveInteger() ?? 4 * width
    mixer = try Mixer(node.required("mixer"))
    let stated = try node.optional("vocabulary")
    if let known = try stated?.positiveInteger() ?? vocabulary {
      vocabularySize = known
    } else {
      vocabularySize = try node.required("vocabulary").positiveInteger()
    }
    if let vocabulary, vocabulary > vocabularySize, let stated {
      throw stated.wrong("at least the \(vocabulary) tokens of the data")
    }
    let limit = try node.optional("longest")
    if let known = try limit?.positiveInteger() ?? longest {
      self.longest = known
    } else {
      self.longest = try node.required("longest").positiveInteger()
    }
    if let longest, longest > self.longest, let limit {
      throw limit.wrong("at least the data's \(longest) positions")
    }
    heads = try node.optional("heads")?.positiveInteger() ?? 1
    vocabularyMultiple = try node.optional("vocabulary_multiple")?.positiveInteger() ?? 8
    if let positions = try node.optional("positions") {
      learnsPositions = try positions.choice(["none", "learned"]) == 1
    }
    embeddingDropout = try node.share("embedding_dropout") ?? 0.1
    residualDropout = try node.share("residual_dropout") ?? 0
    attentionDropout = try node.share("attention_dropout") ?? 0
    if let places = try node.optional("attention_layers") {
      for layer in try places.elements() { attentionLayers.append(try layer.integer(in: 0...layers - 1)) }
    }
    for key in ["heads", "attention_dropout"] where !attends {
      if let unused = try node.optional(key) {
        throw unused.wrong("no such key, since no layer has attention")
      }
    }
    if attends, width % heads != 0 {
      let stated = try node.required("heads")
      throw stated.wrong("a divisor of the width, \(width)")
    }
    if case .h3(_, let headWidth) = mixer, width % headWidth != 0 {
      let stated = try node.required("mixer")
      throw stated.wrong("a head_width that divides the width, \(width)")
    }
  }

  /// The object that gives these settings.
  public var json: JSON {
    [
      "mixer": mixer.json, "width": .integer(width), "layers": .integer(layers),
      "feed_forward": .integer(feedForward),
      "attention_layers": .array(attentionLayers.map { .integer($0) }),
      "heads": attends ? .integer(heads) : .null,
      "positions": .string(learnsPositions ? "learned" : "none"),
      "embedding_dropout": .float(embeddingDropout),
      "residual_dropout": .float(residualDropout),
      "attention_dropout": attends ? .float(attentionDropout) : .null,
      "vocabulary_multiple": .integer(vocabularyMultiple), "vocabulary": .integer(vocabularySize),
      "longest": .integer(longest),
    ]
  }
}

extension SequenceSettings.Mixer {
  /// Names of all.
  public static let names = ["h3", "s4d", "attention", "hyena"]

  init(_ node: JSONNode) throws(FormatError) {
    let (name, settings) = try node.named()
    switch name {
    case "h3":
      try settings?.requireKeys(["states", "head_width"])
      self = .h3(
        states: try Self.states(settings),
        headWidth: try settings?.optional("head_width")?.positiveInteger() ?? 1)
    case "s4d":
      try settings?.requireKeys(["states"])
      self = .s4d(states: try Self.states(settings))
    case "attention":
      try settings?.requireKeys([])
      self = .attention
    case "hyena":
      try settings?.requireKeys([
        "order", "filter_width", "features", "frequency", "window", "inner_layers", "short_taps",
        "window_shift",
      ])
      let features = try settings?.optional("features")
      self = .hyena(
        order: try settings?.optional("order")?.integer(in: 2...8) ?? 2,
        filterWidth: try settings?.optional("filter_width")?.positiveInteger() ?? 64,
        features: try features?.integer(in: 3...1025) ?? 5,
        frequency: Float(try settings?.optional("frequency")?.positiveNumber() ?? 10),
        hasWindow: try settings?.optional("window")?.bool() ?? true,
        innerLayers: try settings?.optional("inner_layers")?.integer(in: 0...64) ?? 2,
        shortTaps: try settings?.optional("short_taps")?.integer(in: 2...16) ?? 3,
        windowShift: Float(try settings?.optional("window_shift")?.number() ?? 0))
      if case .hyena(_, _, let count, _, _, _, _, _) = self, count % 2 == 0, let features {
        throw features.wrong("an odd number")
      }
    default: throw node.wrong("one of \(Self.names.joined(separator: ", "))")
    }
  }

  /// States, two for each complex mode.
  private static func states(_ settings: JSONNode?) throws(FormatError) -> Int {
    guard let node = try settings?.optional("states") else { return 64 }
    let states = try node.integer(in: 2...4096)
    guard states % 2 == 0 else { throw node.wrong("an even number") }
    return states
  }

  var json: JSON {
    switch self {
    case .h3(let states, let headWidth):
      ["h3": ["states": .integer(states), "head_width": .integer(headWidth)]]
    case .s4d(let states): ["s4d": ["states": .integer(states)]]
    case .attention: "attention"
    case .hyena(let order, let width, let features, let frequency, let window, let inner, let taps, let shift):
      [
        "hyena": [
          "order": .integer(order), "filter_width": .integer(width), "features": .integer(features),
          "frequency": .float(frequency), "window": .bool(window), "inner_layers": .integer(inner),
          "short_taps": .integer(taps), "window_shift": .float(shift),
        ]
      ]
    }
  }
}
