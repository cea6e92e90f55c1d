import Formats
import Foundation
import Memory
import Tokenizers

/// A GGUF file in memory that holds a vocabulary, good or broken.
struct VocabularyFile {
  private var values: [(key: String, type: UInt32, payload: [UInt8])] = []

  static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
  }
  static func bytes(_ text: String) -> [UInt8] { bytes(UInt64(text.utf8.count)) + Array(text.utf8) }

  /// Sets a value; an earlier one of that key goes.
  mutating func set(_ key: String, _ type: UInt32, _ payload: [UInt8]) {
    remove(key)
    values.append(("tokenizer." + key, type, payload))
  }
  mutating func remove(_ key: String) { values.removeAll { $0.key == "tokenizer." + key } }
  mutating func set(_ key: String, _ text: String) { set(key, 8, Self.bytes(text)) }
  mutating func set(_ key: String, _ number: Int) {
    set(key, 4, Self.bytes(UInt32(truncatingIfNeeded: number)))
  }
  mutating func set(_ key: String, _ flag: Bool) { set(key, 7, [flag ? 1 : 0]) }
  mutating func set(_ key: String, _ texts: [String]) {
    set(key, 9, Self.bytes(UInt32(8)) + Self.bytes(UInt64(texts.count)) + texts.flatMap(Self.bytes))
  }
  mutating func set(_ key: String, _ numbers: [Int]) {
    set(
      key, 9,
      Self.bytes(UInt32(5)) + Self.bytes(UInt64(numbers.count)) + numbers.flatMap { Self.bytes(Int32($0)) })
  }
  mutating func set(_ key: String, _ numbers: [Float]) {
    set(
      key, 9,
      Self.bytes(UInt32(6)) + Self.bytes(UInt64(numbers.count))
        + numbers.flatMap { Self.bytes($0.bitPattern) })
  }

  var gguf: GGUF {
    get throws {
      var file = Array("GGUF".utf8) + Self.bytes(UInt32(3)) + Self.bytes(UInt64(0))
      file += Self.bytes(UInt64(values.count))
      for value in values { file += Self.bytes(value.key) + Self.bytes(value.type) + value.payload }
      while file.count % 32 != 0 { file.append(0) }
      return try GGUF(try HeapStorage(copying: file.span), name: "vocabulary.gguf")
    }
  }

  var tokenizer: Tokenizer { get throws { try Tokenizer(gguf) } }

  func changed(_ change: (inout VocabularyFile) -> Void) -> VocabularyFile {
    var copy = self
    change(&copy)
    return copy
  }
}

/// A file of Scripts/golden/tokenizers_small.py.
struct GoldenTokenizer {
  /// A text with its ids: without special tokens, and with all that the library recognises and adds.
  struct Case {
    var text: String
    var plain: [Int32]
    var special: [Int32]
    var decoded: String?
  }

  let name: String
  let json: JSON
  let cases: [Case]

  init(_ name: String) throws {
    self.name = name
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Golden/\(name).json")
    json = try JSON.read(url.path)
    cases = (json["cases"]?.array ?? []).map { item in
      func ids(_ key: String) -> [Int32] {
        (item[key]?.array ?? []).compactMap { $0.integer.map(Int32.init) }
      }
      return Case(
        text: item["text"]?.string ?? "", plain: ids("plain"), special: ids("special"),
        decoded: item["decoded"]?.string)
    }
  }

  /// The tokenizer.json inside.
  var source: JSON { json["tokenizer"] ?? .null }

  var huggingFace: Tokenizer {
    get throws { try Tokenizer(tokenizer: JSONNode(source, file: "tokenizer.json")) }
  }

  /// Names by id, with the added tokens.
  var names: [String] {
    var names: [Int: String] = [:]
    for member in source["model"]?["vocab"]?.object?.members ?? [] {
      names[member.value.integer ?? -1] = member.key
    }
    for token in source["added_tokens"]?.array ?? [] {
      names[token["id"]?.integer ?? -1] = token["content"]?.string ?? ""
    }
    return names.keys.sorted().map { names[$0] ?? "" }
  }

  var controls: Set<Int> { Set((source["added_tokens"]?.array ?? []).compactMap { $0["id"]?.integer }) }

  /// The same vocabulary as a GGUF file of byte-level BPE.
  func byteLevelFile(_ pre: String) -> VocabularyFile {
    var file = VocabularyFile()
    let names = names
    file.set("ggml.model", "gpt2")
    file.set("ggml.pre", pre)
    file.set("ggml.tokens", names)
    file.set("ggml.token_type", names.indices.map { controls.contains($0) ? 3 : 1 })
    file.set(
      "ggml.merges",
      (source["model"]?["merges"]?.array ?? []).map { merge in
        merge.string ?? (merge.array ?? []).compactMap(\.string).joined(separator: " ")
      })
    if let last = controls.max() { file.set("ggml.bos_token_id", last) }
    return file
  }

  /// The pieces as a GGUF file of SentencePiece.
  func pieceFile() -> VocabularyFile {
    let pieces = (json["pieces"]?.array ?? []).map { $0.array ?? [] }
    var file = VocabularyFile()
    file.set("ggml.model", "llama")
    file.set("ggml.tokens", pieces.map { $0[0].string ?? "" })
    file.set("ggml.scores", pieces.map { Float($0[1].number ?? 0) })
    file.set("ggml.token_type", pieces.map { $0[2].integer ?? 1 })
    file.set("ggml.bos_token_id", 1)
    file.set("ggml.eos_token_id", 2)
    return file
  }

  /// The same vocabulary as a GGUF file of BERT's word pieces, marked as converters mark them.
  func wordPieceFile() -> VocabularyFile {
    let names = names
    var file = VocabularyFile()
    file.set("ggml.model", "bert")
    file.set(
      "ggml.tokens",
      names.indices.map { index in
        let name = names[index]
        if controls.contains(index) { return name }
        return name.hasPrefix("##") && name.count > 2 ? String(name.dropFirst(2)) : "\u{2581}" + name
      })
    file.set("ggml.token_type", names.indices.map { controls.contains($0) ? 3 : 1 })
    file.set("ggml.unknown_token_id", 1)
    file.set("ggml.cls_token_id", 2)
    file.set("ggml.seperator_token_id", 3)
    return file
  }
}
