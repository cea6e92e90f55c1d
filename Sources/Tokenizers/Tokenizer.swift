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

  let vocabulary: Vocabulary
  let model: TokenModel
  /// Tokens put before and after a text that gets its beginning token.
  let before: [Int32]
  let after: [Int32]

  /// A tokenizer of checked parts.
  init(_ vocabulary: Vocabulary, _ model: TokenModel, frame: Frame, chatTemplate: String?) {
    self.vocabulary = vocabulary
    self.model = model
    vocabularySize = vocabulary.count
    beginning = frame.beginning
    end = frame.end
    addsBeginning = frame.isAdded
    before = frame.before ?? (frame.beginning.map { [$0] } ?? [])
    after = frame.after
    self.chatTemplate = chatTemplate
  }

  /// The tokens around a text.
  struct Frame {
    var beginning: Int32?
    var end: Int32?
    /// Whether the model expects ``before`` and ``after``.
    var isAdded = false
    /// `nil`: the beginning token.
    var before: [Int32]?
    var after: [Int32] = []
  }

  /// Ids of a text.
  ///
  /// - Parameters:
  ///   - addsBeginning: whether the beginning token is put first, and last what the model expects there (BERT's
  ///     separator); by default as the model expects.
  ///   - parsesSpecial: whether special tokens written in the text are recognised; without, they are plain text.
  public func encode(_ text: String, addsBeginning: Bool? = nil, parsesSpecial: Bool = false) -> [Int32] {
    let isFramed = addsBeginning ?? self.addsBeginning
    var ids: [Int32] = isFramed ? before : []
    let framed = ids.count
    var text = text
    text.withUTF8 { bytes in
      let finder = parsesSpecial ? vocabulary.control : vocabulary.added
      unsafe finder.split(
        bytes,
        plain: { range in
          let plain = unsafe UnsafeBufferPointer(rebasing: bytes[range])
          unsafe model.encode(plain, isFirst: range.lowerBound == 0 && ids.count == framed, into: &ids)
        },
        found: { ids.append($0) })
    }
    return isFramed ? ids + after : ids
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

  /// Bytes that a token stands for; empty for control tokens unless `showsControl`.
  ///
  /// Where encoding puts a space before a text, the first token's space is still here; ``decode(_:showsControl:)``
  /// and ``StreamDecoder`` leave it out.
  public func bytes(of token: Int32, showsControl: Bool = false) -> ArraySlice<UInt8> {
    guard token >= 0, Int(token) < vocabularySize, showsControl || !vocabulary.isControl[Int(token)] else {
      return []
    }
    return vocabulary.texts[Int(token)]
  }

  /// Text of ids; incomplete characters become U+FFFD.
  public func decode(_ ids: some Sequence<Int32>, showsControl: Bool = false) -> String {
    var decoder = StreamDecoder(self, showsControl: showsControl)
    for token in ids { decoder.take(token) }
    return decoder.finish()
  }
}
