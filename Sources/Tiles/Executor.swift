public import Memory

/// A machine that runs tile programs.
public protocol Executor: Sendable {
  /// Prepares a kernel; done once, kept by the caller.
  ///
  /// - Throws: ``ExecutionError`` where the machine cannot run it.
  func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel
}

/// A kernel that a machine has prepared.
public protocol CompiledKernel: Sendable {
  /// Runs every task of the grid and returns when the results are visible to the next kernel of the same executor.
  ///
  /// - Parameters:
  ///   - tensors: one for each of the kernel's tensor parameters.
  ///   - integers: one for each integer argument, in order of declaration.
  /// - Throws: ``ExecutionError`` where an argument does not fit; nothing has run then.
  func run(_ tensors: [Tensor], integers: [Int]) throws(ExecutionError)
}

extension CompiledKernel {
  /// Runs a kernel without integer arguments.
  public func run(_ tensors: [Tensor]) throws(ExecutionError) { try run(tensors, integers: []) }
}
