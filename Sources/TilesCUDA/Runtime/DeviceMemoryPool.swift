package import Memory
internal import Synchronization

/// Device memory under a hard cap, handed out in blocks of slabs that the driver gave.
///
/// A block that is given back is handed out again at once: whoever writes it next must do so in the stream that used it
/// last. The cap holds what tensors take; the driver's own context comes on top.
package final class DeviceMemoryPool: Sendable {
  /// Where slabs come from; a test has its own.
  package struct Source: Sendable {
    /// A slab of so many bytes, or `nil` where there is none.
    package var allocate: @Sendable (Int) -> UInt64?
    /// Takes a slab back.
    package var free: @Sendable (UInt64) -> Void

    /// A source of slabs.
    package init(
      allocate: @escaping @Sendable (Int) -> UInt64?, free: @escaping @Sendable (UInt64) -> Void
    ) {
      self.allocate = allocate
      self.free = free
    }
  }

  /// Most bytes that it takes from the driver.
  package let cap: Int
  private let source: Source
  private let ledger: Mutex<MemoryLedger>

  /// A pool that owns nothing yet.
  package init(cap: Int, slabBytes: Int = 64 << 20, source: Source) {
    self.cap = cap
    self.source = source
    ledger = Mutex(MemoryLedger(cap: cap, slabBytes: slabBytes))
  }

  deinit { for slab in ledger.withLock({ $0.removeIdleSlabs() }) { source.free(slab) } }

  /// Bytes in use, and bytes taken from the driver.
  package var usage: (used: Int, reserved: Int) { ledger.withLock { ($0.used, $0.reserved) } }

  /// Memory that is given back when the storage goes; its contents are whatever they were.
  ///
  /// - Throws: ``CUDAError/outOfMemory(requested:used:cap:)``.
  package func allocate(byteCount: Int) throws(CUDAError) -> DeviceStorage {
    guard byteCount >= 0, byteCount <= cap, let address = take(MemoryLedger.rounded(byteCount)),
      let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address))
    else { throw .outOfMemory(requested: byteCount, used: usage.used, cap: cap) }
    return unsafe DeviceStorage(pool: self, baseAddress: base, byteCount: byteCount)
  }

  private func take(_ bytes: Int) -> UInt64? {
    ledger.withLock { ledger in
      if let address = ledger.take(bytes) { return address }
      if let address = grow(&ledger, bytes) { return address }
      // Slabs nobody uses may be too small for this block and yet stand in its way.
      let idle = ledger.removeIdleSlabs()
      for slab in idle { source.free(slab) }
      return idle.isEmpty ? nil : grow(&ledger, bytes)
    }
  }

  private func grow(_ ledger: inout MemoryLedger, _ bytes: Int) -> UInt64? {
    guard let size = ledger.slabSize(for: bytes) else { return nil }
    for size in size > bytes ? [size, bytes] : [bytes] {
      guard let slab = source.allocate(size) else { continue }
      ledger.addSlab(slab, bytes: size)
      return ledger.take(bytes)
    }
    return nil
  }

  fileprivate func give(_ address: UInt64) { ledger.withLock { $0.give(address) } }
}

/// Bytes of a device's memory, given back to their pool when the last tensor in them goes.
@safe package final class DeviceStorage: TensorStorage, @unchecked Sendable {
  private let pool: DeviceMemoryPool

  fileprivate init(pool: DeviceMemoryPool, baseAddress: UnsafeMutableRawPointer, byteCount: Int) {
    self.pool = pool
    unsafe super.init(baseAddress: baseAddress, byteCount: byteCount, isOnHost: false)
  }

  deinit { pool.give(address) }

  /// The first byte, as the driver counts.
  var address: UInt64 { unsafe UInt64(UInt(bitPattern: baseAddress)) }
}
