public import Formats

/// What a ``SequenceClassifier`` is built with.
///
/// Written into checkpoints and read from recipes; see ``keys``.
public struct ClassifierSettings: Sendable, Hashable {
  /// What stands at a position.
  public enum Input: Sendable, Hashable {
    /// One of so many tokens.
    case tokens(Int)
    /// So many numbers, such as a pixel's colours.
    case numbers(Int)
  }

  /// Where a block normalises.
  public enum Norm: String, Sendable, Hashable, CaseIterable {
    /// x + f(norm(x)).
    case pre
    /// norm(x + f(x)).
    case post
  }

  /// What a position is normalised by.
  public enum Normaliser: String, Sendable, Hashable, CaseIterable {
    /// Its own numbers.
    case layer
    /// Those of all positions of a batch, number by number; of all batches so far where nothing trains.
    case batch
  }

  /// What a sequence's state is made of.
  public enum Pool: String, Sendable, Hashable, CaseIterable {
    /// The mean over its positions.
    case mean
    /// Its first position.
    case first
    /// Its last position.
    case last
  }

  /// What stands at a position, or, with patches, what a pixel is.
  public var input: Input
  /// Patches of pictures that are positions; `nil` where pixels are.
  public var patches: PicturePatches?
  /// Classes.
  public var classes: Int
  /// Numbers of a position, D.
  public var width: Int
  /// Blocks.
  public var layers: Int
  /// What mixes positions.
  public var mixer: SequenceSettings.Mixer
  /// Whether positions see only earlier ones.
  public var isCausal = false
  /// Inner width of the feed-forward layers; 0 for none.
  public var feedForward = 0
  /// What those are.
  public var feedForwardKind = FeedForwardKind.dense
  /// Where blocks normalise.
  public var norm = Norm.pre
  /// What they normalise by.
  public var normaliser = Normaliser.layer
  /// What a sequence's state is made of.
  public var pool = Pool.mean
  /// Heads of attention.
  public var heads = 1
  /// Longest sequence it is made for.
  public var longest: Int
  /// Whether positions have learned embeddings.
  public var learnsPositions = false
  /// Share of numbers dropped inside mixers and before each sum.
  public var dropout: Float = 0
  /// Share of attention's weights that is dropped.
  public var attentionDropout: Float = 0

  /// Settings of this size, everything else as usual.
  public init(
    input: Input, classes: Int, width: Int, layers: Int, mixer: SequenceSettings.Mixer, longest: Int
  ) {
    self.input = input
    self.classes = classes
    self.width = width
    self.layers = layers
    self.mixer = mixer
    self.longest = longest
  }
}

extension ClassifierSettings {
  /// Keys of the object that gives these settings.
  public static let keys =
    [
      SettingKey("mixer", .named(SequenceSettings.Mixer.forms), "What mixes the positions of a block."),
      SettingKey(
        "direction", .choice(["both", "causal"]), default: "both",
        "Whether positions see all others or, `causal`, only earlier ones; some mixers have no other form."),
      SettingKey("width", .count, "Numbers of a position."),
      SettingKey("layers", .integer(1...1000), "Blocks."),
      SettingKey(
        "feed_forward", .integer(0...1_000_000), default: 0,
        "Inner width of the feed-forward layers; 0 for blocks without any."),
      SettingKey(
        "mlp", .named(FeedForwardKind.forms), default: "dense",
        "What the feed-forward layers are, where `feed_forward` is not 0."),
      SettingKey(
        "norm", .choice(Norm.allCases.map(\.rawValue)), default: "pre",
        "What a block normalises: `pre` its input, `post` the sum of its input and its result."),
      SettingKey(
        "normaliser", .choice(Normaliser.allCases.map(\.rawValue)), default: "layer",
        "What a position is normalised by: `layer` its own numbers, `batch` those of all positions of a batch."
      ),
      SettingKey(
        "pool", .choice(Pool.allCases.map(\.rawValue)), default: "mean",
        "What of a sequence is classified: the mean over its positions, its first or its last."),
      SettingKey(
        "heads", .count, default: 1, "Heads of attention; a divisor of `width`, where the mixer has heads."),
      SettingKey(
        "positions", .choice(["none", "learned"]), default: "none",
        "Whether positions have learned embeddings."
      ),
      SettingKey(
        "dropout", .share, default: 0, "Share of numbers dropped inside mixers and before each sum."),
      SettingKey(
        "attention_dropout", .share, default: 0,
        "Share of attention's weights dropped, for `mixer: attention`."
      ),
      SettingKey(
        "vocabulary", .count, otherwise: "the data's",
        "Different tokens, where the data are tokens; no fewer than the data have."),
      SettingKey(
        "channels", .count, otherwise: "the data's",
        "Numbers at a position, or of a pixel where `patch` is stated, where the data are numbers; as many as the data have."
      ),
    ] + PicturePatches.keys + [
      SettingKey("classes", .count, otherwise: "the data's", "Classes; as many as the data have."),
      SettingKey(
        "longest", .count, otherwise: "the data's",
        "Positions of the longest sequence it is made for; no fewer than the data have."),
    ]

