/// What can go wrong with memory and the files mapped into it.
public enum MemoryError: Error, Equatable {
  case outOfMemory(requested: Int)
  case cannotOpen(path: String, reason: String)
  case cannotMap(path: String, bytes: Int, reason: String)
  case outOfBounds(offset: Int, count: Int, available: Int)
  case notWholeBlocks(type: ElementType, count: Int)
}

extension MemoryError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .outOfMemory(let requested):
      "cannot allocate \(requested) bytes. Lower the cache budget or the batch size."
    case .cannotOpen(let path, let reason): "\(path): cannot be opened: \(reason)."
    case .cannotMap(let path, let bytes, let reason): "\(path): cannot map \(bytes) bytes: \(reason)."
    case .outOfBounds(let offset, let count, let available):
      "bytes \(offset) to \(offset + count) are asked for, \(available) are there."
    case .notWholeBlocks(let type, let count):
      "\(count) numbers of type \(type.rawValue) are not whole blocks of \(type.blockElements)."
    }
  }
}
