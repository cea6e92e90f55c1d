/// Words looked up whole or in the longest pieces from the left, as BERT has it.
///
/// Devlin et al., “BERT”, 2018, arXiv:1810.04805.
struct WordPieceModel: Sendable {
  let normalizer: BertNormalizer
  let unknown: Int32
  /// A word of more characters is unknown.
  let longestWord: Int
  /// Pieces that begin a word, by text, and those that continue one.
  private let beginnings: PieceMap
  private let continuations: PieceMap

  /// A model over pieces without their marks.
  ///
  /// - Parameter pieces: for each token its bytes and whether it continues a word; `nil` for one no text makes.
  init(
    _ pieces: [(bytes: ArraySlice<UInt8>, continues: Bool)?], normalizer: BertNormalizer, unknown: Int32,
    longestWord: Int = 100
  ) throws(TokenizerError) {
    self.normalizer = normalizer
    self.unknown = unknown
    self.longestWord = longestWord
    beginnings = try PieceMap(pieces, continues: false)
    continuations = try PieceMap(pieces, continues: true)
  }

  /// Appends the ids of plain text.
  func encode(_ bytes: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    var word = Word()
    unsafe normalizer.forEachScalar(bytes) { scalar, kind in
      switch kind {
      case .space: flush(&word, into: &ids)
      case .alone:
        flush(&word, into: &ids)
        word.append(scalar)
        flush(&word, into: &ids)
      case .letter: word.append(scalar)
      }
    }
    flush(&word, into: &ids)
  }

  private struct Word {
    var bytes: [UInt8] = []
    var characters = 0

    mutating func append(_ scalar: Unicode.Scalar) {
      if scalar.isASCII {
        bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      } else {
        bytes += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
      }
      characters += 1
    }
  }

  private func flush(_ word: inout Word, into ids: inout [Int32]) {
    guard word.characters > 0 else { return }
    let first = ids.count
    if word.characters > longestWord {
      ids.append(unknown)
    } else {
      var rest = word.bytes[...]
      while !rest.isEmpty {
        let map = rest.startIndex == 0 ? beginnings : continuations
        guard let (token, length) = map.longest(rest) else {
          ids.removeSubrange(first...)
          ids.append(unknown)
          break
        }
        ids.append(token)
        rest = rest.dropFirst(length)
      }
    }
    word.bytes.removeAll(keepingCapacity: true)
    word.characters = 0
  }
}

/// Tokens by the bytes of their pieces.
private struct PieceMap: Sendable {
  private var map: ByteMap
  private var tokens: [Int32] = []
  private var longest = 0

  init(_ pieces: [(bytes: ArraySlice<UInt8>, continues: Bool)?], continues: Bool) throws(TokenizerError) {
    map = try ByteMap(count: pieces.count)
    for (token, piece) in pieces.enumerated() {
      guard let piece, piece.continues == continues, !piece.bytes.isEmpty else { continue }
      guard try map.append(piece.bytes) else {
        throw .malformed(reason: "two tokens stand for \(String(decoding: piece.bytes, as: UTF8.self))")
      }
      tokens.append(Int32(token))
      longest = max(longest, piece.bytes.count)
    }
  }

  /// The longest piece that `text` begins with, and its bytes.
  func longest(_ text: ArraySlice<UInt8>) -> (Int32, Int)? {
    var length = min(longest, text.count)
    while length > 0 {
      // A piece ends where a character ends.
      let end = text.startIndex + length
      if end == text.endIndex || text[end] & 0xC0 != 0x80 {
        if let number = map.number(of: text.prefix(length)) { return (tokens[Int(number)], length) }
      }
      length -= 1
    }
    return nil
  }
}

extension WordPieceModel {
  /// A token's bytes without the mark of continuation, and whether it has the mark.
  static func piece(_ name: ArraySlice<UInt8>, continuation: [UInt8]) -> (
    bytes: ArraySlice<UInt8>, continues: Bool
  ) {
    name.count > continuation.count && name.starts(with: continuation)
      ? (name.dropFirst(continuation.count), true) : (name, false)
  }
}
