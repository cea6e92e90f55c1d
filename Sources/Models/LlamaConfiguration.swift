public import Formats
internal import Glibc
internal import Memory

/// Sizes and constants of a network of the Llama family.
public struct LlamaConfiguration: Sendable, Hashable {
  /// Blocks of the network.
  public var layers: Int
  /// Numbers in a row between layers.
  public var hiddenSize: Int
  /// Query heads.
  public var headCount: Int
  /// Key-value heads.
  public var kvHeadCount: Int
  /// Numbers in a head.
  public var headSize: Int
  /// Numbers in a row inside the feed-forward part.
  public var feedForwardSize: Int
  /// Tokens.
  public var vocabularySize: Int
  /// Longest sequence the network was made for.
  public var contextLength: Int
  /// Added to the mean square before the root.
  public var normEpsilon: Float
  /// Leading numbers of a head that are rotated.
  public var rotarySize: Int
  /// Angles of the rotary embedding, scaling applied.
  public var rotary: RotaryTable
  /// Whether pairs are neighbours (GGUF's order for Llama) instead of halves apart.
  public var pairsAreInterleaved: Bool
  /// Keys further back are not seen.
  public var slidingWindow: Int?
  /// Whether query, key and value projections have biases.
  public var inputBias = Presence.optional
  /// Whether the attention's output projection has one.
  public var outputBias = Presence.optional

  /// What the settings say of a tensor.
  public enum Presence: Sendable, Hashable {
    case required, optional, absent
  }

  /// Checks that the sizes fit together.
  ///
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` naming the first that does not.
  public func validated() throws(ModelError) -> LlamaConfiguration {
    func check(_ key: String, _ value: Int, _ range: ClosedRange<Int>) throws(ModelError) {
      guard range.contains(value) else {
        throw .invalid(key: key, value: "\(value)", allowed: "\(range.lowerBound) to \(range.upperBound)")
      }
    }
    try check("layer count", layers, 1...1024)
    try check("hidden size", hiddenSize, 1...65_536)
    try check("head count", headCount, 1...1024)
    try check("key-value head count", kvHeadCount, 1...headCount)
    try check("head size", headSize, 2...1024)
    try check("feed-forward size", feedForwardSize, 1...1_048_576)
    try check("vocabulary size", vocabularySize, 1...16_777_216)
    try check("context length", contextLength, 1...16_777_216)
    try check("rotary size", rotarySize, 0...headSize)
    guard headCount % kvHeadCount == 0, headCount / kvHeadCount <= 96 else {
      throw .invalid(
        key: "head count", value: "\(headCount)",
        allowed: "a multiple of the \(kvHeadCount) key-value heads, at most 96 times")
    }
    guard rotarySize % 2 == 0 else {
      throw .invalid(key: "rotary size", value: "\(rotarySize)", allowed: "an even number")
    }
    guard normEpsilon > 0, normEpsilon < 1 else {
      throw .invalid(key: "norm epsilon", value: "\(normEpsilon)", allowed: "a number between 0 and 1")
    }
    if let slidingWindow { try check("sliding window", slidingWindow, 1...16_777_216) }
    return self
  }

  /// Radians a position for each pair of a rotary embedding without scaling.
  public static func inverseFrequencies(base: Double, size: Int) -> [Double] {
    (0..<size / 2).map { pow(base, -Double(2 * $0) / Double(size)) }
  }
}

extension LlamaConfiguration {
  /// Reads the sizes off a GGUF file's metadata.
  public init(_ file: GGUF) throws {
    let name = try file.metadata.string("general.architecture")
    func key(_ suffix: String) -> String { "\(name).\(suffix)" }
    layers = try file.metadata.integer(key("block_count"))
    hiddenSize = try file.metadata.integer(key("embedding_length"))
    headCount = try file.metadata.integer(key("attention.head_count"))
    kvHeadCount = try file.metadata.integerIfPresent(key("attention.head_count_kv")) ?? headCount
    headSize =
      try file.metadata.integerIfPresent(key("attention.key_length"))
      ?? Self.headSize(hiddenSize: hiddenSize, headCount: headCount)
    if let values = try file.metadata.integerIfPresent(key("attention.value_length")), values != headSize {
      throw ModelError.unsupported(feature: "a value size (\(values)) other than the key size (\(headSize))")
    }
    feedForwardSize = try file.metadata.integer(key("feed_forward_length"))
    contextLength = try file.metadata.integer(key("context_length"))
    let embedding = try file.tensor("token_embd.weight").shape
    guard embedding.count == 2 else {
      throw ModelError.invalid(
        key: "the shape of token_embd.weight", value: "\(embedding)", allowed: "[tokens, \(hiddenSize)]")
    }
    vocabularySize = embedding[0]
    normEpsilon = Float(try file.metadata.number(key("attention.layer_norm_rms_epsilon")))
    rotarySize = try file.metadata.integerIfPresent(key("rope.dimension_count")) ?? headSize
    try Self.requireNeutral(file.metadata, architecture: name)
    let base = try file.metadata.numberIfPresent(key("rope.freq_base")) ?? 10_000
    var scaling = RotaryScaling.none
    if let kind = try file.metadata.stringIfPresent(key("rope.scaling.type")), kind != "none" {
      guard kind == "linear" else { throw ModelError.unsupported(feature: "rope scaling \(kind) in GGUF") }
      scaling = .linear(factor: try file.metadata.number(key("rope.scaling.factor")))
    } else if let factor = try file.metadata.numberIfPresent(key("rope.scale_linear")), factor != 1 {
      scaling = .linear(factor: factor)
    }
    rotary = try RotaryTable(base: base, size: rotarySize, scaling: scaling)
    if file.contains("rope_freqs.weight") {
      rotary = try rotary.divided(by: try file.tensor("rope_freqs.weight"))
    }
    pairsAreInterleaved = name == "llama"
    slidingWindow = try file.metadata.integerIfPresent(key("attention.sliding_window"))
    self = try validated()
  }
}

extension LlamaConfiguration {
  /// Keys of GGUF metadata that would change the result, with the value that does not.
  private static let neutral: [(key: String, value: Double)] = [
    ("expert_count", 0), ("embedding_scale", 1), ("residual_scale", 1), ("logit_scale", 1),
    ("attention.clamp_kqv", 0), ("attention.max_alibi_bias", 0), ("rope.scaling.attn_factor", 1),
    ("attn_logit_softcapping", 0), ("final_logit_softcapping", 0),
  ]

  /// - Throws: ``ModelError/unsupported(feature:)`` for a setting no part of this network follows.
  private static func requireNeutral(_ metadata: GGUFMetadata, architecture: String) throws {
    for (suffix, value) in neutral {
      let key = "\(architecture).\(suffix)"
      if let found = try metadata.numberIfPresent(key), found != value {
        throw ModelError.unsupported(feature: "\(key) = \(found)")
      }
    }
    if try metadata.boolIfPresent("\(architecture).attention.causal") == false {
      throw ModelError.unsupported(feature: "attention that is not causal")
    }
  }

  /// The size of a head where the file leaves it to be derived.
  ///
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` where the heads do not divide the hidden size.
  static func headSize(hiddenSize: Int, headCount: Int) throws(ModelError) -> Int {
    guard headCount > 0, hiddenSize % headCount == 0 else {
      throw .invalid(
        key: "head count", value: "\(headCount)", allowed: "a divisor of the hidden size, \(hiddenSize)")
    }
    return hiddenSize / headCount
  }
}

