internal import Formats

/// What is known of a published checkpoint beside its tensors: what somebody says, and what its `config.json` says.
public struct PublicHints: Sendable {
  /// Heads of attention.
  public var heads: Int?
  /// Longest sequence.
  public var longest: Int?
  /// Different tokens.
  public var vocabulary: Int?
  /// Whether the window of implicit filters is applied: the file has its numbers either way.
  public var hasWindow: Bool?
  /// What is added to the window.
  public var windowShift: Float?

  /// Nothing but what the file says.
  public init() {}
}

/// A `config.json` of the repositories that the layouts come from, as far as it decides what a network computes.
struct PublicConfiguration {
  /// The object itself.
  let node: JSONNode?
  /// Settings of the mixers.
  let layer: JSONNode?

  /// - Parameter node: an object such as `{"d_model": 128, "layer": {"l_max": 1026}}`, alone or below `model`; `nil` where
  ///   there is none.
  init(_ node: JSONNode?) throws(FormatError) {
    let model = try node?.optional("model")
    let found = model?.json.object != nil ? model : node
    self.node = found
    let layer = try found?.optional("layer")
    self.layer = layer?.json.object != nil ? layer : nil
  }

  /// A whole number of the network, or of its mixers.
  func integer(_ key: String, ofMixer: Bool = false) throws(FormatError) -> Int? {
    try (ofMixer ? layer : node)?.optional(key)?.positiveInteger()
  }

  /// Heads of attention, under any of the names in use.
  func heads() throws(FormatError) -> Int? {
    if let heads = try node?.optional("attn_cfg")?.optional("num_heads") {
      return try heads.positiveInteger()
    }
    for key in ["n_head", "num_heads", "num_attention_heads"] {
      if let heads = try integer(key) { return heads }
    }
    return nil
  }

  /// Whether the window is applied.
  func hasWindow() throws(FormatError) -> Bool? { try layer?.optional("modulate")?.bool() }

  /// What is added to the window.
  func windowShift() throws(FormatError) -> Float? {
    guard let shift = try layer?.optional("shift") else { return nil }
    return Float(try shift.number())
  }

  /// Frequency of the sines at the beginning.
  func frequency() throws(FormatError) -> Float? {
    guard let frequency = try layer?.optional("w") else { return nil }
    return Float(try frequency.positiveNumber())
  }

  /// A share of numbers that training drops.
  func share(_ key: String) throws(FormatError) -> Float? { try node?.share(key) }

  /// Checks a number of the file's tensors against the configuration's.
  func agree(_ key: String, _ found: Int, ofMixer: Bool = false) throws {
    guard let stated = try integer(key, ofMixer: ofMixer), stated != found else { return }
    throw ModelError.invalid(
      key: key, value: "\(stated) in \(node?.file ?? "the configuration")",
      allowed: "\(found), as the tensors have it")
  }
}
