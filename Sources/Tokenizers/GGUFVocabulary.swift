internal import Formats

/// What a token is for, numbered as in GGUF files.
enum TokenType: Int {
  case normal = 1
  case unknown, control, userDefined, unused, byte

  /// Whether the token's name is text in the model's own spelling.
  var isPlain: Bool { self != .control && self != .userDefined }
}

extension [TokenType] {
  /// The tokens of one type.
  func all(_ type: TokenType) -> Set<Int32> {
    Set(indices.filter { self[$0] == type }.map(Int32.init))
  }
}

/// The lists of a GGUF file that make a vocabulary, checked against each other.
struct GGUFVocabulary {
  let file: GGUF

  /// Tokens by name, in order.
  ///
  /// - Throws: ``TokenizerError/malformed(reason:)`` for none, too many or two of one name.
  func names() throws -> ByteMap {
    let count = try length("tokenizer.ggml.tokens")
    guard count > 0 else { throw TokenizerError.malformed(reason: "it has no tokens") }
    var names = try ByteMap(count: count)
    var failure: TokenizerError?
    try file.metadata.forEachString("tokenizer.ggml.tokens") { index, text in
      guard failure == nil else { return }
      do throws(TokenizerError) {
        guard try names.append(text.array) else {
          let name = String(decoding: text.array.prefix(60), as: UTF8.self)
          throw .malformed(reason: "token \(index), \"\(name)\", occurs twice")
        }
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return names
  }

  /// The type of each token; all are normal where the file does not say.
  func types(_ count: Int) throws -> [TokenType] {
    let key = "tokenizer.ggml.token_type"
    guard file.metadata.contains(key) else { return [TokenType](repeating: .normal, count: count) }
    let values = try file.metadata.integers(key)
    guard values.count == count else {
      throw TokenizerError.malformed(reason: "\(count) tokens but \(values.count) token types")
    }
    return try values.enumerated().map { index, value in
      guard let type = TokenType(rawValue: value) else {
        throw TokenizerError.malformed(reason: "token \(index) has type \(value); types are 1 to 6")
      }
      return type
    }
  }

  /// The score of each token.
  func scores(_ count: Int) throws -> [Float] {
    let scores = try file.metadata.floats("tokenizer.ggml.scores")
    guard scores.count == count else {
      throw TokenizerError.malformed(reason: "\(count) tokens but \(scores.count) scores")
    }
    if let bad = scores.firstIndex(where: { !$0.isFinite }) {
      throw TokenizerError.malformed(reason: "token \(bad) has the score \(scores[bad])")
    }
    return scores
  }

  /// A token id under `key`, in the vocabulary's range.
  func identifier(_ key: String, _ count: Int) throws -> Int32? {
    guard let value = try file.metadata.integerIfPresent(key) else { return nil }
    guard (0..<count).contains(value) else {
      throw TokenizerError.malformed(reason: "\(key) is \(value), the vocabulary has \(count) tokens")
    }
    return Int32(value)
  }

  /// Beginning and end, and whether the model expects the beginning.
  ///
  /// - Parameter addsBeginning: what holds where the file does not say.
  func frame(_ count: Int, addsBeginning: Bool) throws -> Tokenizer.Frame {
    var frame = Tokenizer.Frame()
    frame.beginning = try identifier("tokenizer.ggml.bos_token_id", count)
    frame.end = try identifier("tokenizer.ggml.eos_token_id", count)
    let stated = try file.metadata.boolIfPresent("tokenizer.ggml.add_bos_token")
    if stated == true, frame.beginning == nil {
      throw TokenizerError.malformed(
        reason: "tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing")
    }
    frame.isAdded = stated ?? (addsBeginning && frame.beginning != nil)
    return frame
  }

  /// The chat template.
  func chatTemplate() throws -> String? { try file.metadata.stringIfPresent("tokenizer.chat_template") }

  /// The merges, each between tokens and into one.
  func merges(_ names: ByteMap) throws -> BytePairMerges {
    var merges = BytePairMerges(count: try length("tokenizer.ggml.merges"))
    try file.metadata.forEachString("tokenizer.ggml.merges") { (rank, text) throws(FormatError) in
      let bytes = text.array
      let space = bytes.firstIndex(of: 0x20) ?? bytes.count
      let (left, right) = (bytes[..<space], bytes[min(space + 1, bytes.count)...])
      guard let a = names.number(of: left), let b = names.number(of: right),
        let merged = names.number(of: left + right)
      else {
        throw FormatError.malformed(
          file: file.file, item: "merge \(rank)", reason: "it names tokens that the vocabulary does not have")
      }
      merges.insert(a, b, rank: rank, into: merged)
    }
    return merges
  }

  private func length(_ key: String) throws -> Int {
    guard let known = file.metadata.type(of: key) else {
      throw FormatError.missingKey(file: file.file, key: key)
    }
    return known.count
  }
}

extension Span<UInt8> {
  /// The bytes as an array.
  fileprivate var array: [UInt8] { indices.map { self[$0] } }
}
