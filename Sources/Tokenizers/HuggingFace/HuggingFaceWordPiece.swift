internal import Formats

/// Word pieces as `tokenizer.json` describes them.
struct HuggingFaceWordPiece {
  private let tokenizer: JSONNode
  private let vocabulary: HuggingFaceVocabulary

  init(_ tokenizer: JSONNode, _ vocabulary: HuggingFaceVocabulary) {
    self.tokenizer = tokenizer
    self.vocabulary = vocabulary
  }

  /// What the tokens stand for, and the model.
  func parts() throws -> (Vocabulary, TokenModel) {
    let cutter = try tokenizer.optional("pre_tokenizer")?.required("type").string() ?? "none"
    guard cutter == "BertPreTokenizer" else {
      throw TokenizerError.unsupported(
        what: "pre-tokenizer", name: "\(cutter) with WordPiece", known: ["BertPreTokenizer"])
    }
    let model = try tokenizer.required("model")
    let mark = Array((try model.optional("continuing_subword_prefix")?.string() ?? "##").utf8)
    guard !mark.isEmpty else {
      throw TokenizerError.malformed(
        reason: "continuing_subword_prefix is empty: no piece would continue a word")
    }
    let unknown = try vocabulary.requiredID(
      model.optional("unk_token")?.string() ?? "[UNK]", for: "the unknown token")
    let names = vocabulary.names
    let pieces = (0..<names.count).map { WordPieceModel.piece(names[$0], continuation: mark) }
    let wordPieces = try WordPieceModel(
      pieces, normalizer: normalizer(), unknown: unknown,
      longestWord: model.optional("max_input_chars_per_word")?.positiveInteger() ?? 100)
    let result = try vocabulary.vocabulary { number, _ in
      (pieces[number].continues ? [] : [0x20]) + pieces[number].bytes
    }
    return (result, .wordPieces(wordPieces))
  }

  private func normalizer() throws -> BertNormalizer {
    guard let node = try tokenizer.optional("normalizer") else {
      return BertNormalizer(
        cleansText: false, isolatesChinese: false, stripsAccents: false, lowercases: false)
    }
    let name = try node.required("type").string()
    guard name == "BertNormalizer" else {
      throw TokenizerError.unsupported(
        what: "normalizer", name: "\(name) with WordPiece", known: ["BertNormalizer"])
    }
    let lowercases = try node.optional("lowercase")?.bool() ?? true
    return BertNormalizer(
      cleansText: try node.optional("clean_text")?.bool() ?? true,
      isolatesChinese: try node.optional("handle_chinese_chars")?.bool() ?? true,
      stripsAccents: try node.optional("strip_accents")?.bool() ?? lowercases, lowercases: lowercases)
  }
}
