/// Why a request is refused or ends.
public enum EngineError: Error, Equatable {
  case emptyPrompt
  case tooLong(prompt: Int, generated: Int, limit: Int)
  case cacheTooSmall(neededPages: Int, pages: Int, pageBytes: Int)
  case tokenOutOfRange(token: Int32, vocabulary: Int)
  case invalidParameter(name: String, value: String, allowed: String)
  case notANumber(position: Int)
  case nothingToSave(tokens: Int, pageTokens: Int)
  case prefixState(file: String, reason: String)
}

extension EngineError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .emptyPrompt: "the prompt has no tokens."
    case .tooLong(let prompt, let generated, let limit):
      "the prompt has \(prompt) tokens and \(generated) are to be generated, more together than the "
        + "model's context of \(limit). Shorten the prompt or generate less."
    case .cacheTooSmall(let needed, let pages, let bytes):
      "one sequence needs \(needed) cache pages (\(needed * bytes) bytes), the budget has \(pages) "
        + "(\(pages * bytes) bytes). Raise the cache budget or use a smaller cache type."
    case .tokenOutOfRange(let token, let vocabulary):
      "token \(token) lies outside the vocabulary of \(vocabulary)."
    case .invalidParameter(let name, let value, let allowed): "\(name) is \(value); allowed is \(allowed)."
    case .notANumber(let position): "the model gave a logit that is not a number at position \(position)."
    case .nothingToSave(let tokens, let page):
      "the cache holds no page of this beginning of \(tokens) tokens. Run a prompt with it first; \(page) tokens are the "
        + "least that can be saved."
    case .prefixState(let file, let reason): "\(file): \(reason). Delete it and save it again."
    }
  }
}
