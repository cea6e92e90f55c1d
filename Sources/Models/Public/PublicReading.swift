internal import Formats

/// Finds out what network a published checkpoint holds.
struct PublicReading {
  /// Largest extent that is believed.
  static let maximumExtent = 1 << 24

  /// The file.
  let tensors: any NamedTensors
  private let configuration: PublicConfiguration
  private let hints: PublicHints
  /// Its names; those of buffers are taken away by ``takeBuffers(_:)``.
  var names: PublicNames
  /// See ``PublicCheckpoint/assumptions``.
  private(set) var assumptions: [String] = []

  init(
    _ tensors: any NamedTensors, _ configuration: PublicConfiguration, _ hints: PublicHints,
    names: PublicNames
  ) {
    self.tensors = tensors
    self.configuration = configuration
    self.hints = hints
    self.names = names
  }

  /// The layout and settings that names and shapes tell; norms and projections are then under the network's names.
  mutating func settings() throws -> (PublicCheckpoint.Layout, SequenceSettings) {
    try configuration.requireKnown()
    let embedding = try shape("backbone.embeddings.word_embeddings.weight", axes: 2)
    let (rows, width) = (embedding[0], embedding[1])
    let layers = names.layers
    guard layers == Array(0..<layers.count), (1...1000).contains(layers.count) else {
      throw ModelError.invalid(
        key: "the layers of \(tensors.file)", value: "\(layers.prefix(5))", allowed: "0 and on, at most 1000")
    }
    names.moveNorms(layers: layers.count)
    let kinds = try layers.map { try kind(of: $0) }
    let layout = kinds.first { $0 != .attention } ?? .attention
    if let other = kinds.firstIndex(where: { $0 != layout && $0 != .attention }) {
      throw ModelError.unsupported(feature: "a network of \(layout) with \(kinds[other]) in layer \(other)")
    }
    for layer in layers where kinds[layer] == .h3 {
      names.separateProjections(layer: layer, width: width)
    }
    let first = kinds.firstIndex(of: layout) ?? 0
    let positions = try optionalShape("backbone.embeddings.position_embeddings.weight", axes: 2)
    var settings = SequenceSettings(
      vocabularySize: rows, vocabularyMultiple: 1, width: width, layers: layers.count,
      feedForward: try shape("backbone.layers.0.mlp.fc1.weight", axes: 2)[0], mixer: .attention, longest: 1,
      learnsPositions: positions != nil)
    settings.mixer = try mixer(layout, "backbone.layers.\(first).mixer", width: width)
    if layout != .attention { settings.attentionLayers = layers.filter { kinds[$0] == .attention } }
    (settings.vocabularySize, settings.vocabularyMultiple) = try vocabulary(rows: rows)
    if settings.attends { settings.heads = try heads(settings) }
    settings.longest = try longest(layout, settings, positions: positions?[0], first: first)
    try requireUse(of: settings)
    try configuration.requireKnown(of: layout, settings)
    settings.embeddingDropout = try configuration.share("embed_dropout") ?? 0
    settings.residualDropout = try configuration.share("resid_dropout") ?? 0
    try configuration.agree("d_model", width)
    try configuration.agree("n_layer", layers.count)
    try configuration.agree("d_inner", settings.feedForward)
    return (layout, settings)
  }

  /// Refuses hints that nothing in the network depends on.
  private func requireUse(of settings: SequenceSettings) throws {
    if let heads = hints.heads, !settings.attends {
      throw ModelError.pointless(
        setting: "--heads", value: "\(heads)", why: "no layer of \(tensors.file) has attention")
    }
    var why = "\(tensors.file) has no filters of Hyena"
    if case .hyena(_, _, _, _, let hasWindow, _, _, _) = settings.mixer {
      guard !hasWindow else { return }
      why = "the filters of \(tensors.file) have no window (modulate is false)"
    } else if let hasWindow = hints.hasWindow {
      throw ModelError.pointless(setting: hasWindow ? "--window" : "--no-window", value: "", why: why)
    }
    if let shift = hints.windowShift {
      throw ModelError.pointless(setting: "--window-shift", value: "\(shift)", why: why)
    }
  }

