internal import Formats
internal import Glibc
internal import Memory

/// Finds out what M2-BERT a published checkpoint holds.
struct PublicMonarchMixerReading {
  let tensors: any NamedTensors
  /// Of the file, by the network's names.
  let places: [String: String]

  private static let mixer = "bert.encoder.layer.0.attention"

  /// Settings that decide what a network computes and of which there is one value here.
  private static let neutralSettings: [(key: String, value: JSON)] = [
    ("layer_norm_eps", 1e-12), ("hidden_act", "gelu"), ("pad_token_id", 0),
    ("use_positional_encodings", true),
    ("monarch_mixer_sequence_mixing", true), ("bidirectional", true), ("residual_long_conv", true),
    ("use_glu_mlp", true), ("use_monarch_mlp", true), ("use_learnable_monarch", false), ("hyena_w_mod", 1),
    ("attention_pooling", false), ("use_cls_token", false), ("sequence_token_planting", false),
  ]

  private func shape(_ name: String, axes: Int) throws -> [Int] {
    guard let stored = places[name], let shape = tensors.shape(stored) else {
      throw ModelError.missing(tensor: name, expected: [])
    }
    guard shape.count == axes, shape.allSatisfy({ (1...PublicReading.maximumExtent).contains($0) }) else {
      throw ModelError.misshapen(tensor: stored, found: shape, expected: [Int](repeating: 0, count: axes))
    }
    return shape
  }

  private func has(_ name: String) -> Bool { places[name] != nil }

  /// What names and shapes tell.
  func settings(_ configuration: JSONNode?) throws -> (MonarchMixerSettings, PublicMonarchMixer.Head) {
    let embedding = try shape("bert.embeddings.word_embeddings.weight", axes: 2)
    let features = try shape("\(Self.mixer).filter_fn.pos_emb.z", axes: 3)
    let network = try shape("\(Self.mixer).filter_fn.implicit_filter.0.weight", axes: 2)
    let gated = try requireKnown()
    let layers = self.layers
    guard layers == Array(0..<layers.count), (1...1000).contains(layers.count) else {
      throw ModelError.invalid(
        key: "the layers of \(tensors.file)", value: "\(layers.prefix(5))", allowed: "0 and on, at most 1000")
    }
    let (inner, overflow) = gated[0].multipliedReportingOverflow(by: gated[1])
    guard !overflow, inner % 2 == 0, embedding[1] % gated[0] == 0, features[2] % 2 == 1, features[2] >= 3
    else {
      throw ModelError.misshapen(
        tensor: "bert.encoder.layer.0.mlp.gated_layers.weight", found: gated,
        expected: [gated[0], 2 * gated[1], embedding[1] / gated[0]])
    }
    var settings = MonarchMixerSettings(
      vocabularySize: embedding[0], width: embedding[1], layers: layers.count, feedForward: inner / 2,
      longest: try shape("bert.embeddings.position_embeddings.weight", axes: 2)[0])
    settings.segments = try shape("bert.embeddings.token_type_embeddings.weight", axes: 2)[0]
    settings.feedForwardBlocks = gated[0]
    (settings.filterWidth, settings.features) = (network[0], features[2])
    settings.normalisesFirst = has("\(Self.mixer).layernorm.weight")
    settings.dropout = try configuration?.share("hidden_dropout_prob") ?? 0.1
    guard features[1] == settings.longest else {
      throw ModelError.misshapen(
        tensor: "\(Self.mixer).filter_fn.pos_emb.z", found: features,
        expected: [1, settings.longest, features[2]])
    }
    if let configuration { try require(settings, in: configuration) }
    return (settings, try head())
  }

  /// Checks a configuration against what the tensors tell, and refuses what they do not and the network does not do.
  private func require(_ settings: MonarchMixerSettings, in configuration: JSONNode) throws {
    try configuration.requireNeutral(
      Self.neutralSettings + [("hyena_training_additions", .bool(settings.normalisesFirst))])
    if let stated = try configuration.optional("vocab_size")?.positiveInteger() {
      // Rows are padded to a multiple of eight; files state the number before or after.
      guard stated == settings.vocabularySize || (stated + 7) / 8 * 8 == settings.vocabularySize else {
        throw disagreement("vocab_size", stated, settings.vocabularySize, configuration)
      }
    }
    for (key, found) in [
      ("type_vocab_size", settings.segments), ("hyena_emb_dim", settings.features),
      ("hidden_size", settings.width), ("num_hidden_layers", settings.layers),
      ("intermediate_size", settings.feedForward), ("max_position_embeddings", settings.longest),
      ("long_conv_l_max", settings.longest), ("hyena_filter_order", settings.filterWidth),
      ("monarch_mlp_nblocks", settings.feedForwardBlocks),
    ] {
      guard let stated = try configuration.optional(key)?.positiveInteger(), stated != found else { continue }
      throw disagreement(key, stated, found, configuration)
    }
  }

