internal import Formats

/// The tokens of `tokenizer.json`, of its model and those added.
struct HuggingFaceVocabulary {
  /// Names by id; empty for a number that no token has.
  let names: ByteMap
  /// Tokens that steer the model.
  let control: Set<Int32>
  /// Tokens added as text, taken whole wherever they stand.
  let added: [Int32]

  /// More ids than any vocabulary has: a file that claims more is damaged.
  static let largest = 1 << 24

  init(_ tokenizer: JSONNode) throws {
    let vocabulary = try tokenizer.required("model").required("vocab")
    var byID: [Int: String] = [:]
    for member in try vocabulary.object().members {
      guard let id = member.value.integer, (0..<Self.largest).contains(id) else {
        throw TokenizerError.malformed(
          reason:
            "token \"\(member.key.prefix(60))\" has the id \(member.value.summary); ids are 0 to \(Self.largest - 1)"
        )
      }
      if let other = byID.updateValue(member.key, forKey: id) {
        throw TokenizerError.malformed(
          reason: "tokens \"\(other.prefix(60))\" and \"\(member.key.prefix(60))\" both have the id \(id)")
      }
    }
    guard !byID.isEmpty else { throw TokenizerError.malformed(reason: "it has no tokens") }
    let hasNormalizer =
      try tokenizer.optional("normalizer").map { try $0.required("type").string() != "NFC" } ?? false
    var control: Set<Int32> = []
    var added: [Int32] = []
    for token in try tokenizer.optional("added_tokens")?.elements() ?? [] {
      let id = try token.required("id").integer(in: 0...(Self.largest - 1))
      let content = try token.required("content").string()
      let isSpecial = try token.optional("special")?.bool() ?? false
      try Self.requirePlain(token, content, hasNormalizer: hasNormalizer)
      if let name = byID.updateValue(content, forKey: id), !name.utf8.elementsEqual(content.utf8) {
        throw TokenizerError.malformed(
          reason: "added token \"\(content.prefix(60))\" has the id \(id), which is \"\(name.prefix(60))\"")
      }
      if isSpecial { control.insert(Int32(id)) } else { added.append(Int32(id)) }
    }
    let count = (byID.keys.max() ?? 0) + 1
    guard count <= 2 * byID.count + 65_536 else {
      throw TokenizerError.malformed(reason: "\(byID.count) tokens, but ids up to \(count - 1)")
    }
    var names = try ByteMap(count: count)
    for id in 0..<count {
      let isNew = try names.append(Array((byID[id] ?? "").utf8))
      guard isNew || byID[id] == nil else {
        throw TokenizerError.malformed(reason: "token \(id), \"\(byID[id]?.prefix(60) ?? "")\", occurs twice")
      }
    }
    self.names = names
    self.control = control
    self.added = added
  }

  /// Refuses what would match more or less than the token's own text.
  private static func requirePlain(_ token: JSONNode, _ content: String, hasNormalizer: Bool) throws {
    for key in ["lstrip", "rstrip", "single_word"] {
      guard try token.optional(key)?.bool() ?? false else { continue }
      throw TokenizerError.unsupported(
        what: "added token \"\(content)\" with", name: "\(key): true", known: ["\(key): false"])
    }
    let isNormalized =
      try token.optional("normalized")?.bool() ?? !(try token.optional("special")?.bool() ?? false)
    if isNormalized, hasNormalizer {
      throw TokenizerError.unsupported(
        what: "added token \"\(content)\" beside a normalizer with", name: "normalized: true",
        known: ["normalized: false"])
    }
  }

  /// The id of a token by name.
  func id(_ name: String) -> Int32? { name.isEmpty ? nil : names.number(of: Array(name.utf8)) }

  /// The id of a token that must be there.
  func requiredID(_ name: String, for what: String) throws -> Int32 {
    guard let id = id(name) else {
      throw TokenizerError.malformed(reason: "\(what) is \"\(name.prefix(60))\", which is no token")
    }
    return id
  }

  /// The vocabulary, with the text of each token that stands for text.
  func vocabulary(_ text: (Int, ArraySlice<UInt8>) -> [UInt8]) throws -> Vocabulary {
    var texts = try ByteMap(count: names.count)
    let untouched = control.union(added)
    for number in 0..<names.count {
      let name = names[number]
      try texts.append(untouched.contains(Int32(number)) ? Array(name) : text(number, name))
    }
    return Vocabulary(texts: texts, control: control, added: added)
  }
}