extension RotaryTable {
  /// Angles divided by a factor a pair, as converters store Llama 3's scaling.
  func divided(by factors: Tensor) throws(ModelError) -> RotaryTable {
    guard factors.type == .float32, factors.shape == [inverseFrequencies.count] else {
      throw .misshapen(
        tensor: "rope_freqs.weight", found: factors.shape, expected: [inverseFrequencies.count])
    }
    let values = factors.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
    if let wrong = values.first(where: { !($0 > 0 && $0.isFinite) }) {
      throw .invalid(key: "rope_freqs.weight", value: "\(wrong)", allowed: "numbers above 0")
    }
    return RotaryTable(
      inverseFrequencies: zip(inverseFrequencies, values).map { $0 / $1 }, magnitude: magnitude)
  }
}

extension LlamaConfiguration {
  /// A network without scaling of positions, for models that are built in code.
  ///
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` where the sizes do not fit together.
  public init(
    layers: Int, hiddenSize: Int, headCount: Int, kvHeadCount: Int, headSize: Int, feedForwardSize: Int,
    vocabularySize: Int, contextLength: Int, base: Double, normEpsilon: Float = 1e-5
  ) throws(ModelError) {
    self.layers = layers
    self.hiddenSize = hiddenSize
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headSize = headSize
    self.feedForwardSize = feedForwardSize
    self.vocabularySize = vocabularySize
    self.contextLength = contextLength
    self.normEpsilon = normEpsilon
    rotarySize = headSize
    rotary = try RotaryTable(base: base, size: headSize)
    pairsAreInterleaved = false
    slidingWindow = nil
    self = try validated()
  }
}
