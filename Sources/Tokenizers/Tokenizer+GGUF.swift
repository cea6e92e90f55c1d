public import Formats

extension Tokenizer {
  /// The byte-level BPE tokenizer that a GGUF file carries.
  ///
  /// - Throws: ``TokenizerError`` for a vocabulary that is damaged or of another kind, ``FormatError`` for metadata
  ///   that is missing or of the wrong type.
  public init(_ file: GGUF) throws {
    let model = try file.metadata.string("tokenizer.ggml.model")
    guard model == "gpt2" else {
      throw TokenizerError.unsupported(what: "tokenizer model", name: model, known: ["gpt2"])
    }
    let pre = try file.metadata.stringIfPresent("tokenizer.ggml.pre") ?? "gpt-2"
    guard let preTokenizer = Self.preTokenizers[pre] else {
      throw TokenizerError.unsupported(
        what: "pre-tokenizer", name: pre, known: Self.preTokenizers.keys.sorted())
    }
    let count = try Self.length(file, "tokenizer.ggml.tokens")
    var names = ByteMap(count: count)
    try file.metadata.forEachString("tokenizer.ggml.tokens") { _, text in names.append(text.array) }
    var types = [Int](repeating: 1, count: count)
    if file.metadata.contains("tokenizer.ggml.token_type") {
      types = try file.metadata.integers("tokenizer.ggml.token_type")
    }
    guard types.count == count else {
      throw TokenizerError.malformed(reason: "\(count) tokens but \(types.count) token types")
    }
    self.preTokenizer = preTokenizer
    ignoresMerges = preTokenizer == .llama3
    vocabularySize = count
    (texts, special, isControl) = try Self.texts(names, types)
    merges = try Self.merges(file, names)
    byteTokens = (0..<256).map { names.number(of: ByteAlphabet.character(UInt8($0))) ?? -1 }
    guard byteTokens.contains(where: { $0 >= 0 }) else {
      throw TokenizerError.malformed(reason: "no token stands for a single byte")
    }
    beginning = try Self.identifier(file, "tokenizer.ggml.bos_token_id", count)
    end = try Self.identifier(file, "tokenizer.ggml.eos_token_id", count)
    // Llama 3 files may leave the key out and still mean yes.
    addsBeginning =
      try file.metadata.boolIfPresent("tokenizer.ggml.add_bos_token") ?? (preTokenizer == .llama3)
    chatTemplate = try file.metadata.stringIfPresent("tokenizer.chat_template")
  }

  /// Names of pre-tokenizers in GGUF files.
  private static let preTokenizers: [String: PreTokenizer] = [
    "gpt-2": .gpt2, "smollm": .smollm, "llama-bpe": .llama3, "llama3": .llama3,
    "llama-v3": .llama3, "qwen2": .qwen2,
  ]

  private static func length(_ file: GGUF, _ key: String) throws -> Int {
    guard let known = file.metadata.type(of: key) else {
      throw FormatError.missingKey(file: file.file, key: key)
    }
    return known.count
  }

  private static func identifier(_ file: GGUF, _ key: String, _ count: Int) throws -> Int32? {
    guard let value = try file.metadata.integerIfPresent(key) else { return nil }
    guard (0..<count).contains(value) else {
      throw TokenizerError.malformed(reason: "\(key) is \(value), the vocabulary has \(count) tokens")
    }
    return Int32(value)
  }

  /// Bytes of each token; types 3 and 4 are control and user-defined tokens, written as they stand.
  private static func texts(
    _ names: ByteMap, _ types: [Int]
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
    var merges = BytePairMerges(count: try length(file, "tokenizer.ggml.merges"))
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
}

extension Span<UInt8> {
  /// The bytes as an array.
  fileprivate var array: [UInt8] { indices.map { self[$0] } }
}
