/// What the tokens of a vocabulary stand for, whatever their model.
struct Vocabulary: Sendable {
  /// What each token stands for.
  let texts: ByteMap
  /// Whether each token steers the model instead of standing for text.
  let isControl: [Bool]
  /// Tokens that text is searched for only when asked: written by users they must stay plain text.
  let control: TokenFinder
  /// Tokens that are always taken whole where text has them.
  let added: TokenFinder

  /// Tokens in all.
  var count: Int { texts.count }

  /// A vocabulary by the text and the role of each token.
  init(texts: ByteMap, control: Set<Int32>, added: [Int32]) {
    self.texts = texts
    isControl = (0..<Int32(texts.count)).map(control.contains)
    self.control = TokenFinder(control.sorted() + added, texts)
    self.added = TokenFinder(added, texts)
  }
}

/// Finds tokens in text as they stand: leftmost first, of those the longest.
struct TokenFinder: Sendable {
  /// By first byte, longest first.
  private let candidates: [[Int32]]
  private let texts: ByteMap
  /// Whether there is nothing to find.
  let isEmpty: Bool

  /// A finder of these tokens by their texts; empty ones are not found.
  init(_ tokens: [Int32], _ texts: ByteMap) {
    var candidates = [[Int32]](repeating: [], count: 256)
    for token in tokens {
      if let first = texts[Int(token)].first { candidates[Int(first)].append(token) }
    }
    for first in candidates.indices {
      candidates[first].sort { texts[Int($0)].count > texts[Int($1)].count }
    }
    self.candidates = candidates
    self.texts = texts
    isEmpty = candidates.allSatisfy(\.isEmpty)
  }

  /// The longest token that starts at `position`, and its bytes.
  func token(in bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> (token: Int32, length: Int)? {
    for token in unsafe candidates[Int(bytes[position])] {
      let text = texts[Int(token)]
      guard position + text.count <= bytes.count else { continue }
      if zip(text, position...).allSatisfy({ unsafe $0 == bytes[$1] }) { return (token, text.count) }
    }
    return nil
  }

  /// Calls `plain` with each range between tokens, `found` with each token, in order.
  func split(
    _ bytes: UnsafeBufferPointer<UInt8>, plain: (Range<Int>) -> Void, found: (Int32) -> Void
  ) {
    var start = 0
    var position = 0
    while !isEmpty, position < bytes.count {
      guard let (token, length) = unsafe token(in: bytes, at: position) else {
        position += 1
        continue
      }
      if start < position { plain(start..<position) }
      found(token)
      position += length
      start = position
    }
    if start < bytes.count { plain(start..<bytes.count) }
  }
}
