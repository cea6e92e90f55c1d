package import Memory

/// What can be wrong with a file and what it says.
public enum FormatError: Error, Equatable {
  /// The file cannot be opened, mapped or read.
  case unreadable(file: String, reason: String)
  /// The file cannot be written.
  case unwritable(file: String, reason: String)
  /// A file that must lie in `directory` does not.
  case missingFile(directory: String, name: String, remedy: String)
  /// The first bytes belong to another format.
  case wrongFormat(file: String, expected: String, found: String)
  /// A version of the format that this reader does not know.
  case unsupportedVersion(file: String, version: UInt32, supported: String)
  /// `item` claims more bytes than the file has left.
  case truncated(file: String, item: String, needed: UInt64, available: Int)
  /// `item` exceeds a stated limit of this reader.
  case tooLarge(file: String, item: String, limit: Int, found: UInt64)
  /// `item` breaks a rule of the format.
  case malformed(file: String, item: String, reason: String)
  /// JSON that does not parse; line and column count from 1, the column in bytes.
  case syntax(file: String, line: Int, column: Int, reason: String)
  /// A name that must be unique occurs twice.
  case duplicate(file: String, item: String, name: String)
  /// A metadata key or JSON field that must be there is not.
  case missingKey(file: String, key: String)
  /// A metadata key or JSON field holds something else than is asked for.
  case wrongValue(file: String, key: String, expected: String, found: String)
  /// No tensor has this name.
  case missingTensor(file: String, name: String)
  /// The tensor is there, but its numbers are of a kind that nothing here computes with.
  case unsupportedType(file: String, tensor: String, type: String)
  /// The tensor's first byte is not where its elements may start.
  case misaligned(file: String, tensor: String, offset: Int, alignment: Int)
  /// A pickle asks for something of Python that this reader does not know.
  case refusedGlobal(file: String, name: String)
  /// A pickle has an instruction that tensors and settings do not need.
  case refusedOpcode(file: String, opcode: String, position: Int)
  /// A value that JSON or safetensors cannot express.
  case cannotExpress(item: String, reason: String)
}

extension FormatError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)."
    case .unwritable(let file, let reason): "\(file): cannot be written: \(reason)."
    case .missingFile(let directory, let name, let remedy): "\(directory): \(name) is missing. \(remedy)"
    case .wrongFormat(let file, let expected, let found):
      "\(file): not \(expected): it starts with \(found). Give a \(expected) file."
    case .unsupportedVersion(let file, let version, let supported):
      "\(file): version \(version) is not supported, only \(supported). Convert the file again with current tools."
    case .truncated(let file, let item, let needed, let available):
      "\(file): \(item) needs \(needed) bytes, \(available) are left. The file is cut short or damaged: "
        + "copy it again."
    case .tooLarge(let file, let item, let limit, let found):
      "\(file): \(item) is \(found), the limit is \(limit). The file is damaged or not meant for this reader."
    case .malformed(let file, let item, let reason): "\(file): \(item): \(reason)."
    case .syntax(let file, let line, let column, let reason):
      "\(file): line \(line), column \(column): \(reason)."
    case .duplicate(let file, let item, let name): "\(file): \(item) \"\(name)\" occurs twice."
    case .missingKey(let file, let key): "\(file): \(key) is missing."
    case .wrongValue(let file, let key, let expected, let found):
      "\(file): \(key): expected \(expected), found \(found)."
    case .missingTensor(let file, let name): "\(file): there is no tensor \"\(name)\"."
    case .unsupportedType(let file, let tensor, let type):
      "\(file): tensor \"\(tensor)\" is of type \(type), which is not supported. Convert the model to another type."
    case .misaligned(let file, let tensor, let offset, let alignment):
      "\(file): tensor \"\(tensor)\" starts at byte \(offset), not a multiple of \(alignment). "
        + "Write the file again with current tools."
    case .refusedGlobal(let file, let name):
      "\(file): its pickle asks for \(name) of Python. This reader runs no code: it knows tensors, dictionaries and plain "
        + "values alone. If you trust the file, load it with PyTorch and save its state dict as safetensors."
    case .refusedOpcode(let file, let opcode, let position):
      "\(file): its pickle has instruction \(opcode) at byte \(position), which tensors and settings do not need. "
        + "If you trust the file, load it with PyTorch and save its state dict as safetensors."
    case .cannotExpress(let item, let reason): "\(item): \(reason)."
    }
  }
}

extension FormatError {
  /// The same trouble with the file named once, whatever layer met it.
  package init(_ error: MemoryError, file: String) {
    switch error {
    case .cannotOpen(_, let reason): self = .unreadable(file: file, reason: reason)
    case .cannotMap(_, let bytes, let reason):
      self = .unreadable(file: file, reason: "mapping its \(bytes) bytes failed: \(reason)")
    case .outOfMemory, .outOfBounds, .notWholeBlocks:
      self = .malformed(file: file, item: "tensor", reason: "\(error)")
    }
  }
}
