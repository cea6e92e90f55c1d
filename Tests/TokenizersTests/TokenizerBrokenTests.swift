// Cases T-05, T-06 and T-08 of the threat list: damaged vocabularies are errors with numbers, never traps.
import Formats
import TestSupport
import Testing
import Tokenizers

@Suite struct TokenizerBrokenTests {
  /// The message that a change to a good file leads to.
  func complaint(_ name: String = "gpt2", _ change: (inout VocabularyFile) -> Void) throws -> String {
    let golden = try GoldenTokenizer(name)
    let file =
      switch name {
      case "sentencepiece": golden.pieceFile()
      case "bert": golden.wordPieceFile()
      default: golden.byteLevelFile("gpt-2")
      }
    #expect(message { _ = try file.tokenizer }.isEmpty)
    return message { _ = try file.changed(change).tokenizer }
  }

  @Test func tokens() throws {
    let names = try GoldenTokenizer("gpt2").names
    #expect(try complaint { $0.set("ggml.tokens", [String]()) }.contains("no tokens"))
    #expect(try complaint { $0.remove("ggml.tokens") }.contains("tokenizer.ggml.tokens is missing"))
    #expect(try complaint { $0.set("ggml.tokens", 7) }.contains("an array"))
    #expect(try complaint { $0.set("ggml.tokens", Array(0..<names.count)) }.contains("an array of strings"))
    let twice = names.dropLast() + [names[3]]
    #expect(try complaint { $0.set("ggml.tokens", Array(twice)) }.contains("token \(names.count - 1)"))
    let wide = names.indices.map { "\u{4E00}\($0)" }
    #expect(
      try complaint {
        $0.set("ggml.tokens", wide)
        $0.set("ggml.merges", [String]())
      }.contains("no token stands for a single byte"))
  }

  @Test func types() throws {
    let count = try GoldenTokenizer("gpt2").names.count
    #expect(
      try complaint { $0.set("ggml.token_type", [1, 1]) }.contains("\(count) tokens but 2 token types"))
    let types = [Int](repeating: 1, count: count)
    for bad in [0, 7, -1] {
      #expect(try complaint { $0.set("ggml.token_type", types.dropLast() + [bad]) }.contains("type \(bad)"))
    }
    #expect(
      try complaint { $0.set("ggml.token_type", types.map(Float.init)) }.contains("an array of integers"))
  }

  @Test func merges() throws {
    for bad in ["zzzq q", "ab", "", " ", "a b c", "a  b"] {
      #expect(try complaint { $0.set("ggml.merges", [bad]) }.contains("merge 0"), "\(bad)")
    }
    #expect(try complaint { $0.remove("ggml.merges") }.contains("tokenizer.ggml.merges is missing"))
  }

  @Test(arguments: ["gpt2", "sentencepiece", "bert"])
  func identifiers(_ name: String) throws {
    for key in ["bos", "eos"] where !(name == "bert" && key == "bos") {
      let message = try complaint(name) { $0.set("ggml.\(key)_token_id", 1 << 20) }
      #expect(message.contains("\(key)_token_id is 1048576"))
      #expect(try complaint(name) { $0.set("ggml.\(key)_token_id", "x") }.contains("an integer"))
    }
    let unframed = try complaint(name) {
      $0.remove("ggml.bos_token_id")
      $0.set("ggml.add_bos_token", true)
    }
    #expect(unframed.contains("tokenizer.ggml.bos_token_id is missing"))
  }

  @Test func scores() throws {
    let count = try #require(try GoldenTokenizer("sentencepiece").json["pieces"]?.array?.count)
    let bytes = [Int](repeating: 0, count: count)
    #expect(try complaint("sentencepiece") { $0.set("ggml.scores", bytes) }.contains("an array of float32"))
    #expect(try complaint("sentencepiece") { $0.remove("ggml.scores") }.contains("scores is missing"))
    #expect(
      try complaint("sentencepiece") { $0.set("ggml.scores", [Float(1)]) }.contains(
        "\(count) tokens but 1 scores"))
    let nan = [Float](repeating: .nan, count: count)
    #expect(try complaint("sentencepiece") { $0.set("ggml.scores", nan) }.contains("score nan"))
  }

  @Test(arguments: ["<0x-1>", "<0x100>", "<0x+1>", "<0xG0>", "<0x0>", "0x00", "<0x 1>", "<0xff>"])
  func byteTokens(_ name: String) throws {
    let pieces = try #require(try GoldenTokenizer("sentencepiece").json["pieces"]?.array)
    var names = pieces.map { $0.array?[0].string ?? "" }
    let first = try #require(names.firstIndex(of: "<0x00>"))
    names[first] = name
    #expect(try complaint("sentencepiece") { $0.set("ggml.tokens", names) }.contains("byte token \(first)"))
  }

  @Test func missingBytes() throws {
    let pieces = try #require(try GoldenTokenizer("sentencepiece").json["pieces"]?.array)
    var types = pieces.map { $0.array?[2].integer ?? 0 }
    let first = try #require(types.firstIndex(of: 6))
    types[first + 65] = 1
    #expect(
      try complaint("sentencepiece") { $0.set("ggml.token_type", types) }.contains(
        "255 byte tokens but none for byte 65"))
  }

  @Test func offsetsThatOverflowAreRefused() throws {
    // Offsets have 32 bits: the true limit is 2³¹ − 1 bytes, a small one stands for it.
    #expect(ByteMap.largest == 2_147_483_647)
    var map = try ByteMap(count: 4, limit: 10)
    #expect(try map.append([UInt8](repeating: 1, count: 8)))
    #expect(message { _ = try map.append([1, 2, 3]) }.contains("more than 10 bytes"))
    #expect(try map.append([1, 2]))
    #expect(map.count == 2)
    #expect(message { _ = try ByteMap(count: Int.max) }.contains("tokens; at most"))
  }

  @Test func kinds() throws {
    #expect(try complaint { $0.set("ggml.model", "t5") }.contains("bert, gpt2, llama"))
    #expect(try complaint { $0.set("ggml.pre", "tekken") }.contains("tekken"))
    #expect(
      try complaint("bert") { $0.remove("ggml.unknown_token_id") }.contains("unknown_token_id is missing"))
  }
}

