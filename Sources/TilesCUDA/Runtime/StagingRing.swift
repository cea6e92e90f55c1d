internal import Memory
internal import Synchronization

/// Pinned memory through which copies from other host memory go, so that none of them waits for the stream.
///
/// The driver itself lets copies of more than 64 KiB from memory that may move wait until all work before has run, after which a
/// GPU has nothing to do until the next kernels are started.
@safe final class StagingRing: Sendable {
  private let byteCount: Int
  private let buffer: TensorStorage
  /// Bytes in use, from the start, by copies that may not have run.
  private let used = Mutex(0)

  /// - Parameter buffer: memory that a device reads at any time.
  init(_ buffer: TensorStorage) {
    self.buffer = buffer
    byteCount = buffer.byteCount
  }

  /// Copies bytes to the ring and has `start` start the copy from there.
  ///
  /// - Parameters:
  ///   - drain: returns once all copies so far have run; called where the ring is full.
  ///   - start: is given the bytes' place in the ring.
  /// - Returns: false, without a call of `start`, for more than half of the ring.
  func stage<Failure: Error>(
    _ source: UnsafeRawPointer, _ bytes: Int, drain: () throws(Failure) -> Void,
    start: (UnsafeRawPointer) throws(Failure) -> Void
  ) throws(Failure) -> Bool {
    guard bytes <= byteCount / 2 else { return false }
    try used.withLock { used throws(Failure) in
      if used + bytes > byteCount {
        try drain()
        used = 0
      }
      let place = unsafe buffer.baseAddress + used
      unsafe place.copyMemory(from: source, byteCount: bytes)
      try unsafe start(UnsafeRawPointer(place))
      used += (bytes + 255) / 256 * 256
    }
    return true
  }
}
