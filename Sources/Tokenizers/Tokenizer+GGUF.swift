public import Formats

extension Tokenizer {
  /// The tokenizer that a GGUF file carries: byte-level BPE, SentencePiece BPE or BERT's word pieces.
  ///
  /// - Throws: ``TokenizerError`` for a vocabulary that is damaged or of another kind, ``FormatError`` for metadata
  ///   that is missing or of the wrong type.
  public init(_ file: GGUF) throws {
    let model = try file.metadata.string("tokenizer.ggml.model")
    let source = GGUFVocabulary(file: file)
    switch model {
    case "gpt2": try self.init(byteLevel: source)
    case "llama": try self.init(pieces: source)
    case "bert": try self.init(wordPieces: source)
    default:
      throw TokenizerError.unsupported(
        what: "tokenizer model", name: model, known: ["bert", "gpt2", "llama"])
    }
  }

  /// Names of pre-tokenizers in GGUF files.
  private static let preTokenizers: [String: PreTokenizer] = [
    "gpt-2": .gpt2, "smollm": .smollm, "llama-bpe": .llama3, "llama3": .llama3,
    "llama-v3": .llama3, "qwen2": .qwen2,
  ]

  private init(byteLevel source: GGUFVocabulary) throws {
    let pre = try source.file.metadata.stringIfPresent("tokenizer.ggml.pre") ?? "gpt-2"
    guard let preTokenizer = Self.preTokenizers[pre] else {
      throw TokenizerError.unsupported(
        what: "pre-tokenizer", name: pre, known: Self.preTokenizers.keys.sorted())
    }
    let names = try source.names()
    let types = try source.types(names.count)
    var texts = try ByteMap(count: names.count)
    for number in 0..<names.count {
      let name = names[number]
      try texts.append(types[number].isPlain ? ByteAlphabet.decode(name) ?? Array(name) : Array(name))
    }
    let vocabulary = Vocabulary(
      texts: texts, control: types.all(.control), added: types.all(.userDefined).sorted())
    let model = try ByteLevelModel(
      preTokenizer, merges: source.merges(names), names: names,
      whole: preTokenizer == .llama3 ? vocabulary : nil)
    // Llama 3 files may leave the key out and still mean yes.
    let frame = try source.frame(names.count, addsBeginning: preTokenizer == .llama3)
    try self.init(vocabulary, .byteLevel(model), frame: frame, chatTemplate: source.chatTemplate())
  }

  private init(pieces source: GGUFVocabulary) throws {
    let names = try source.names()
    let types = try source.types(names.count)
    let scores = try source.scores(names.count)
    let bytes = try ByteTokens(names, types)
    var texts = try ByteMap(count: names.count)
    for number in 0..<names.count {
      switch types[number] {
      case .byte: try texts.append([bytes.values[Int32(number)] ?? 0])
      case .control, .unknown: try texts.append(names[number])
      case .normal, .userDefined, .unused: try texts.append(PieceModel.spaced(names[number]))
      }
    }
    let usable = types.map { $0 == .normal || $0 == .userDefined || $0 == .unused }
    let table = try PieceTable(names, scores: scores, usable: usable, isUndone: types.map { $0 == .unused })
    var rules = PieceModel.Rules()
    rules.prefix =
      try source.file.metadata.boolIfPresent("tokenizer.ggml.add_space_prefix") ?? true ? .always : .never
    rules.bytes = bytes.tokens
    rules.unknown =
      try source.identifier("tokenizer.ggml.unknown_token_id", names.count)
      ?? types.firstIndex(of: .unknown).map(Int32.init)
    guard !rules.bytes.isEmpty || rules.unknown != nil else {
      throw TokenizerError.malformed(reason: "it has neither 256 byte tokens nor an unknown token")
    }
    let model = PieceModel(table, rules: rules, fixed: TokenFinder(types.all(.userDefined).sorted(), names))
    let control = types.all(.control).union(types.all(.unknown))
    try self.init(
      Vocabulary(texts: texts, control: control, added: []), .pieces(model),
      frame: source.frame(names.count, addsBeginning: true), chatTemplate: source.chatTemplate())
  }

  private init(wordPieces source: GGUFVocabulary) throws {
    let names = try source.names()
    let types = try source.types(names.count)
    let isMarked = (0..<names.count).contains { names[$0].starts(with: PieceModel.space) }
    var texts = try ByteMap(count: names.count)
    var pieces: [(bytes: ArraySlice<UInt8>, continues: Bool)?] = []
    for number in 0..<names.count {
      let name = names[number]
      let piece: (bytes: ArraySlice<UInt8>, continues: Bool)?
      switch (types[number].isPlain, isMarked) {
      case (false, _): piece = nil
      case (true, true):
        let begins = name.starts(with: PieceModel.space)
        piece = (begins ? name.dropFirst(PieceModel.space.count) : name, !begins)
      case (true, false): piece = WordPieceModel.piece(name, continuation: Array("##".utf8))
      }
      pieces.append(piece)
      try texts.append(piece.map { ($0.continues ? [] : [0x20]) + $0.bytes } ?? Array(name))
    }
    guard let unknown = try source.identifier("tokenizer.ggml.unknown_token_id", names.count) else {
      throw FormatError.missingKey(file: source.file.file, key: "tokenizer.ggml.unknown_token_id")
    }
    let model = try WordPieceModel(pieces, normalizer: BertNormalizer(), unknown: unknown)
    var control = types.all(.control).union(types.all(.unknown))
    var frame = try source.frame(names.count, addsBeginning: false)
    let key = source.file.metadata.contains("tokenizer.ggml.cls_token_id") ? "cls" : "bos"
    if let first = try source.identifier("tokenizer.ggml.\(key)_token_id", names.count) {
      frame = Frame(beginning: first, end: frame.end, isAdded: true, before: [first])
      control.insert(first)
    }
    // The format's name for the separator is misspelt.
    if let last = try source.identifier("tokenizer.ggml.seperator_token_id", names.count) {
      frame.after = [last]
      control.insert(last)
    }
    control.insert(unknown)
    try self.init(
      Vocabulary(texts: texts, control: control, added: types.all(.userDefined).sorted()), .wordPieces(model),
      frame: frame, chatTemplate: source.chatTemplate())
  }
}
