package import Tiles

/// The form that fits every kernel: a block a task, tiles in shared memory, plain multiply-adds.
package enum SimpleLowering {
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)`` for what cannot be printed.
  package static func emit(_ kernel: Kernel, target: CUDATarget) throws(ExecutionError) -> CUDAProgram {
    throw .invalid(kernel: kernel.name, reason: "not printed yet.")
  }
}