  /// Settings from an object.
  ///
  /// - Parameters:
  ///   - node: an object with keys of ``keys``.
  ///   - input: what is known of it elsewhere.
  ///   - classes: likewise.
  ///   - longest: likewise.
  /// - Throws: ``Formats/FormatError`` naming the key; unknown and unused keys are errors.
  public init(
    _ node: JSONNode, input: Input? = nil, classes: Int? = nil, longest: Int? = nil
  ) throws(FormatError) {
    try node.requireKeys(Self.keys)
    let input = try Self.input(node, known: input)
    let isPictures = if case .numbers = input { true } else { false }
    let patches = try PicturePatches(node, pixels: longest, isPictures: isPictures)
    self.init(
      input: input,
      classes: try node.number("classes", known: classes, isExact: true),
      width: try node.required("width").positiveInteger(),
      layers: try node.required("layers").integer(in: 1...1000),
      mixer: try SequenceSettings.Mixer(node.required("mixer")),
      longest: try node.number("longest", known: longest.map { $0 / (patches?.pixels ?? 1) }))
    self.patches = patches
    if case .numbers(let channels) = input, let patches {
      let (numbers, overflow) = channels.multipliedReportingOverflow(by: patches.pixels)
      guard !overflow, numbers <= Int(Int32.max) else {
        throw try node.required("patch").wrong(
          "patches of no more than \(Int32.max) numbers, with \(channels) channels")
      }
    }
    if let direction = try node.optional("direction") {
      isCausal = try direction.choice(["both", "causal"]) == 1
    }
    feedForward = try node.optional("feed_forward")?.integer(in: 0...1_000_000) ?? 0
    if let mlp = try node.optional("mlp") {
      guard feedForward > 0 else { throw mlp.wrong("no such key, since feed_forward is 0") }
      feedForwardKind = try FeedForwardKind(mlp, width: width, inner: feedForward)
    }
    if let stated = try node.optional("norm") {
      norm = Norm.allCases[try stated.choice(Norm.allCases.map(\.rawValue))]
    }
    if let stated = try node.optional("normaliser") {
      normaliser = Normaliser.allCases[try stated.choice(Normaliser.allCases.map(\.rawValue))]
    }
    if let stated = try node.optional("pool") {
      pool = Pool.allCases[try stated.choice(Pool.allCases.map(\.rawValue))]
    }
    if let positions = try node.optional("positions") {
      learnsPositions = try positions.choice(["none", "learned"]) == 1
    }
    dropout = try node.share("dropout") ?? 0
    attentionDropout = try node.share("attention_dropout") ?? 0
    if mixer != .attention, let unused = try node.optional("attention_dropout") {
      throw unused.wrong("no such key, since no layer has attention")
    }
    heads = try node.heads(of: width, areUsed: mixer.hasHeads)
    try mixer.requireFit(width: width, isCausal: isCausal, node)
  }

  /// What stands at a position: `vocabulary` or `channels`.
  private static func input(_ node: JSONNode, known: Input?) throws(FormatError) -> Input {
    let (vocabulary, channels) = (try node.optional("vocabulary"), try node.optional("channels"))
    switch known {
    case .tokens(let count):
      if let channels { throw channels.wrong("no such key, since the data are tokens") }
      guard let vocabulary else { return .tokens(count) }
      let stated = try vocabulary.positiveInteger()
      guard stated >= count else { throw vocabulary.wrong("at least the \(count) tokens of the data") }
      return .tokens(stated)
    case .numbers(let count):
      if let vocabulary { throw vocabulary.wrong("no such key, since the data are numbers") }
      if let channels, try channels.positiveInteger() != count {
        throw channels.wrong("the data's \(count) numbers of a position or pixel")
      }
      return .numbers(count)
    case nil:
      if let channels {
        if let vocabulary { throw vocabulary.wrong("no such key, since there are channels") }
        return .numbers(try channels.positiveInteger())
      }
      return .tokens(try node.required("vocabulary").positiveInteger())
    }
  }

  /// The object that gives these settings.
  public var json: JSON {
    let (vocabulary, channels): (JSON, JSON) =
      switch input {
      case .tokens(let count): (.integer(count), .null)
      case .numbers(let count): (.null, .integer(count))
      }
    return [
      "mixer": mixer.json, "direction": .string(isCausal ? "causal" : "both"), "width": .integer(width),
      "layers": .integer(layers), "feed_forward": .integer(feedForward),
      "mlp": feedForward > 0 ? feedForwardKind.json : .null, "norm": .string(norm.rawValue),
      "normaliser": .string(normaliser.rawValue),
      "pool": .string(pool.rawValue), "heads": mixer.hasHeads ? .integer(heads) : .null,
      "positions": .string(learnsPositions ? "learned" : "none"), "dropout": .float(dropout),
      "attention_dropout": mixer == .attention ? .float(attentionDropout) : .null,
      "vocabulary": vocabulary, "channels": channels, "patch": patches.map { .integer($0.side) } ?? .null,
      "picture_row": patches.map { .integer($0.row) } ?? .null, "classes": .integer(classes),
      "longest": .integer(longest),
    ]
  }
}

extension JSONNode {
  /// A number that the data may give: the stated one, which is no less (or just as large), or the data's.
  func number(_ key: String, known: Int?, isExact: Bool = false) throws(FormatError) -> Int {
    guard let node = try optional(key) else {
      if let known { return known }
      return try required(key).positiveInteger()
    }
    let stated = try node.positiveInteger()
    if let known, isExact ? stated != known : stated < known {
      throw node.wrong(isExact ? "the data's \(known)" : "at least the data's \(known)")
    }
    return stated
  }

  /// Attention's `heads`, 1 where they are not stated; no key where no layer has any.
  func heads(of width: Int, areUsed: Bool) throws(FormatError) -> Int {
    guard let stated = try optional("heads") else { return 1 }
    guard areUsed else { throw stated.wrong("no such key, since no layer has attention") }
    let count = try stated.positiveInteger()
    guard width % count == 0 else { throw stated.wrong("a divisor of the width, \(width)") }
    return count
  }
}
