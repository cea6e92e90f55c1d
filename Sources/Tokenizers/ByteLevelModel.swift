/// Byte pair encoding of words cut by a pattern, from single bytes up.
///
/// Radford et al., “Language Models are Unsupervised Multitask Learners”, 2019.
struct ByteLevelModel: Sendable {
  let preTokenizer: PreTokenizer
  let merges: BytePairMerges
  /// Token of each single byte; −1 where the vocabulary has none, and the byte is left out as its makers do.
  let byteTokens: [Int32]
  /// Where words that are tokens are taken whole without merging: the tokens, by text.
  let whole: Vocabulary?
  /// Whether a space is put before text that does not begin with one.
  let addsSpace: Bool
  /// Whether characters and their marks are composed first (NFC).
  let composes: Bool

  /// A model over tokens written in ``ByteAlphabet``.
  ///
  /// - Throws: ``TokenizerError/malformed(reason:)`` when no token stands for a single byte.
  init(
    _ preTokenizer: PreTokenizer, merges: BytePairMerges, names: ByteMap, whole: Vocabulary?,
    addsSpace: Bool = false, composes: Bool = false
  ) throws(TokenizerError) {
    self.preTokenizer = preTokenizer
    self.merges = merges
    self.whole = whole
    self.addsSpace = addsSpace
    self.composes = composes
    byteTokens = (0..<256).map { names.number(of: ByteAlphabet.character(UInt8($0))) ?? -1 }
    guard byteTokens.contains(where: { $0 >= 0 }) else {
      throw .malformed(reason: "no token stands for a single byte")
    }
  }

  /// Appends the ids of plain text.
  func encode(_ bytes: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    // Below U+0300, whose first byte is CC, nothing composes.
    if composes, unsafe bytes.contains(where: { $0 >= 0xCC }) {
      let text = unsafe Composition.composed(bytes)
      unsafe text.withUnsafeBufferPointer { unsafe encodeSpaced($0, into: &ids) }
    } else {
      unsafe encodeSpaced(bytes, into: &ids)
    }
  }

  private func encodeSpaced(_ bytes: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    if addsSpace, let first = unsafe bytes.first, first != 0x20 {
      let spaced = unsafe [0x20] + bytes
      unsafe spaced.withUnsafeBufferPointer { unsafe encodeWords($0, into: &ids) }
    } else {
      unsafe encodeWords(bytes, into: &ids)
    }
  }

  private func encodeWords(_ bytes: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    var word: [Int32] = []
    var merger = Merger(merges)
    unsafe preTokenizer.forEachWord(bytes) { range in
      if let whole {
        let slice = unsafe bytes[range]
        if let token = unsafe whole.texts.number(of: slice), !whole.isControl[Int(token)] {
          ids.append(token)
          return
        }
      }
      word.removeAll(keepingCapacity: true)
      for position in range {
        let token = unsafe byteTokens[Int(bytes[position])]
        if token >= 0 { word.append(token) }
      }
      merger.apply(to: &word)
      ids += word
    }
  }
}
