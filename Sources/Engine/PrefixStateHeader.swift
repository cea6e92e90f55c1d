internal import Memory
internal import Models

/// What the header of a saved prefix says, and the names of its tensors.
///
/// The file holds `tokens` int32 `[n]` and for each page of 64 of them `keys.NNNNNN` `[layers, kvHeads, D, 64]` and
/// `values.NNNNNN` `[layers, kvHeads, 64, D]` in the type of the cache, for int8 also `keyScales.NNNNNN` and
/// `valueScales.NNNNNN` `[layers, kvHeads, 64]`.
struct PrefixStateHeader {
  static let format = "godwit prefix state"
  static let version = "1"
  static let tokens = "tokens"

  let model: Model
  let tokens: Int
  /// Over all numbers of the file.
  let checksum: UInt64

  /// Tensor of a part of a page.
  static func name(_ part: String, page: Int) -> String { "\(part).\(padded(page))" }

  /// The header's text entries.
  var metadata: [String: String] {
    var entries = model.entries
    entries["format"] = Self.format
    entries["version"] = Self.version
    entries["tokens"] = "\(tokens)"
    entries["checksum"] = String(checksum, radix: 16)
    return entries
  }

  private static func padded(_ number: Int) -> String {
    let digits = "\(number)"
    return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
  }

  /// A sum of tensors, by name, that any changed bit changes.
  static func checksum(_ tensors: [(name: String, tensor: Tensor)]) -> UInt64 {
    tensors.sorted { $0.name < $1.name }.reduce(Checksum()) { sum, entry in
      var sum = sum
      sum.add(entry.tensor)
      return sum
    }.value
  }
}

/// A 64-bit sum: each word is mixed in by a bijection of the sum, so no single change is lost.
struct Checksum {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  /// Adds a dense tensor's bytes.
  mutating func add(_ tensor: Tensor) {
    var sum = value
    tensor.withElements(as: UInt8.self) { bytes in
      let whole = bytes.count / 8 * 8
      for start in stride(from: 0, to: whole, by: 8) {
        var word: UInt64 = 0
        for offset in 0..<8 { word |= UInt64(bytes[start + offset]) << (8 * UInt64(offset)) }
        Self.mix(word, into: &sum)
      }
      for index in whole..<bytes.count { Self.mix(UInt64(bytes[index]), into: &sum) }
      Self.mix(UInt64(bytes.count), into: &sum)
    }
    value = sum
  }

  private static func mix(_ word: UInt64, into sum: inout UInt64) {
    sum = (sum ^ word) &* 0x9E37_79B9_7F4A_7C15
    sum ^= sum >> 29
  }
}

extension PrefixStateHeader {
  /// What must agree for keys and values of one run to serve another.
  struct Model: Hashable {
    /// Sizes and a fingerprint, as the header has them.
    let entries: [String: String]
    /// What a page is made of.
    let parts: [Part]

    /// One tensor of a page.
    struct Part: Hashable {
      let name: String
      let type: ElementType
      let shape: [Int]
    }

    /// Runs a few tokens through the network: whatever changes a bit of keys, values or logits, be it weights, settings
    /// or the arithmetic of this machine, changes the fingerprint.
    init(_ model: any LanguageModel) throws {
      let geometry = model.cacheGeometry
      let count = min(16, model.contextLength)
      let page = try PagedCache(geometry, pages: 1, executor: model.executor)
      let spread = (0..<count).map { Int32($0 * (model.vocabularySize - 1) / count) }
      let planner = AttentionPlanner(for: model)
      let rows = SequenceRows(tokens: spread, firstPosition: 0, pages: [0], logits: .last)
      let logits = try model.forward(planner.plan([rows]).batch, cache: page)
      var sum = Checksum()
      sum.add(try HostLogits(model.executor)(logits))
      let pageParts = try page.fetchedParts(ofPage: 0)
      for part in pageParts { sum.add(part.tensor) }
      parts = pageParts.map { Part(name: $0.name, type: $0.tensor.type, shape: $0.tensor.shape) }
      entries = [
        "network": "\(type(of: model))", "layers": "\(geometry.layers)", "kv_heads": "\(geometry.kvHeads)",
        "head_size": "\(geometry.headSize)", "cache_type": geometry.type.rawValue,
        "vocabulary": "\(model.vocabularySize)", "context": "\(model.contextLength)",
        "window": "\(model.slidingWindow ?? 0)", "fingerprint": String(sum.value, radix: 16),
      ]
    }
  }
}
