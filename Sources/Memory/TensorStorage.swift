internal import Glibc

/// A run of bytes that tensors point into, freed when the last of them goes.
///
/// Subclasses say where the bytes come from: ``HeapStorage`` here, `MappedFile` for files, device memory in a GPU
/// back end.
///
/// `@unchecked Sendable`: the address and length never change; who may write which bytes when is the executor's
/// contract (one kernel at a time writes a tensor, and kernels of one executor run in order).
@safe open class TensorStorage: @unchecked Sendable {
  /// First byte, as the device that owns the memory addresses it.
  public let baseAddress: UnsafeMutableRawPointer
  /// Bytes from ``baseAddress`` on.
  public let byteCount: Int
  /// Whether this process may read and write the bytes itself.
  public let isOnHost: Bool

  /// Adopts memory that the subclass frees.
  public init(baseAddress: UnsafeMutableRawPointer, byteCount: Int, isOnHost: Bool = true) {
    unsafe self.baseAddress = baseAddress
    self.byteCount = byteCount
    self.isOnHost = isOnHost
  }

  /// Stops with a message rather than at an address that means nothing here.
  func requireHost() {
    precondition(
      isOnHost, "these \(byteCount) bytes lie in a device's memory. Fetch the tensor with its executor first")
  }
}

/// Zeroed host memory, aligned to 64 bytes at least; pages are backed only once touched.
@safe public final class HeapStorage: TensorStorage, @unchecked Sendable {
  private let mappedBytes: Int

  /// - Throws: ``MemoryError/outOfMemory(requested:)`` when the system refuses or `byteCount` is negative.
  public init(byteCount: Int) throws(MemoryError) {
    guard byteCount >= 0, byteCount < Int.max - 4096 else { throw .outOfMemory(requested: byteCount) }
    // Small blocks come from the heap: a page for each would waste most of it.
    mappedBytes = byteCount >= 1 << 16 ? (byteCount + 4095) & ~4095 : 0
    var base: UnsafeMutableRawPointer?
    if mappedBytes > 0 {
      let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
      let mapped = unsafe mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, flags, -1, 0)
      unsafe base = mapped == MAP_FAILED ? nil : mapped
    } else {
      let rounded = max(64, (byteCount + 63) & ~63)
      guard unsafe posix_memalign(&base, 64, rounded) == 0 else { throw .outOfMemory(requested: byteCount) }
      if let base = unsafe base { unsafe memset(base, 0, rounded) }
    }
    guard let base = unsafe base else { throw .outOfMemory(requested: byteCount) }
    unsafe super.init(baseAddress: base, byteCount: byteCount)
  }

  deinit {
    if mappedBytes > 0 { unsafe _ = munmap(baseAddress, mappedBytes) } else { unsafe free(baseAddress) }
  }
}
