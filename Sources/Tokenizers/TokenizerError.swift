/// Why a tokenizer cannot be made or a text not be read.
public enum TokenizerError: Error, Equatable {
  case invalidUTF8(offset: Int)
  case unsupported(what: String, name: String, known: [String])
  case malformed(reason: String)
}

extension TokenizerError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidUTF8(let offset):
      "the text is not UTF-8: byte \(offset) begins no character. Convert it first."
    case .unsupported(let what, let name, let known):
      "\(what) \(name) is not known. Known are: \(known.joined(separator: ", "))."
    case .malformed(let reason): "the vocabulary is damaged: \(reason)."
    }
  }
}
