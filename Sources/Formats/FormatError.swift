/// What is wrong with a file.
public enum FormatError: Error, Equatable {
  case unreadable(file: String, reason: String)
  case truncated(file: String, at: Int, wanted: Int, available: Int)
  case malformed(file: String, reason: String)
  case limit(file: String, what: String, value: String, limit: String)
  case missing(file: String, key: String)
  case wrongType(file: String, key: String, expected: String, found: String)
  case unsupported(file: String, what: String)
}

extension FormatError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)."
    case .truncated(let file, let at, let wanted, let available):
      "\(file): \(wanted) bytes are promised at byte \(at), \(available) are left. Copy the file again."
    case .malformed(let file, let reason): "\(file): \(reason)"
    case .limit(let file, let what, let value, let limit): "\(file): \(what) is \(value); at most \(limit) is read."
    case .missing(let file, let key): "\(file): \(key) is missing. The file is incomplete or of another kind."
    case .wrongType(let file, let key, let expected, let found):
      "\(file): \(key) must be \(expected), it is \(found)."
    case .unsupported(let file, let what): "\(file): \(what) is not supported."
    }
  }
}
