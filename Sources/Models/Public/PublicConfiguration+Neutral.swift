internal import Formats

/// Settings that decide what a network computes and of which there is one value here.
extension PublicConfiguration {
  /// Of Hyena's mixers and their filters. Decays are those of a buffer that not every file has.
  private static let hyena: [(key: String, value: JSON)] = [
    ("outer_mixing", false), ("post_order_ffn", false), ("bidirectional", false), ("linear_mixer", false),
    ("bias", true), ("filter_cls", "hyena-filter"), ("fast_decay_pct", 0.3), ("slow_decay_pct", 1.5),
    ("target", 0.01),
  ]

  /// Of H3's mixers: how a diagonal state space becomes one in steps, and where its poles may lie.
  private static let h3: [(key: String, value: JSON)] = [
    ("mode", "diag"), ("disc", "bilinear"), ("real_type", "exp"), ("bandlimit", .null),
    ("force_real", false),
  ]

  /// Of S4D's mixers.
  private static let s4d: [(key: String, value: JSON)] = [
    ("activation", "gelu"), ("postact", .null), ("bidirectional", false), ("transposed", false),
  ]

  /// Of attention.
  private static let attention: [(key: String, value: JSON)] = [
    ("causal", true), ("rotary_emb_dim", 0), ("cross_attn", false), ("use_alibi", false), ("dwconv", false),
    ("window_size", [-1, -1]), ("qkv_proj_bias", true), ("out_proj_bias", true), ("bias", true),
  ]

  /// Checks what every network here has alike.
  ///
  /// - Throws: ``Formats/FormatError`` naming the setting.
  func requireKnown() throws {
    if let epsilon = try node?.optional("layer_norm_epsilon"), abs(try epsilon.positiveNumber() - 1e-5) > 1e-8
    {
      throw epsilon.wrong("1e-5")
    }
    if let normalised = try layer?.optional("normalized"), try normalised.bool() {
      throw normalised.wrong("false")
    }
    for key in ["num_heads", "num_blocks", "inner_factor"] {
      if let count = try layer?.optional(key), try count.integer() != 1 { throw count.wrong("1") }
    }
  }

  /// Checks what the mixers of a layout have alike, and what the tensors tell of them.
  ///
  /// - Throws: ``ModelError`` and ``Formats/FormatError`` naming the setting.
  func requireKnown(of layout: PublicCheckpoint.Layout, _ settings: SequenceSettings) throws {
    try requirePositions(settings)
    if settings.attends { try requireKnownAttention(settings) }
    // Where all layers have attention nothing is made of the others' settings.
    guard layout != .attention, let layer else { return }
    try layer.requireNeutral([("_name_", .string(layout.rawValue))])
    switch settings.mixer {
    case .hyena:
      try layer.requireNeutral(Self.hyena)
      let names = ["id", "identity", "linear"]
      if let activation = try layer.optional("activation"), !names.contains(try activation.string()) {
        throw ModelError.unsupported(
          feature: "\(activation.file): \(activation.path) = \(activation.json.summary)")
      }
    case .h3(let states, let headWidth):
      try layer.requireNeutral(Self.h3)
      try agree("d_state", states, ofMixer: true)
      try agree("head_dim", headWidth, ofMixer: true)
    case .s4d(let states, _, _):
      try layer.requireNeutral(Self.s4d)
      try agree("d_state", states, ofMixer: true)
    default: break
    }
  }

  private func requirePositions(_ settings: SequenceSettings) throws {
    guard let stated = try node?.optional("max_position_embeddings") else { return }
    let found = settings.learnsPositions ? settings.longest : 0
    guard try stated.integer() == found else {
      throw ModelError.invalid(
        key: stated.path, value: "\(stated.json.summary) in \(stated.file)",
        allowed: "\(found), as the tensors have it")
    }
  }

  private func requireKnownAttention(_ settings: SequenceSettings) throws {
    if let places = try node?.optional("attn_layer_idx") {
      let stated = Set(try places.elements().map { try $0.integer() })
      let found = settings.mixer == .attention ? Array(0..<settings.layers) : settings.attentionLayers
      guard stated == Set(found) else {
        throw ModelError.invalid(
          key: places.path, value: "\(stated.sorted()) in \(places.file)",
          allowed: "\(found), as the tensors have it")
      }
    }
    guard let attention = try node?.optional("attn_cfg") else { return }
    try attention.requireNeutral(Self.attention)
    if let heads = try attention.optional("num_heads_kv") {
      guard try heads.integer() == settings.heads else {
        throw ModelError.unsupported(feature: "\(heads.file): \(heads.path) = \(heads.json.summary)")
      }
    }
    if let scale = try attention.optional("softmax_scale") {
      let own = 1 / Double(settings.width / settings.heads).squareRoot()
      guard abs(try scale.positiveNumber() - own) <= 1e-6 * own else {
        throw ModelError.unsupported(feature: "\(scale.file): \(scale.path) = \(scale.json.summary)")
      }
    }
  }
}