  private func disagreement(
    _ key: String, _ stated: Int, _ found: Int, _ configuration: JSONNode
  ) -> ModelError {
    .invalid(
      key: key, value: "\(stated) in \(configuration.file)", allowed: "\(found), as the tensors have it")
  }

  /// Refuses what the paper's code can also build and nobody has published.
  ///
  /// - Returns: extents of the first layer's gated matrix.
  private func requireKnown() throws -> [Int] {
    for (part, meaning) in [
      ("filter_fn2.bias", "no convolution beside the gates"),
      ("filter_fn.implicit_filter_rev.0.weight", "filters of one side"),
      ("filter_fn.implicit_filter.6.weight", "networks of filters with other than two inner layers"),
    ] where !has("\(Self.mixer).\(part)") {
      throw ModelError.unsupported(feature: "\(tensors.file): M2-BERT with \(meaning)")
    }
    guard !has("\(Self.mixer).filter_fn.implicit_filter.8.weight") else {
      throw ModelError.unsupported(
        feature: "\(tensors.file): M2-BERT with networks of filters with other than two inner layers")
    }
    guard has("bert.encoder.layer.0.mlp.gated_layers.weight"),
      tensors.shape(places["bert.encoder.layer.0.mlp.gated_layers.weight"] ?? "")?.count == 3
    else { throw ModelError.unsupported(feature: "\(tensors.file): M2-BERT with dense feed-forward layers") }
    return try shape("bert.encoder.layer.0.mlp.gated_layers.weight", axes: 3)
  }

  private func head() throws -> PublicMonarchMixer.Head {
    if has("cls.predictions.transform.dense.weight") { return .masked }
    guard has("bert.pooler.dense.weight") else {
      throw ModelError.unsupported(
        feature: "\(tensors.file): M2-BERT without a head for masked tokens and without a pooler")
    }
    return .pooled(classes: has("classifier.weight") ? try shape("classifier.weight", axes: 2)[0] : 0)
  }

  private var layers: [Int] {
    let start = "bert.encoder.layer."
    let numbers = places.keys.compactMap { name in
      name.hasPrefix(start) ? Int(name.dropFirst(start.count).prefix { $0 != "." }) : nil
    }
    return Set(numbers).sorted()
  }

  // MARK: Buffers

  /// The names without those of what the network computes itself or shares, after a look at the numbers.
  func withoutBuffers(_ settings: MonarchMixerSettings) throws -> [String: String] {
    var places = places
    func take(_ name: String, is meaning: String, _ expected: (Int) -> ((Int) -> Float)?) throws {
      guard let stored = places.removeValue(forKey: name) else { return }
      try tensors.require(stored, is: meaning, expected)
    }
    func same(_ name: String, as other: String) throws {
      guard let stored = places[other] else { return }
      let numbers = try tensors.tensor(stored).floats(stored)
      try take(name, is: "those of \(stored)") { $0 == numbers.count ? { numbers[$0] } : nil }
    }
    let longest = settings.longest
    if let stored = places.removeValue(forKey: "bert.embeddings.position_ids") {
      // They are counted, not read: older files have these numbers of eight bytes at any place.
      guard let shape = tensors.shape(stored), shape == [1, longest] || shape == [longest] else {
        throw ModelError.misshapen(
          tensor: stored, found: tensors.shape(stored) ?? [], expected: [1, longest])
      }
    }
    try same("cls.predictions.decoder.weight", as: "bert.embeddings.word_embeddings.weight")
    try same("cls.predictions.bias", as: "cls.predictions.decoder.bias")
    let (slow, fast) = (log(0.01) / 1.5, log(0.01) / 0.3)
    for layer in 0..<settings.layers {
      for number in ["filter_fn", "filter_fn2"] {
        let filter = "bert.encoder.layer.\(layer).attention.\(number)"
        try take("\(filter).pos_emb.t", is: "lags from 0 to 1") { count in
          count == longest ? { Float(Double($0) / Double(max(1, longest - 1))) } : nil
        }
        try take("\(filter).modulation.deltas", is: "rates of decay from ln(0.01) / 1.5 to ln(0.01) / 0.3") {
          count in
          count == settings.width
            ? { Float(slow + (fast - slow) * Double($0) / Double(max(1, count - 1))) } : nil
        }
        for (network, places) in [("implicit_filter", [3, 5]), ("implicit_filter_rev", [1, 3, 5])] {
          for place in places {
            try same("\(filter).\(network).\(place).freq", as: "\(filter).implicit_filter.1.freq")
          }
        }
      }
    }
    return places
  }
}
