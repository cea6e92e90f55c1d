/// What is wrong with a kernel as it was recorded: which kernel, which operation, where, and what would mend it.
public struct TileError: Error, Equatable, CustomStringConvertible {
  /// Name of the kernel.
  public let kernel: String
  /// The operation, with its operands' shapes.
  public let operation: String
  /// Where the author wrote it.
  public let location: String
  /// What is wrong and what to do.
  public let problem: String

  public var description: String { "kernel \(kernel), \(operation) at \(location): \(problem)" }
}

/// What is wrong with running a kernel on given arguments.
public enum ExecutionError: Error, Equatable {
  case argumentCount(kernel: String, expected: Int, found: Int)
  case argumentType(kernel: String, tensor: String, expected: String, found: String)
  case argumentShape(kernel: String, tensor: String, expected: String, found: [Int])
  case argumentLayout(kernel: String, tensor: String, reason: String)
  case outOfMemory(kernel: String, bytes: Int)
  case invalid(kernel: String, reason: String)
}

extension ExecutionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .argumentCount(let kernel, let expected, let found):
      "kernel \(kernel) takes \(expected) arguments, \(found) were given."
    case .argumentType(let kernel, let tensor, let expected, let found):
      "kernel \(kernel): \(tensor) must be \(expected), it is \(found). Convert it first."
    case .argumentShape(let kernel, let tensor, let expected, let found):
      "kernel \(kernel): \(tensor) must have shape \(expected), it has \(found)."
    case .argumentLayout(let kernel, let tensor, let reason): "kernel \(kernel): \(tensor): \(reason)."
    case .outOfMemory(let kernel, let bytes):
      "kernel \(kernel) needs \(bytes) bytes of workspace, which the system refuses. Use smaller tiles."
    case .invalid(let kernel, let reason): "kernel \(kernel): \(reason)"
    }
  }
}
