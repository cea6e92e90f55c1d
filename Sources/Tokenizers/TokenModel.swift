/// The way a vocabulary cuts text between special tokens.
enum TokenModel: Sendable {
  case byteLevel(ByteLevelModel)
  case pieces(PieceModel)
  case wordPieces(WordPieceModel)
  /// Every byte by itself.
  case bytes

  /// Appends the ids of plain text.
  ///
  /// - Parameter isFirst: whether no text or token precedes it.
  func encode(_ bytes: UnsafeBufferPointer<UInt8>, isFirst: Bool, into ids: inout [Int32]) {
    switch self {
    case .byteLevel(let model): unsafe model.encode(bytes, into: &ids)
    case .pieces(let model): unsafe model.encode(bytes, isFirst: isFirst, into: &ids)
    case .wordPieces(let model): unsafe model.encode(bytes, into: &ids)
    case .bytes: unsafe ids += bytes.map { Int32($0) }
    }
  }

  /// Whether a space at the very start of decoded text was put there by encoding.
  var dropsLeadingSpace: Bool {
    switch self {
    case .byteLevel, .bytes: false
    case .pieces(let model): model.prefix != .never
    case .wordPieces: true
    }
  }
}
