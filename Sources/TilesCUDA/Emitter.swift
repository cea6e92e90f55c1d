package import Tiles

/// Prints tile programs as CUDA.
package enum Emitter {
  /// The fastest form that the kernel allows on the target.
  ///
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)`` for what cannot be printed.
  package static func emit(_ kernel: Kernel, target: CUDATarget) throws(ExecutionError) -> CUDAProgram {
    try SimpleLowering.emit(kernel, target: target)
  }
}
