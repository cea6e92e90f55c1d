internal import CCUDA

/// A GPU of this machine, and the context that everything on it shares.
///
/// `@unchecked Sendable`: nothing changes after `init`; the driver may be called from any thread.
@safe public final class CUDADevice: @unchecked Sendable {
  /// Number among the machine's GPUs.
  public let number: Int
  /// Name as its maker gave it.
  public let name: String
  /// Multiprocessors.
  public let multiprocessors: Int
  /// Bytes of memory.
  public let memoryBytes: Int
  /// Bytes of second-level cache.
  public let cacheBytes: Int
  /// Most shared memory a block may have, in bytes.
  public let sharedBytesPerBlock: Int
  /// Compute capability times ten, for example 90.
  public let capability: Int
  /// CUDA version the driver is made for, for example 13000.
  public let driverVersion: Int
  let driver: CUDADriver
  private let handle: gw_device
  private let context: gw_context_t

  /// How many GPUs the driver sees.
  public static func count() throws(CUDAError) -> Int {
    let driver = try CUDADriver.open()
    var count: Int32 = 0
    try driver.check("cuDeviceGetCount", unsafe driver.table.pointee.device_count(&count))
    return Int(count)
  }

  /// Opens a GPU and makes its context.
  ///
  /// - Throws: ``CUDAError`` that says what is missing.
  public init(number: Int = 0) throws(CUDAError) {
    let driver = try CUDADriver.open()
    let count = try Self.count()
    guard count > 0 else { throw .noDevice }
    guard (0..<count).contains(number) else { throw .noSuchDevice(number: number, count: count) }
    var device: gw_device = 0
    try driver.check("cuDeviceGet", unsafe driver.table.pointee.device_get(&device, Int32(number)))
    let handle = device
    func attribute(_ attribute: Int32) throws(CUDAError) -> Int {
      var value: Int32 = 0
      try driver.check(
        "cuDeviceGetAttribute", unsafe driver.table.pointee.device_attribute(&value, attribute, handle))
      return Int(value)
    }
    let (_, name) = unsafe withMessage { text, capacity in
      unsafe driver.table.pointee.device_name(text, Int32(capacity), handle)
    }
    // CUdevice_attribute: multiprocessors 16, L2 bytes 38, capability 75 and 76, shared bytes a block may opt in to 97.
    (multiprocessors, cacheBytes) = (try attribute(16), try attribute(38))
    (capability, sharedBytesPerBlock) = (try attribute(75) * 10 + attribute(76), try attribute(97))
    guard capability >= 80 else { throw .deviceTooOld(name: name, capability: capability) }
    var bytes = 0
    try driver.check("cuDeviceTotalMem", unsafe driver.table.pointee.device_memory(&bytes, handle))
    var context: gw_context_t?
    try driver.check(
      "cuDevicePrimaryCtxRetain", unsafe driver.table.pointee.context_retain(&context, handle))
    guard let context = unsafe context else { throw .noDevice }
    self.driver = driver
    self.number = number
    self.name = name
    memoryBytes = bytes
    driverVersion = try driver.version()
    self.handle = handle
    unsafe self.context = context
    try activate()
  }

  deinit { _ = unsafe driver.table.pointee.context_release(handle) }

  /// What programs for it are printed for.
  public var target: CUDATarget { capability == 90 ? .sm_90a : .sm_80 }

  /// Makes the calling thread work on this GPU; cheap where it does already.
  @inline(__always)
  func activate() throws(CUDAError) {
    try driver.check("cuCtxSetCurrent", unsafe driver.table.pointee.context_set(context))
  }

  /// Bytes free and in all, other processes counted.
  public func memoryInfo() throws(CUDAError) -> (free: Int, total: Int) {
    try activate()
    var (free, total) = (0, 0)
    try driver.check("cuMemGetInfo", unsafe driver.table.pointee.memory_info(&free, &total))
    return (free, total)
  }
}
