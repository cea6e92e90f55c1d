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
    guard headCount > 0 else {
      throw ModelError.invalid(key: key("attention.head_count"), value: "\(headCount)", allowed: "1 or more")
    }
    headSize = try file.metadata.integerIfPresent(key("attention.key_length")) ?? hiddenSize / headCount
    if let values = try file.metadata.integerIfPresent(key("attention.value_length")), values != headSize {
      throw ModelError.unsupported(feature: "a value size (\(values)) other than the key size (\(headSize))")
    }
    feedForwardSize = try file.metadata.integer(key("feed_forward_length"))
    contextLength = try file.metadata.integer(key("context_length"))
    vocabularySize = try file.tensor("token_embd.weight").shape[0]
    normEpsilon = Float(try file.metadata.number(key("attention.layer_norm_rms_epsilon")))
    rotarySize = try file.metadata.integerIfPresent(key("rope.dimension_count")) ?? headSize
    guard rotarySize >= 0, rotarySize <= 4096 else {
      throw ModelError.invalid(key: key("rope.dimension_count"), value: "\(rotarySize)", allowed: "0 to 4096")
    }
    let base = try file.metadata.numberIfPresent(key("rope.freq_base")) ?? 10_000
    var frequencies = Self.inverseFrequencies(base: base, size: rotarySize)
    if let scaling = try file.metadata.stringIfPresent(key("rope.scaling.type")), scaling != "none" {
      guard scaling == "linear" else { throw ModelError.unsupported(feature: "rope scaling \(scaling)") }
      let factor = try file.metadata.number(key("rope.scaling.factor"))
      frequencies = frequencies.map { $0 / factor }
    }
    if file.contains("rope_freqs.weight") {
      let factors = try file.tensor("rope_freqs.weight")
      guard factors.type == .float32, factors.count == frequencies.count else {
        throw ModelError.misshapen(
          tensor: "rope_freqs.weight", found: factors.shape, expected: [frequencies.count])
      }
      factors.withElements(as: Float.self) { span in
        for index in frequencies.indices { frequencies[index] /= Double(span[index]) }
      }
    }
    rotary = RotaryTable(inverseFrequencies: frequencies)
    pairsAreInterleaved = name == "llama"
    slidingWindow = try file.metadata.integerIfPresent(key("attention.sliding_window"))
    self = try validated()
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
    rotary = RotaryTable(inverseFrequencies: Self.inverseFrequencies(base: base, size: max(0, headSize)))
    pairsAreInterleaved = false
    slidingWindow = nil
    self = try validated()
  }
}