  /// What mixes positions in a layer.
  private func kind(of layer: Int) throws -> PublicCheckpoint.Layout {
    let mixer = "backbone.layers.\(layer).mixer."
    if names.contains(mixer + "filter_fn.bias") { return .hyena }
    if names.contains(mixer + "ssm_k_kernel.kernel.B") { return .h3 }
    if names.contains(mixer + "kernel.kernel.log_w_real") { return .s4d }
    if names.contains(mixer + "rotary_emb.inv_freq") {
      throw ModelError.unsupported(
        feature: "\(tensors.file): attention with rotary positions (layer \(layer))")
    }
    if names.contains(mixer + "Wqkv.weight") { return .attention }
    let found = names.places.filter { $0.key.hasPrefix(mixer) }.map(\.value.name).sorted()
    throw ModelError.unknownLayout(file: tensors.file, names: Array(found.prefix(3)))
  }

  /// The settings of what mixes positions, from the shapes of one layer.
  private func mixer(
    _ layout: PublicCheckpoint.Layout, _ scope: String, width: Int
  ) throws -> SequenceSettings.Mixer {
    switch layout {
    case .attention: return .attention
    case .s4d: return .s4d(states: 2 * (try shape("\(scope).kernel.kernel.w_imag", axes: 2)[1]))
    case .h3:
      let states = try shape("\(scope).ssm_k_kernel.kernel.B", axes: 2)[1]
      let kernel = try shape("\(scope).kernel.kernel.C", axes: 4)
      guard states % 2 == 0, width % kernel[1] == 0 else {
        throw ModelError.misshapen(
          tensor: stored("\(scope).kernel.kernel.C"), found: kernel, expected: [1, width, states / 2, 2])
      }
      return .h3(states: states, headWidth: width / kernel[1])
    case .hyena: return try hyena(scope, width: width)
    }
  }

  /// The settings of Hyena, from the shapes of one layer and what is said of its window.
  private func hyena(_ scope: String, width: Int) throws -> SequenceSettings.Mixer {
    let input = try shape("\(scope).in_proj.weight", axes: 2)
    let order = input[0] / width - 1
    guard input[0] % width == 0, (2...8).contains(order) else {
      throw ModelError.misshapen(
        tensor: stored("\(scope).in_proj.weight"), found: input, expected: [3 * width, width])
    }
    let features = try shape("\(scope).filter_fn.pos_emb.z", axes: 3)[2]
    let filterWidth = try shape("\(scope).filter_fn.implicit_filter.0.weight", axes: 2)[0]
    let taps = try shape("\(scope).short_filter.weight", axes: 3)[2]
    guard features % 2 == 1, features >= 3, (2...16).contains(taps) else {
      throw ModelError.unsupported(feature: "\(tensors.file): \(features) features of a lag, or \(taps) taps")
    }
    var inner = 0
    while names.contains("\(scope).filter_fn.implicit_filter.\(2 * inner + 4).weight"), inner < 64 {
      inner += 1
    }
    for (key, value) in [
      ("order", order), ("emb_dim", features), ("filter_order", filterWidth), ("short_filter_order", taps),
      ("num_inner_mlps", inner),
    ] { try configuration.agree(key, value, ofMixer: true) }
    guard let hasWindow = try hints.hasWindow ?? configuration.hasWindow() else {
      throw ModelError.unstated(
        setting: "whether filters have their window (modulate)", file: tensors.file,
        advice:
          "Give its config.json, or say --window or --no-window. Training code of the time had one by default."
      )
    }
    var shift: Float = 0
    if hasWindow {
      guard let stated = try hints.windowShift ?? configuration.windowShift() else {
        throw ModelError.unstated(
          setting: "what is added to the window (shift)", file: tensors.file,
          advice:
            "Say --window-shift: training code of the time added 0, the published loaders of HyenaDNA add 0.05."
        )
      }
      shift = stated
    }
    return .hyena(
      order: order, filterWidth: filterWidth, features: features,
      frequency: try configuration.frequency() ?? 10, hasWindow: hasWindow, innerLayers: inner,
      shortTaps: taps,
      windowShift: shift)
  }

