public import Formats

/// What a sequence model is built with: the skeleton that all share, and what mixes positions.
///
/// Written into checkpoints and read from recipes; see ``keys``.
public struct SequenceSettings: Sendable, Hashable {
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
  /// What those are.
  public var feedForwardKind = FeedForwardKind.dense
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
  /// Whether any block has heads.
  public var hasHeads: Bool { attends || mixer.hasHeads }

  /// Rows of the embedding.
  public var embeddingRows: Int {
    (vocabularySize + vocabularyMultiple - 1) / vocabularyMultiple * vocabularyMultiple
  }
}

extension SequenceSettings {
  /// Keys of the object that gives these settings.
  public static let keys = [
    SettingKey("mixer", .named(Mixer.forms), "What mixes the positions of a block."),
    SettingKey("width", .count, "Numbers of a position."),
    SettingKey("layers", .integer(1...1000), "Blocks."),
    SettingKey(
      "feed_forward", .count, otherwise: "4 × `width`", "Inner width of the feed-forward layers."),
    SettingKey("mlp", .named(FeedForwardKind.forms), default: "dense", "What the feed-forward layers are."),
    SettingKey(
      "attention_layers", .words("list of integers from 0 to below `layers`", example: [0]), default: [],
      "Blocks that have attention instead of the mixer, counted from 0."),
    SettingKey(
      "heads", .count, default: 1, "Heads of attention; a divisor of `width`, where a block has heads."),
    SettingKey(
      "positions", .choice(["none", "learned"]), default: "none", "Whether positions have learned embeddings."
    ),
    SettingKey("embedding_dropout", .share, default: 0.1, "Share of numbers dropped behind the embedding."),
    SettingKey("residual_dropout", .share, default: 0, "Share of numbers dropped before each later sum."),
    SettingKey(
      "attention_dropout", .share, default: 0,
      "Share of softmax attention's weights dropped, where a block has it."),
    SettingKey(
      "vocabulary_multiple", .count, default: 8,
      "Rows of the embedding are the vocabulary rounded up to a multiple of this."),
    SettingKey(
      "vocabulary", .count, otherwise: "the data's", "Different tokens; no fewer than the data have."),
    SettingKey(
      "longest", .count, otherwise: "the data's",
      "Positions of the longest sequence it is made for; no fewer than the data have."),
  ]

  /// Settings from an object.
  ///
  /// - Parameters:
  ///   - node: an object with keys of ``keys``.
  ///   - vocabulary: what is known of it elsewhere.
  ///   - longest: likewise.
  /// - Throws: ``Formats/FormatError`` naming the key; unknown keys are errors.
  public init(_ node: JSONNode, vocabulary: Int? = nil, longest: Int? = nil) throws(FormatError) {
    try node.requireKeys(Self.keys)
    width = try node.required("width").positiveInteger()
    layers = try node.required("layers").integer(in: 1...1000)
    feedForward = try node.optional("feed_forward")?.positiveInteger() ?? 4 * width
    if let mlp = try node.optional("mlp") {
      feedForwardKind = try FeedForwardKind(mlp, width: width, inner: feedForward)
    }
    mixer = try Mixer(node.required("mixer"))
    vocabularySize = try node.number("vocabulary", known: vocabulary)
    self.longest = try node.number("longest", known: longest)
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
    if !attends, let unused = try node.optional("attention_dropout") {
      throw unused.wrong("no such key, since no layer has attention")
    }
    heads = try node.heads(of: width, areUsed: hasHeads)
    try mixer.requireFit(width: width, isCausal: true, node)
  }

  /// The object that gives these settings.
  public var json: JSON {
    [
      "mixer": mixer.json, "width": .integer(width), "layers": .integer(layers),
      "feed_forward": .integer(feedForward),
      "attention_layers": .array(attentionLayers.map { .integer($0) }),
      "heads": hasHeads ? .integer(heads) : .null, "mlp": feedForwardKind.json,
      "positions": .string(learnsPositions ? "learned" : "none"),
      "embedding_dropout": .float(embeddingDropout),
      "residual_dropout": .float(residualDropout),
      "attention_dropout": attends ? .float(attentionDropout) : .null,
      "vocabulary_multiple": .integer(vocabularyMultiple), "vocabulary": .integer(vocabularySize),
      "longest": .integer(longest),
    ]
  }
}
