/// Text to token ids and back.
public struct Tokenizer: Sendable {
  /// Tokens in all.
  public let vocabularySize: Int
  /// Tokens that begin and end a text, where the vocabulary has them.
  public let beginning: Int32?
  /// Token that ends a text.
  public let end: Int32?
  /// Whether the model expects the beginning token before a text.
  public let addsBeginning: Bool
  /// Chat template in the file.
  public let chatTemplate: String?

  let preTokenizer: PreTokenizer
  let merges: BytePairMerges
  /// Token of each single byte; −1 where the vocabulary has none, and the byte is left out as its makers do.
  let byteTokens: [Int32]
  /// What each token stands for.
  let texts: ByteMap
  /// Tokens that are matched in text as they stand, by first byte, longest first.
  let special: [UInt8: [Int32]]
  let isControl: Set<Int32>
  /// Whether words that are tokens are taken whole without merging.
  let ignoresMerges: Bool

  /// Ids of a text.
  ///
  /// - Parameters:
  ///   - addsBeginning: whether the beginning token is put first; by default as the model expects.
  ///   - parsesSpecial: whether special tokens written in the text are recognised; without, they are plain text.
  public func encode(_ text: String, addsBeginning: Bool? = nil, parsesSpecial: Bool = false) -> [Int32] {
    var ids: [Int32] = []
    if addsBeginning ?? self.addsBeginning, let beginning { ids.append(beginning) }
    var text = text
    text.withUTF8 { bytes in
      var start = 0
      var position = 0
      while parsesSpecial, position < bytes.count {
        if let candidates = unsafe special[bytes[position]],
          let found = candidates.first(where: { unsafe matches($0, bytes, position) })
        {
          unsafe encodePlain(UnsafeBufferPointer(rebasing: bytes[start..<position]), into: &ids)
          ids.append(found)
          position += texts[Int(found)].count
          start = position
        } else {
          position += 1
        }
      }
      unsafe encodePlain(UnsafeBufferPointer(rebasing: bytes[start...]), into: &ids)
    }
    return ids
  }

  /// Ids of bytes that should be UTF-8.
  ///
  /// - Throws: ``TokenizerError/invalidUTF8(offset:)``.
  public func encode(bytes: [UInt8], addsBeginning: Bool? = nil) throws(TokenizerError) -> [Int32] {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .invalidUTF8(offset: Self.firstInvalid(bytes))
    }
    return encode(text, addsBeginning: addsBeginning)
  }

  private static func firstInvalid(_ bytes: [UInt8]) -> Int {
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    var offset = 0
    while case .scalarValue(let scalar) = decoder.decode(&iterator) { offset += UTF8.width(scalar) }
    return offset
  }

  private func matches(_ token: Int32, _ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
    let text = texts[Int(token)]
    guard position + text.count <= bytes.count else { return false }
    return zip(text, position...).allSatisfy { unsafe $0 == bytes[$1] }
  }

  private func encodePlain(_ bytes: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    var word: [Int32] = []
    unsafe preTokenizer.forEachWord(bytes) { range in
      let slice = unsafe bytes[range]
      if ignoresMerges, let whole = unsafe texts.number(of: slice), !isControl.contains(whole) {
        ids.append(whole)
        return
      }
      word.removeAll(keepingCapacity: true)
      for position in range {
        let token = unsafe byteTokens[Int(bytes[position])]
        if token >= 0 { word.append(token) }
      }
      merges.apply(to: &word)
      ids += word
    }
  }

  /// Bytes that a token stands for; empty for control tokens unless `showsControl`.
  public func bytes(of token: Int32, showsControl: Bool = false) -> ArraySlice<UInt8> {
    guard token >= 0, Int(token) < vocabularySize, showsControl || !isControl.contains(token) else {
      return []
    }
    return texts[Int(token)]
  }

  /// Text of ids; incomplete characters become U+FFFD.
  public func decode(_ ids: some Sequence<Int32>, showsControl: Bool = false) -> String {
    String(decoding: ids.flatMap { bytes(of: $0, showsControl: showsControl) }, as: UTF8.self)
  }
}

/// Turns ids into text as they come, never splitting a character.
public struct StreamDecoder: Sendable {
  private let tokenizer: Tokenizer
  private var pending: [UInt8] = []

  /// A decoder with nothing pending.
  public init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// The text that is complete with this token.
  public mutating func append(_ token: Int32) -> String {
    pending += tokenizer.bytes(of: token)
    let complete = pending.count - incompleteTail
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left, with U+FFFD for a character that never became complete.
  public mutating func finish() -> String {
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// Bytes at the end that begin a character which may still be completed.
  private var incompleteTail: Int {
    for length in 1...3 where length <= pending.count {
      let byte = pending[pending.count - length]
      if byte & 0xC0 == 0x80 { continue }
      let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return needed > length ? length : 0
    }
    return 0
  }
}