  /// Different tokens, and what their number was rounded up to a multiple of.
  private mutating func vocabulary(rows: Int) throws -> (size: Int, multiple: Int) {
    var stated = try hints.vocabulary ?? configuration.integer("vocab_size")
    if stated == nil, rows == 50264 {
      stated = 50257
      assumptions.append("50257 tokens, those of GPT-2, in 50264 rows")
    }
    let size = stated ?? rows
    guard size <= rows, size > 0 else {
      throw ModelError.invalid(
        key: "vocab_size", value: "\(size)", allowed: "at most the \(rows) rows of the embedding")
    }
    let multiples = [1, 8, 16, 32, 64, 128, 256, rows]
    return (size, multiples.first { (size + $0 - 1) / $0 * $0 == rows } ?? rows)
  }

  /// Published models of H3: width and layers, heads of their attention.
  private static let published = [
    (width: 768, layers: 12, heads: 12), (width: 1024, layers: 24, heads: 16),
    (width: 2048, layers: 24, heads: 16), (width: 2560, layers: 32, heads: 20),
  ]

  /// Heads of attention, which no shape tells.
  private mutating func heads(_ settings: SequenceSettings) throws -> Int {
    var stated = try hints.heads ?? configuration.heads()
    if stated == nil, let known = published(settings) {
      stated = known
      assumptions.append("\(known) heads, those of the published H3 of this size")
    }
    guard let heads = stated else {
      throw ModelError.unstated(
        setting: "how many heads attention has", file: tensors.file,
        advice: "Say --heads, or give its config.json.")
    }
    guard heads > 0, settings.width % heads == 0 else {
      throw ModelError.invalid(key: "heads", value: "\(heads)", allowed: "a divisor of \(settings.width)")
    }
    return heads
  }

  /// Heads of the published H3 of this size; `nil` where there is none.
  private func published(_ settings: SequenceSettings) -> Int? {
    guard case .h3 = settings.mixer else { return nil }
    return Self.published.first { $0.width == settings.width && $0.layers == settings.layers }?.heads
  }

  /// Longest sequence: of filters and learned positions by their shapes, else as stated.
  private mutating func longest(
    _ layout: PublicCheckpoint.Layout, _ settings: SequenceSettings, positions: Int?, first: Int
  ) throws -> Int {
    if layout == .hyena {
      let length = try shape("backbone.layers.\(first).mixer.filter_fn.pos_emb.z", axes: 3)[1]
      try configuration.agree("l_max", length, ofMixer: true)
      try requireLongest(length, of: "filters")
      return length
    }
    if let positions {
      try requireLongest(positions, of: "embeddings of positions")
      return positions
    }
    if let stated = try hints.longest ?? configuration.integer("l_max", ofMixer: true) { return stated }
    if published(settings) != nil {
      assumptions.append("sequences of up to 2048 tokens, as the published H3 was trained")
      return 2048
    }
    throw ModelError.unstated(
      setting: "how long its sequences are", file: tensors.file, advice: "Say --longest.")
  }

  /// Refuses a hint of another length than tensors have.
  private func requireLongest(_ length: Int, of tensors: String) throws {
    guard let longest = hints.longest, longest != length else { return }
    throw ModelError.invalid(
      key: "longest", value: "\(longest)", allowed: "\(length), as the \(tensors) have it")
  }

  /// The shape of a tensor that must be there.
  private func shape(_ name: String, axes: Int) throws -> [Int] {
    let unknown = [Int](repeating: 0, count: axes)
    guard let shape = try optionalShape(name, axes: axes) else {
      throw ModelError.missing(tensor: names.prefix + name, expected: unknown)
    }
    return shape
  }

  /// The shape of a tensor that may be missing.
  private func optionalShape(_ name: String, axes: Int) throws -> [Int]? {
    guard let place = names.places[name], let shape = tensors.shape(place.name) else { return nil }
    guard shape.count == axes, shape.allSatisfy({ (1...Self.maximumExtent).contains($0) }) else {
      throw ModelError.misshapen(tensor: place.name, found: shape, expected: [Int](repeating: 1, count: axes))
    }
    return shape
  }

  /// The file's name for a parameter.
  private func stored(_ name: String) -> String { names.places[name]?.name ?? names.prefix + name }
}