@Suite struct HuggingFaceBrokenTests {
  /// The message that a changed member at a path of tokenizer.json leads to.
  func complaint(_ name: String, _ path: [String], _ value: JSON) throws -> String {
    let golden = try GoldenTokenizer(name)
    #expect(message { _ = try golden.huggingFace }.isEmpty)
    let source = replaced(golden.source, path[...], value)
    return message { _ = try Tokenizer(tokenizer: JSONNode(source, file: "tokenizer.json")) }
  }

  func replaced(_ json: JSON, _ path: ArraySlice<String>, _ value: JSON) -> JSON {
    guard let key = path.first, case .object(let object) = json else { return value }
    var members = object.members.filter { $0.key != key }
    members.append(.init(key: key, value: replaced(object[key] ?? .null, path.dropFirst(), value)))
    return JSONObject(members).map(JSON.object) ?? .null
  }

  @Test func components() throws {
    #expect(
      try complaint("gpt2", ["model", "type"], "Unigram").contains("Unigram is not known. Known are: BPE"))
    #expect(try complaint("gpt2", ["normalizer"], ["type": "Lowercase"]).contains("normalizer Lowercase"))
    #expect(
      try complaint("gpt2", ["pre_tokenizer"], ["type": "Whitespace"]).contains("pre-tokenizer Whitespace"))
    #expect(try complaint("gpt2", ["post_processor"], ["type": "Odd"]).contains("post-processor Odd"))
    #expect(
      try complaint("bert", ["normalizer"], ["type": "NFKC"]).contains("normalizer NFKC with WordPiece"))
    #expect(try complaint("bert", ["pre_tokenizer"], nil).contains("BertPreTokenizer"))
    #expect(try complaint("llama2", ["normalizer"], nil).contains("pre-tokenizer none"))
    let split: JSON = [
      "type": "Sequence",
      "pretokenizers": [
        ["type": "Split", "pattern": ["Regex": "x+"], "behavior": "Isolated", "invert": false],
        ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
      ],
    ]
    #expect(try complaint("gpt2", ["pre_tokenizer"], split).contains("Split by x+"))
    #expect(try complaint("gpt2", ["model", "dropout"], 0.5).contains("dropout 0.5"))
    #expect(try complaint("gpt2", ["model", "end_of_word_suffix"], "</w>").contains("</w>"))
  }

  @Test func vocabularies() throws {
    #expect(try complaint("gpt2", ["model", "vocab"], ["a": 0, "b": 0]).contains("both have the id 0"))
    #expect(try complaint("gpt2", ["model", "vocab"], ["a": -1]).contains("the id -1"))
    #expect(try complaint("gpt2", ["model", "vocab"], ["a": 4_000_000_000]).contains("the id 4000000000"))
    #expect(try complaint("gpt2", ["model", "vocab"], ["a": "x"]).contains("the id \"x\""))
    #expect(try complaint("gpt2", ["model", "vocab"], ["a": 9_000_000]).contains("ids up to 9000000"))
    #expect(try complaint("gpt2", ["model", "vocab"], []).contains("an object"))
    #expect(try complaint("gpt2", ["model", "merges"], ["a"]).contains("merge 0"))
    #expect(try complaint("gpt2", ["model", "merges"], [["a", "b", "c"]]).contains("merge 0"))
    #expect(try complaint("gpt2", ["model", "merges"], [["qz", "zq"]]).contains("does not have"))
    #expect(
      try complaint("llama2", ["model", "unk_token"], "nowhere").contains("\"nowhere\", which is no token"))
    #expect(
      try complaint("bert", ["model", "unk_token"], "nowhere").contains("\"nowhere\", which is no token"))
  }

  @Test func addedTokens() throws {
    func token(_ key: String) -> JSON {
      let members: [(String, JSON)] = [
        ("id", 2), ("content", "[CLS]"), ("special", true), ("normalized", false),
      ]
      let all = members.filter { $0.0 != key } + [(key, true)]
      return JSONObject(all.map { .init(key: $0.0, value: $0.1) }).map { .array([.object($0)]) } ?? .null
    }
    for key in ["lstrip", "rstrip", "single_word", "normalized"] {
      #expect(try complaint("bert", ["added_tokens"], token(key)).contains("\(key): true"))
    }
    let other: JSON = [["id": 2, "content": "other", "special": true, "normalized": false]]
    #expect(try complaint("bert", ["added_tokens"], other).contains("has the id 2, which is \"[CLS]\""))
  }

  @Test func settings() throws {
    let source = JSONNode(try GoldenTokenizer("gpt2").source, file: "tokenizer.json")
    func made(_ settings: JSON) throws -> Tokenizer {
      try Tokenizer(tokenizer: source, settings: JSONNode(settings, file: "tokenizer_config.json"))
    }
    #expect(message { _ = try made(["add_bos_token": true]) }.contains("bos_token is missing"))
    #expect(message { _ = try made(["bos_token": "none such"]) }.contains("none such"))
    let tokenizer = try made([
      "add_bos_token": true, "bos_token": ["content": "<|end|>"], "eos_token": "<|end|>",
      "chat_template": "{{ x }}",
    ])
    #expect(tokenizer.beginning == tokenizer.end && tokenizer.beginning != nil)
    #expect(tokenizer.addsBeginning && tokenizer.chatTemplate == "{{ x }}")
    #expect(tokenizer.encode("").count == 1)
  }
}
