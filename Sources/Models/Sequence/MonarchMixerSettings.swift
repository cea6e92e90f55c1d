public import Formats

/// What an M2-BERT is built with.
///
/// Fu et al., “Monarch Mixer: a simple sub-quadratic GEMM-based architecture”, 2023, arXiv:2310.12109.
public struct MonarchMixerSettings: Sendable, Hashable {
  /// Rows of the embedding.
  public var vocabularySize: Int
  /// Numbers of a position, D.
  public var width: Int
  /// Blocks.
  public var layers: Int
  /// Inner width of the gated layers, I.
  public var feedForward: Int
  /// Blocks of each block-diagonal matrix.
  public var feedForwardBlocks = 4
  /// Positions that have embeddings, and taps of the filters.
  public var longest: Int
  /// Kinds of segments.
  public var segments = 2
  /// Width of the filters' networks.
  public var filterWidth = 128
  /// Numbers of a lag's features, odd.
  public var features = 5
  /// Frequency of the filters' sines at the beginning.
  public var frequency: Float = 10
  /// Whether each layer normalises its input first and drops numbers around its convolution.
  public var normalisesFirst = false
  /// Share of numbers dropped behind the embedding and in the gated layers.
  public var dropout: Float = 0.1
  /// Token that fills sequences up; its embedding does not learn from where it stands.
  public var padding: Int32 = 0

  /// Settings of a sequence mixer.
  var mixer: MonarchMixer.Settings {
    MonarchMixer.Settings(
      normalises: normalisesFirst, dropout: normalisesFirst ? dropout : 0,
      filter: ImplicitFilter.Settings(
        features: features, width: filterWidth, frequency: frequency, longest: longest,
        trainsFeatures: true))
  }

  /// Settings of this size, everything else as published.
  public init(vocabularySize: Int, width: Int, layers: Int, feedForward: Int, longest: Int) {
    self.vocabularySize = vocabularySize
    self.width = width
    self.layers = layers
    self.feedForward = feedForward
    self.longest = longest
  }
}

extension MonarchMixerSettings {
  /// Keys of the object that gives these settings.
  public static let keys =
    [
      SettingKey(
        "vocabulary", .count, otherwise: "the data's and a mask", "Different tokens; no fewer than those."),
      SettingKey("width", .count, "Numbers of a position."),
      SettingKey("layers", .integer(1...1000), "Blocks."),
      SettingKey(
        "longest", .count, otherwise: "the data's",
        "Positions that have embeddings; no fewer than the data have."),
      SettingKey(
        "feed_forward", .count, otherwise: "4 × `width`", "Inner width of the gated feed-forward layers."),
      SettingKey(
        "blocks", .count, default: 4,
        "Blocks of each block-diagonal matrix; they divide `width` and `feed_forward`, and have to be stated where four do not."
      ),
    ] + ImplicitFilter.keys(width: 128) + [
      SettingKey(
        "norm_first", .truth, default: false,
        "Whether each layer normalises its input first and drops numbers around its convolution."),
      SettingKey(
        "dropout", .share, default: 0.1,
        "Share of numbers dropped behind the embedding and in the gated layers."),
      SettingKey("segments", .count, default: 2, "Kinds of segments that have embeddings."),
    ]

  /// Settings from an object.
  ///
  /// - Parameters:
  ///   - vocabulary: rows of the embedding where the object does not say, and the least there may be.
  ///   - longest: likewise of positions.
  ///   - node: an object with keys of ``keys``.
  /// - Throws: ``Formats/FormatError`` naming the key; unknown keys are errors.
  public init(_ node: JSONNode, vocabulary: Int? = nil, longest: Int? = nil) throws(FormatError) {
    try node.requireKeys(Self.keys)
    let width = try node.required("width").positiveInteger()
    self.init(
      vocabularySize: try node.number("vocabulary", known: vocabulary), width: width,
      layers: try node.required("layers").integer(in: 1...1000),
      feedForward: try node.optional("feed_forward")?.positiveInteger() ?? 4 * width,
      longest: try node.number("longest", known: longest))
    feedForwardBlocks = try node.blocks(dividing: width, feedForward) ?? 4
    filterWidth = try node.optional("filter_width")?.positiveInteger() ?? 128
    features = try node.oddInteger("features", in: 3...1025) ?? 5
    frequency = Float(try node.optional("frequency")?.positiveNumber() ?? 10)
    normalisesFirst = try node.optional("norm_first")?.bool() ?? false
    dropout = try node.share("dropout") ?? 0.1
    segments = try node.optional("segments")?.positiveInteger() ?? 2
  }

  /// The object that gives these settings.
  public var json: JSON {
    [
      "vocabulary": .integer(vocabularySize), "width": .integer(width), "layers": .integer(layers),
      "longest": .integer(longest), "feed_forward": .integer(feedForward),
      "blocks": .integer(feedForwardBlocks), "filter_width": .integer(filterWidth),
      "features": .integer(features), "frequency": .float(frequency), "norm_first": .bool(normalisesFirst),
      "dropout": .float(dropout), "segments": .integer(segments),
    ]
  }
}

extension JSONNode {
  /// An odd number.
  func oddInteger(_ key: String, in range: ClosedRange<Int>) throws(FormatError) -> Int? {
    guard let node = try optional(key) else { return nil }
    let number = try node.integer(in: range)
    guard number % 2 == 1 else { throw node.wrong("an odd number") }
    return number
  }

  /// The number of blocks under `blocks`, which divides two widths; `nil` for the usual four.
  func blocks(dividing width: Int, _ inner: Int) throws(FormatError) -> Int? {
    guard let node = try optional("blocks") else {
      // Where the usual four do not divide them, it has to be said how many do.
      return width % 4 == 0 && inner % 4 == 0 ? nil : try required("blocks").positiveInteger()
    }
    let blocks = try node.positiveInteger()
    guard width % blocks == 0, inner % blocks == 0 else {
      throw node.wrong("a divisor of the width, \(width), and of feed_forward, \(inner)")
    }
    return blocks
  }
}
