public import Formats

extension LlamaConfiguration {
  /// Reads the sizes off a `config.json` of model type llama, mistral or qwen2.
  ///
  /// Settings that would change the result and that this network does not follow are refused, as are values that do not
  /// fit together.
  ///
  /// - Throws: `FormatError` for a value of the wrong kind, ``ModelError`` for one that cannot be run.
  public init(_ config: JSONNode) throws {
    let type = try config.required("model_type").string()
    guard ["llama", "mistral", "qwen2"].contains(type) else {
      throw ModelError.unknownArchitecture(name: type, known: Catalog.modelTypes)
    }
    try config.requireNeutral(Self.neutralSettings)
    let activation = try config.optional("hidden_act")?.string() ?? "silu"
    guard activation == "silu" || activation == "swish" else {
      throw ModelError.unsupported(feature: "\(config.file): hidden_act \(activation)")
    }
    layers = try config.required("num_hidden_layers").positiveInteger()
    hiddenSize = try config.required("hidden_size").positiveInteger()
    headCount = try config.required("num_attention_heads").positiveInteger()
    kvHeadCount = try config.optional("num_key_value_heads")?.positiveInteger() ?? headCount
    headSize =
      try config.optional("head_dim")?.positiveInteger()
      ?? Self.headSize(hiddenSize: hiddenSize, headCount: headCount)
    feedForwardSize = try config.required("intermediate_size").positiveInteger()
    vocabularySize = try config.required("vocab_size").positiveInteger()
    contextLength = try config.required("max_position_embeddings").positiveInteger()
    normEpsilon = Float(try config.required("rms_norm_eps").positiveNumber())
    // Said of the head, not of the rotary size that follows from it.
    guard (2...1024).contains(headSize) else {
      throw ModelError.invalid(key: "head size", value: "\(headSize)", allowed: "2 to 1024")
    }
    let part = try config.optional("partial_rotary_factor")?.positiveNumber() ?? 1
    guard part <= 1 else {
      throw ModelError.invalid(key: "partial_rotary_factor", value: "\(part)", allowed: "above 0, at most 1")
    }
    rotarySize = Int(Double(headSize) * part)
    let context = contextLength
    let positions = try config.optional("rope_parameters")
    let base = try (positions?.optional("rope_theta") ?? config.optional("rope_theta"))?.positiveNumber()
    let scaling = try (positions ?? config.optional("rope_scaling")).map {
      try RotaryScaling($0, contextLength: context)
    }
    rotary = try RotaryTable(base: base ?? 10_000, size: rotarySize, scaling: scaling ?? .none)
    pairsAreInterleaved = false
    slidingWindow = try Self.slidingWindow(config, type: type, layers: layers)
    let isBiased = try config.optional("attention_bias")?.bool() ?? false
    inputBias = isBiased || type == "qwen2" ? .required : .absent
    outputBias = isBiased && type == "llama" ? .required : .absent
    self = try validated()
  }

  /// Settings of kin that this network does not follow, with the value that changes nothing.
  private static let neutralSettings: [(key: String, value: JSON)] = [
    ("mlp_bias", false), ("use_qk_norm", false), ("qk_layernorm", false), ("clip_qkv", .null),
    ("num_local_experts", 1), ("num_experts", 1), ("embedding_multiplier", 1), ("residual_multiplier", 1),
    ("attention_multiplier", .null), ("logits_scaling", 1), ("attn_logit_softcapping", .null),
    ("final_logit_softcapping", .null), ("no_rope_layers", .null), ("is_encoder_decoder", false),
    ("add_cross_attention", false), ("quantization_config", .null),
  ]

  /// The window all layers share; `nil` where they see everything.
  private static func slidingWindow(_ config: JSONNode, type: String, layers: Int) throws -> Int? {
    guard type != "llama", let node = try config.optional("sliding_window") else { return nil }
    let window = try node.positiveInteger()
    if type == "qwen2", try config.optional("use_sliding_window")?.bool() != true { return nil }
    let limited: Int
    if let kinds = try config.optional("layer_types") {
      limited = try kinds.elements().filter { try $0.string() == "sliding_attention" }.count
    } else if type == "qwen2" {
      limited = layers - min(layers, try config.optional("max_window_layers")?.integer(in: 0...4096) ?? 28)
    } else {
      limited = layers
    }
    guard limited == 0 || limited == layers else {
      throw ModelError.unsupported(
        feature: "\(config.file): a sliding window in \(limited) of \(layers) layers")
    }
    return limited == 0 ? nil : window
  }
}

extension RotaryScaling {
  /// Reads `rope_scaling` or `rope_parameters`.
  ///
  /// - Parameter contextLength: what stands for the original context where the settings leave it out.
  init(_ settings: JSONNode, contextLength: Int) throws {
    let kind = try (settings.optional("rope_type") ?? settings.optional("type"))?.string() ?? "default"
    func number(_ key: String) throws -> Double { try settings.required(key).positiveNumber() }
    func numberIfPresent(_ key: String) throws -> Double? { try settings.optional(key)?.positiveNumber() }
    func original() throws -> Int {
      try settings.optional("original_max_position_embeddings")?.positiveInteger() ?? contextLength
    }
    switch kind {
    // Dynamic scaling begins past the context length, and longer sequences are refused.
    case "default", "dynamic": self = .none
    case "linear": self = .linear(factor: try number("factor"))
    case "llama3":
      self = .llama3(
        factor: try number("factor"), low: try number("low_freq_factor"),
        high: try number("high_freq_factor"), original: try original())
    case "yarn":
      try settings.requireNeutral([("mscale", .null), ("mscale_all_dim", .null)])
      self = .yarn(
        factor: try number("factor"), fast: try numberIfPresent("beta_fast") ?? 32,
        slow: try numberIfPresent("beta_slow") ?? 1, original: try original(),
        truncates: try settings.optional("truncate")?.bool() ?? true,
        magnitude: try numberIfPresent("attention_factor"))
    default: throw ModelError.unsupported(feature: "\(settings.file): rope scaling \(kind)")
    }
  }
}

extension JSONNode {
  /// Refuses settings that are there with a value other than the one that changes nothing.
  ///
  /// - Throws: ``ModelError/unsupported(feature:)``.
  func requireNeutral(_ settings: [(key: String, value: JSON)]) throws {
    for (key, value) in settings {
      guard let found = try optional(key), found.json != value else { continue }
      if let number = found.json.number, number == value.number { continue }
      throw ModelError.unsupported(feature: "\(file): \(found.path) = \(found.json.summary)")
    }
  }
}
