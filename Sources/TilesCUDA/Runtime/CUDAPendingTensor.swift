internal import Memory
internal import Synchronization
internal import Tiles

/// Numbers on their way from a GPU: a small pinned buffer and the event behind the copy to it.
final class CUDAPendingTensor: PendingTensor {
  /// A buffer with its event, used again and again.
  struct Slot: Sendable {
    /// Bytes of a buffer; larger tensors are fetched at once.
    static let byteCount = 4096
    let buffer: PinnedBuffer
    let event: CUDAEvent
  }

  private let tensor: Tensor
  private let slot: Slot
  private let executor: CUDAExecutor
  private let isOver = Mutex(false)

  /// - Parameters:
  ///   - tensor: what is copied, as it lies on the device.
  ///   - slot: where it goes; the event has been recorded behind the copy.
  init(_ tensor: Tensor, _ slot: Slot, _ executor: CUDAExecutor) {
    self.tensor = tensor
    self.slot = slot
    self.executor = executor
  }

  deinit { finish() }

  func wait() throws -> Tensor {
    try executor.reportingFailures { () throws(CUDAError) in try slot.event.synchronize() }
    let storage = try HeapStorage(byteCount: tensor.spannedBytes)
    unsafe storage.baseAddress.copyMemory(from: slot.buffer.baseAddress, byteCount: tensor.spannedBytes)
    finish()
    return tensor.moved(to: storage)
  }

  /// Hands the buffer back, once nothing will be written to it.
  private func finish() {
    let wasOver = isOver.withLock { over in
      defer { over = true }
      return over
    }
    guard !wasOver, (try? slot.event.synchronize()) != nil else { return }
    executor.recycle(slot)
  }
}
