internal import Formats

/// Byte pair encoding as `tokenizer.json` describes it.
struct HuggingFaceBPE {
  private let tokenizer: JSONNode
  private let model: JSONNode
  private let vocabulary: HuggingFaceVocabulary

  init(_ tokenizer: JSONNode, _ vocabulary: HuggingFaceVocabulary) throws {
    self.tokenizer = tokenizer
    self.vocabulary = vocabulary
    model = try tokenizer.required("model")
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = try model.optional(key)?.string(), !text.isEmpty {
        throw TokenizerError.unsupported(what: "BPE with \(key)", name: "\"\(text)\"", known: ["null"])
      }
    }
    if let dropout = try model.optional("dropout")?.number(), dropout != 0 {
      throw TokenizerError.unsupported(what: "BPE with dropout", name: "\(dropout)", known: ["null", "0"])
    }
  }

  /// What the tokens stand for, and the model.
  func parts() throws -> (Vocabulary, TokenModel) {
    let shape = try HuggingFacePreTokenizer(tokenizer)
    switch shape.kind {
    case .byteLevel(let preTokenizer, let addsSpace, let composes):
      return try byteLevel(preTokenizer, addsSpace: addsSpace, composes: composes)
    case .pieces(let prefix, let cutsAtSpaces):
      return try pieces(prefix, cutsAtSpaces: cutsAtSpaces)
    }
  }

  private func byteLevel(
    _ preTokenizer: PreTokenizer, addsSpace: Bool, composes: Bool
  ) throws -> (Vocabulary, TokenModel) {
    let result = try vocabulary.vocabulary { ByteAlphabet.decode($1) ?? Array($1) }
    let pairs = try pairs()
    var merges = BytePairMerges(count: pairs.count)
    for (rank, pair) in pairs.enumerated() { merges.insert(pair.0, pair.1, rank: rank, into: pair.2) }
    let ignoresMerges = try model.optional("ignore_merges")?.bool() ?? false
    let byteLevel = try ByteLevelModel(
      preTokenizer, merges: merges, names: vocabulary.names, whole: ignoresMerges ? result : nil,
      addsSpace: addsSpace, composes: composes)
    if let unknown = try model.optional("unk_token")?.string(), byteLevel.byteTokens.contains(-1) {
      throw TokenizerError.malformed(
        reason:
          "not every byte has a token, and \"\(unknown)\" for unknown bytes is not supported with ByteLevel")
    }
    return (result, .byteLevel(byteLevel))
  }

  private func pieces(
    _ prefix: PieceModel.Prefix, cutsAtSpaces: Bool
  ) throws -> (Vocabulary, TokenModel) {
    if try model.optional("ignore_merges")?.bool() ?? false {
      throw TokenizerError.unsupported(
        what: "BPE without ByteLevel with", name: "ignore_merges: true", known: ["ignore_merges: false"])
    }
    var rules = PieceModel.Rules()
    rules.prefix = prefix
    rules.cutsAtSpaces = cutsAtSpaces
    rules.fusesUnknown = try model.optional("fuse_unk")?.bool() ?? false
    let hasBytes = try model.optional("byte_fallback")?.bool() ?? false
    let bytes = hasBytes ? try ByteTokens(vocabulary.names) : ByteTokens()
    rules.bytes = bytes.tokens
    rules.unknown = try model.optional("unk_token").map {
      try vocabulary.requiredID($0.string(), for: "the unknown token")
    }
    let table = try PieceTable(vocabulary.names, pairs: pairs())
    let result = try vocabulary.vocabulary { number, name in
      bytes.values[Int32(number)].map { [$0] } ?? PieceModel.spaced(name)
    }
    return (result, .pieces(PieceModel(table, rules: rules, fixed: nil)))
  }

  /// The merges, as "a b" or ["a", "b"], with what they make.
  private func pairs() throws -> [(Int32, Int32, Int32)] {
    var result: [(Int32, Int32, Int32)] = []
    let node = try model.required("merges")
    guard case .array(let merges) = node.json else { throw node.wrong("an array") }
    result.reserveCapacity(merges.count)
    for (rank, merge) in merges.enumerated() {
      let (left, right) = try Self.sides(merge, rank)
      guard let a = vocabulary.names.number(of: left), let b = vocabulary.names.number(of: right),
        let merged = vocabulary.names.number(of: left + right)
      else {
        throw TokenizerError.malformed(
          reason: "merge \(rank), \(merge.summary), names tokens that the vocabulary does not have")
      }
      result.append((a, b, merged))
    }
    return result
  }

  private static func sides(_ merge: JSON, _ rank: Int) throws -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
    if case .array(let sides) = merge, sides.count == 2, let left = sides[0].string,
      let right = sides[1].string
    {
      return (Array(left.utf8)[...], Array(right.utf8)[...])
    }
    let sides =
      merge.string.map { Array($0.utf8).split(separator: 0x20, omittingEmptySubsequences: false) } ?? []
    guard sides.count == 2 else {
      throw TokenizerError.malformed(reason: "merge \(rank) is \(merge.summary); merges are two tokens")
    }
    return (sides[0], sides[1])
  }
}
