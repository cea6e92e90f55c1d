public import Formats

extension Tokenizer {
  /// The byte-level BPE tokenizer that a GGUF file carries.
  ///
  /// - Throws: ``TokenizerError`` for a vocabulary that is damaged or of another kind, ``FormatError`` for metadata
  ///   that is missing or of the wrong type.
  public init(_ file: GGUF) throws {
    let model = try file.string("tokenizer.ggml.model")
    guard model == "gpt2" else {
      throw TokenizerError.unsupported(what: "tokenizer model", name: model, known: ["gpt2"])
    }
    let pre = try file.optionalString("tokenizer.ggml.pre") ?? "gpt-2"
    guard let preTokenizer = Self.preTokenizers[pre] else {
      throw TokenizerError.unsupported(
        what: "pre-tokenizer", name: pre, known: Self.preTokenizers.keys.sorted())
    }
    let count = try file.stringCount("tokenizer.ggml.tokens")
    var names = ByteMap(count: count)
    unsafe try file.forEachString("tokenizer.ggml.tokens") { unsafe names.append($0) }
    var types = [Int32](repeating: 1, count: count)
    if file["tokenizer.ggml.token_type"] != nil { types = try file.integers("tokenizer.ggml.token_type") }
    guard types.count == count else {
      throw TokenizerError.malformed(reason: "\(count) tokens but \(types.count) token types")
    }
    self.preTokenizer = preTokenizer
    ignoresMerges = pre == "llama-bpe"
    vocabularySize = count
    (texts, special, isControl) = try Self.texts(names, types)
    merges = try Self.merges(file, names)
    byteTokens = (0..<256).map { names.number(of: ByteAlphabet.character(UInt8($0))) ?? -1 }
    guard byteTokens.contains(where: { $0 >= 0 }) else {
      throw TokenizerError.malformed(reason: "no token stands for a single byte")
    }
    beginning = try Self.identifier(file, "tokenizer.ggml.bos_token_id", count)
    end = try Self.identifier(file, "tokenizer.ggml.eos_token_id", count)
    addsBeginning = try file.optionalBool("tokenizer.ggml.add_bos_token") ?? false
    chatTemplate = try file.optionalString("tokenizer.chat_template")
  }

  /// Names of pre-tokenizers in GGUF files.
  private static let preTokenizers: [String: PreTokenizer] = [
    "gpt-2": .gpt2, "smollm": .smollm, "llama-bpe": .llama3, "llama3": .llama3, "qwen2": .qwen2,
  ]

  private static func identifier(_ file: GGUF, _ key: String, _ count: Int) throws -> Int32? {
    guard let value = try file.optionalInteger(key) else { return nil }
    guard (0..<count).contains(value) else {
      throw TokenizerError.malformed(reason: "\(key) is \(value), the vocabulary has \(count) tokens")
    }
    return Int32(value)
  }

  /// Bytes of each token; types 3 and 4 are control and user-defined tokens, written as they stand.
  private static func texts(
    _ names: ByteMap, _ types: [Int32]
  ) throws -> (ByteMap, [UInt8: [Int32]], Set<Int32>) {
    var texts = ByteMap(count: names.count)
    var special: [UInt8: [Int32]] = [:]
    var control: Set<Int32> = []
    for number in 0..<names.count {
      let name = names[number]
      if types[number] == 3 || types[number] == 4 {
        texts.append(name)
        if let first = name.first { special[first, default: []].append(Int32(number)) }
        if types[number] == 3 { control.insert(Int32(number)) }
      } else {
        texts.append(ByteAlphabet.decode(name) ?? Array(name))
      }
    }
    for key in special.keys { special[key]?.sort { names[Int($0)].count > names[Int($1)].count } }
    return (texts, special, control)
  }

  private static func merges(_ file: GGUF, _ names: ByteMap) throws -> BytePairMerges {
    var merges = BytePairMerges(count: try file.stringCount("tokenizer.ggml.merges"))
    var rank = 0
    unsafe try file.forEachString("tokenizer.ggml.merges") { (text) throws(FormatError) in
      let pair = unsafe text.firstIndex(of: 0x20).map { unsafe (text[..<$0], text[($0 + 1)...]) }
      if let (left, right) = unsafe pair, let a = unsafe names.number(of: left),
        let b = unsafe names.number(of: right), let merged = unsafe names.number(of: Array(left) + right)
      {
        merges.insert(a, b, rank: rank, into: merged)
        rank += 1
      } else {
        throw FormatError.malformed(
          file: file.name, reason: "merge \(rank) names tokens that the vocabulary does not have.")
      }
    }
    return merges
  }
}
