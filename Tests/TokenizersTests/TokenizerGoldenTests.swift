// Golden files: Scripts/golden/tokenizers_small.py, by the libraries tokenizers and sentencepiece.
import Formats
import Foundation
import TestSupport
import Testing
import Tokenizers

/// The default model's vocabulary, where its file is in the cache folder.
private let smolLM2Path: String? = {
  let environment = ProcessInfo.processInfo.environment
  let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "/root") + "/.cache"
  let path = (environment["GODWIT_CACHE"] ?? cache + "/godwit") + "/SmolLM2-135M-Instruct.Q4_1.gguf"
  return FileManager.default.fileExists(atPath: path) ? path : nil
}()

@Suite struct TokenizerGoldenTests {
  static let families = [
    ("gpt2", "gpt-2"), ("smollm", "smollm"), ("llama3", "llama-bpe"), ("qwen2", "qwen2"),
  ]

  /// Every case's ids, and the text back by whole and by streamed decoding.
  func check(
    _ tokenizer: Tokenizer, _ golden: GoldenTokenizer, special: Bool, decodes: Bool, _ origin: String
  ) {
    #expect(golden.cases.count >= 40)
    for item in golden.cases {
      let plain = tokenizer.encode(item.text, addsBeginning: false)
      #expect(plain == item.plain, "\(golden.name) \(origin): \(item.text.debugDescription)")
      if special {
        let framed = tokenizer.encode(item.text, parsesSpecial: true)
        #expect(framed == item.special, "\(golden.name) \(origin), special: \(item.text.debugDescription)")
      }
      let whole = tokenizer.decode(plain)
      if decodes {
        #expect(whole.utf8.elementsEqual(item.text.utf8), "\(golden.name): \(item.text.debugDescription)")
      }
      if let decoded = item.decoded { #expect(whole.utf8.elementsEqual(decoded.utf8)) }
      #expect(streamed(plain, tokenizer).utf8.elementsEqual(whole.utf8))
      #expect(tokenizer.encode(item.text + "", addsBeginning: false) == plain)
    }
  }

  /// Text token by token; no piece but the last may hold a character cut in two.
  func streamed(_ ids: [Int32], _ tokenizer: Tokenizer) -> String {
    var decoder = StreamDecoder(tokenizer)
    var text = ""
    for id in ids { text += decoder.append(id) }
    return text + decoder.finish()
  }

  @Test(arguments: families)
  func byteLevelFromGGUF(_ family: (name: String, pre: String)) throws {
    let golden = try GoldenTokenizer(family.name)
    let tokenizer = try golden.byteLevelFile(family.pre).tokenizer
    // The frame is the template's, which GGUF files do not carry.
    check(tokenizer, golden, special: family.name == "llama3", decodes: true, "GGUF")
  }

  @Test(arguments: families)
  func byteLevelFromHuggingFace(_ family: (name: String, pre: String)) throws {
    let golden = try GoldenTokenizer(family.name)
    check(try golden.huggingFace, golden, special: true, decodes: true, "tokenizer.json")
  }

  @Test func charactersWithBytes() throws {
    let golden = try GoldenTokenizer("llama2")
    // ▁ in the text itself comes back as a space, so round trips are checked by the next test.
    check(try golden.huggingFace, golden, special: true, decodes: false, "tokenizer.json")
    let tokenizer = try golden.huggingFace
    for item in golden.cases where !item.text.contains("\u{2581}") {
      #expect(tokenizer.decode(tokenizer.encode(item.text)).utf8.elementsEqual(item.text.utf8))
    }
  }

  @Test func sentencePiece() throws {
    let golden = try GoldenTokenizer("sentencepiece")
    check(try golden.pieceFile().tokenizer, golden, special: false, decodes: false, "GGUF")
  }

  @Test(arguments: ["bert", "bert-cased"])
  func wordPieces(_ name: String) throws {
    let golden = try GoldenTokenizer(name)
    check(try golden.huggingFace, golden, special: true, decodes: false, "tokenizer.json")
  }

  @Test func wordPiecesFromGGUF() throws {
    let golden = try GoldenTokenizer("bert")
    check(try golden.wordPieceFile().tokenizer, golden, special: true, decodes: false, "GGUF")
  }

  @Test(.enabled(if: smolLM2Path != nil)) func realVocabulary() throws {
    // Some bytes have no token here and are left out, so what comes back is the library's to say.
    let tokenizer = try Tokenizer(try GGUF(path: try #require(smolLM2Path)))
    check(tokenizer, try GoldenTokenizer("smollm2"), special: true, decodes: false, "GGUF")
  }

  @Test(arguments: [
    ("e\u{301}", "\u{E9}"), ("\u{1112}\u{1161}\u{11AB}", "\u{D55C}"),
    ("\u{110A}\u{1176}", "\u{110A}\u{1176}"),
    ("\u{110A}\u{1175}\u{11A7}", "\u{C528}\u{11A7}"), ("\u{1113}\u{1161}", "\u{1113}\u{1161}"),
    ("\u{1112}\u{1161}\u{11C3}", "\u{D558}\u{11C3}"), ("\u{E0061}\u{302}", "\u{E0061}\u{302}"),
    ("s\u{307}\u{323}", "\u{1E69}"), ("\u{212B}", "\u{C5}"),
  ])
  func composesFirst(_ text: String, _ composed: String) throws {
    let golden = try GoldenTokenizer("qwen2")
    let members = (golden.source.object?.members ?? []).filter { $0.key != "normalizer" }
    let object = try #require(JSONObject(members + [.init(key: "normalizer", value: ["type": "NFC"])]))
    let tokenizer = try Tokenizer(tokenizer: JSONNode(.object(object), file: "tokenizer.json"))
    #expect(tokenizer.decode(tokenizer.encode(text)).utf8.elementsEqual(composed.utf8))
  }

  @Test func streamingKeepsCharactersWhole() throws {
    let tokenizer = try GoldenTokenizer("gpt2").huggingFace
    for text in ["👩‍👩‍👧‍👦🇩🇪", "日本語𠀀", "é한\u{301}"] {
      var decoder = StreamDecoder(tokenizer)
      for id in tokenizer.encode(text) {
        let part = decoder.append(id)
        #expect(!part.unicodeScalars.contains("\u{FFFD}"), "\(text)")
      }
      #expect(decoder.finish().isEmpty)
    }
  }

  @Test func offsetsAreThoseOfTheWholeText() throws {
    let tokenizers = [
      try GoldenTokenizer("gpt2").huggingFace, try GoldenTokenizer("sentencepiece").pieceFile().tokenizer,
    ]
    for tokenizer in tokenizers {
      for text in ["", "one two", " é👩‍👩‍👧‍👦 日本語𠀀."] {
        let ids = tokenizer.encode(text)
        // Of a character that has only begun, replacements stand at the end.
        let begun = ids.indices.map {
          tokenizer.decode(ids[..<$0]).unicodeScalars.filter { $0 != "\u{FFFD}" }.count
        }
        #expect(tokenizer.textOffsets(of: ids) == begun, "\(text)")
      }
    }
    let broken: [Int32] = [0x61, 0xC3, 0xA9, 0xE2, 0x62, 0xFF, 0, 0xC3]
    #expect(Tokenizer.bytes.decode(broken) == "aé\u{FFFD}b\u{FFFD}\u{FFFD}")
    #expect(Tokenizer.bytes.textOffsets(of: broken) == [0, 1, 1, 2, 3, 4, 5, 5])
  }

  @Test func anUnfinishedCharacterIsReplaced() throws {
    let tokenizer = try GoldenTokenizer("gpt2").huggingFace
    let ids = tokenizer.encode("\u{1D7C7}")
    #expect(ids.count > 1)
    var decoder = StreamDecoder(tokenizer)
    for id in ids.dropLast() { #expect(decoder.append(id).isEmpty) }
    #expect(decoder.finish() == "\u{FFFD}")
    #expect(tokenizer.decode(ids.dropLast()) == "\u{FFFD}")
  }

  @Test func theLeadingSpaceIsDroppedOnce() throws {
    let tokenizer = try GoldenTokenizer("sentencepiece").pieceFile().tokenizer
    for text in ["the engine", " the", "  two", "\n"] {
      let ids = tokenizer.encode(text)
      #expect(ids.first == 1)
      #expect(tokenizer.decode(ids) == text)
      #expect(streamed(ids, tokenizer) == text)
    }
  }

  @Test(
    arguments: [
      ([0x61, 0xFF], 1), ([0xC3], 0), ([0x61, 0x62, 0xE2, 0x82], 2), ([0xED, 0xA0, 0x80], 0),
      ([0xC0, 0x80], 0),
      ([0xF0, 0x9F, 0x98, 0x80, 0x80], 4), ([0xF4, 0x90, 0x80, 0x80], 0),
    ] as [([UInt8], Int)])
  func invalidUTF8IsRefused(_ bytes: [UInt8], _ offset: Int) throws {
    let tokenizer = try GoldenTokenizer("gpt2").huggingFace
    #expect(throws: TokenizerError.invalidUTF8(offset: offset)) { try tokenizer.encode(bytes: bytes) }
    #expect(message { _ = try tokenizer.encode(bytes: bytes) }.contains("byte \(offset)"))
  }
}
