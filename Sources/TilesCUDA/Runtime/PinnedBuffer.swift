internal import CCUDA
public import Memory

/// Host memory that never moves: a device copies from and to it at full speed, and without holding up this process.
///
/// Unlike other sources of a copy, it must not be written again before the copy has run: see ``CUDAEvent``.
@safe public final class PinnedBuffer: TensorStorage, @unchecked Sendable {
  private let device: CUDADevice

  /// - Throws: ``CUDAError/driver(call:name:reason:)`` when the system has no memory to pin.
  public init(byteCount: Int, device: CUDADevice) throws(CUDAError) {
    try device.activate()
    var base: UnsafeMutableRawPointer?
    let driver = device.driver
    try driver.check(
      "cuMemAllocHost", unsafe driver.table.pointee.allocate_host(&base, max(64, byteCount)))
    guard let base = unsafe base else {
      throw .driver(call: "cuMemAllocHost", name: "no address", reason: "\(byteCount) bytes")
    }
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: max(64, byteCount))
    self.device = device
    unsafe super.init(baseAddress: base, byteCount: byteCount)
  }

  deinit { unsafe _ = device.driver.table.pointee.free_host(baseAddress) }
}
