public import Formats
public import Kernels

/// Sizes and constants of a GPT-2 network.
public struct GPT2Configuration: Sendable, Hashable {
  /// Blocks of the network.
  public var layers: Int
  /// Numbers in a row between layers.
  public var hiddenSize: Int
  /// Attention heads.
  public var headCount: Int
  /// Numbers in a row inside the feed-forward part.
  public var feedForwardSize: Int
  /// Tokens.
  public var vocabularySize: Int
  /// Rows of the table of positions.
  public var contextLength: Int
  /// Added to the variance before the root.
  public var normEpsilon: Float
  /// Nonlinearity of the feed-forward part.
  public var activation: Activation
  /// Whether the embedding is the head too.
  public var isTied: Bool

  /// Numbers in a head.
  public var headSize: Int { hiddenSize / headCount }

  /// Reads the sizes off a `config.json` of model type gpt2.
  ///
  /// - Throws: `FormatError` for a value of the wrong kind, ``ModelError`` for one that cannot be run.
  public init(_ config: JSONNode) throws {
    try config.requireNeutral([
      ("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false),
      ("add_cross_attention", false),
      ("is_encoder_decoder", false), ("quantization_config", .null),
    ])
    layers = try config.required("n_layer").integer(in: 1...1024)
    hiddenSize = try config.required("n_embd").integer(in: 1...65_536)
    headCount = try config.required("n_head").integer(in: 1...1024)
    feedForwardSize = try config.optional("n_inner")?.integer(in: 1...1_048_576) ?? 4 * hiddenSize
    vocabularySize = try config.required("vocab_size").integer(in: 1...16_777_216)
    contextLength = try (config.optional("n_positions") ?? config.required("n_ctx")).integer(
      in: 1...16_777_216)
    normEpsilon = Float(try config.optional("layer_norm_epsilon")?.positiveNumber() ?? 1e-5)
    isTied = try config.optional("tie_word_embeddings")?.bool() ?? true
    let name = try config.optional("activation_function")?.string() ?? "gelu_new"
    guard let activation = Self.activations[name] else {
      throw ModelError.unsupported(feature: "\(config.file): activation_function \(name)")
    }
    self.activation = activation
    guard hiddenSize % headCount == 0, (2...1024).contains(hiddenSize / headCount) else {
      throw ModelError.invalid(
        key: "n_head", value: "\(headCount)",
        allowed: "a divisor of n_embd, \(hiddenSize), that leaves 2 to 1024 numbers a head")
    }
    guard normEpsilon > 0, normEpsilon < 1 else {
      throw ModelError.invalid(
        key: "layer_norm_epsilon", value: "\(normEpsilon)", allowed: "a number between 0 and 1")
    }
  }

  private static let activations: [String: Activation] = [
    "gelu_new": .geluTanh, "gelu_fast": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu": .gelu,
    "relu": .relu, "silu": .silu, "swish": .silu,
  ]
}
