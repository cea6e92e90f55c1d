package import Tiles

/// Prints tile programs as CUDA.
package enum Emitter {
  /// The fastest form that the kernel allows on the target.
  ///
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)`` for what cannot be printed.
  package static func emit(_ kernel: Kernel, target: CUDATarget) throws(ExecutionError) -> CUDAProgram {
    guard target == .sm_90a, PipelinedLowering.suits(kernel) else {
      return try SimpleLowering.emit(kernel, target: target)
    }
    return try PipelinedLowering.emit(kernel)
  }
}
