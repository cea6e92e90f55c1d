internal import Formats

extension Tokenizer {
  /// Every byte is a token, with its value as id; 0, which text does not have, ends a document.
  public static let bytes: Tokenizer = {
    do {
      var texts = try ByteMap(count: 256)
      for value in 0..<256 { try texts.append([UInt8(value)]) }
      let vocabulary = Vocabulary(texts: texts, control: [0], added: [])
      return Tokenizer(vocabulary, .bytes, frame: Frame(end: 0), chatTemplate: nil)
    } catch { preconditionFailure("256 strings of a byte fit: \(error)") }
  }()

  /// The tokenizer that a trained network's file describes.
  ///
  /// - Parameters:
  ///   - description: `bytes`, or the contents of a `tokenizer.json`.
  ///   - file: for messages.
  /// - Throws: as ``init(tokenizer:settings:chatTemplate:)``.
  public init(description: String, file: String) throws {
    if description == "bytes" {
      self = .bytes
    } else {
      try self.init(tokenizer: JSONNode(JSON.parse(description, file: file), file: file))
    }
  }
}
