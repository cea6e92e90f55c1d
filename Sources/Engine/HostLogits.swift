internal import Memory
internal import Models
internal import Tiles

/// Logits where this process can read them: as they lie where kernels use host memory, otherwise in a buffer that is
/// reused from step to step.
final class HostLogits {
  private let executor: any Executor
  private var buffer: TensorStorage?

  init(_ executor: any Executor) { self.executor = executor }

  /// The logits once they have been computed; valid until the next call.
  func callAsFunction(_ logits: Tensor) throws -> Tensor {
    guard !logits.storage.isOnHost else { return logits }
    let bytes = logits.spannedBytes
    let storage =
      try buffer.flatMap { $0.byteCount >= bytes ? $0 : nil } ?? executor.allocateOnHost(byteCount: bytes)
    buffer = storage
    let target = try Tensor(storage, type: logits.type, shape: logits.shape)
    try executor.copy(from: logits, into: target)
    return target
  }
}
