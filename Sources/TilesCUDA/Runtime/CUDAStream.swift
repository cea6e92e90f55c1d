internal import CCUDA

/// Work of one GPU that runs in the order it was asked for.
///
/// `@unchecked Sendable`: the handle never changes; the driver orders calls from several threads.
@safe public final class CUDAStream: @unchecked Sendable {
  /// Where it runs.
  public let device: CUDADevice
  let handle: gw_stream_t

  /// A stream that waits for no other.
  ///
  /// - Throws: ``CUDAError/driver(call:name:reason:)``, as do all its methods.
  public init(device: CUDADevice) throws(CUDAError) {
    try device.activate()
    var stream: gw_stream_t?
    // CU_STREAM_NON_BLOCKING
    try device.driver.check("cuStreamCreate", unsafe device.driver.table.pointee.stream_create(&stream, 1))
    guard let stream = unsafe stream else {
      throw .driver(call: "cuStreamCreate", name: "no stream", reason: device.name)
    }
    self.device = device
    unsafe handle = stream
  }

  deinit { unsafe _ = device.driver.table.pointee.stream_destroy(handle) }

  /// Returns once all work so far has run.
  public func synchronize() throws(CUDAError) {
    try device.activate()
    try device.driver.check(
      "cuStreamSynchronize", unsafe device.driver.table.pointee.stream_synchronize(handle))
  }

  /// Lets later work wait until `event` has happened, in whatever stream it was recorded.
  public func wait(for event: CUDAEvent) throws(CUDAError) {
    try device.activate()
    try device.driver.check(
      "cuStreamWaitEvent", unsafe device.driver.table.pointee.stream_wait(handle, event.handle, 0))
  }
}

/// A point in a stream's work, with its time.
///
/// `@unchecked Sendable`: the handle never changes; the driver orders calls from several threads.
@safe public final class CUDAEvent: @unchecked Sendable {
  private let device: CUDADevice
  let handle: gw_event_t

  /// - Throws: ``CUDAError/driver(call:name:reason:)``, as do all its methods.
  public init(device: CUDADevice) throws(CUDAError) {
    try device.activate()
    var event: gw_event_t?
    try device.driver.check("cuEventCreate", unsafe device.driver.table.pointee.event_create(&event, 0))
    guard let event = unsafe event else {
      throw .driver(call: "cuEventCreate", name: "no event", reason: device.name)
    }
    self.device = device
    unsafe handle = event
  }

  deinit { unsafe _ = device.driver.table.pointee.event_destroy(handle) }

  /// Marks the end of a stream's work so far.
  public func record(in stream: CUDAStream) throws(CUDAError) {
    try device.activate()
    try device.driver.check(
      "cuEventRecord", unsafe device.driver.table.pointee.event_record(handle, stream.handle))
  }

  /// Whether it has happened.
  public var hasHappened: Bool {
    get throws(CUDAError) {
      try device.activate()
      let code = unsafe device.driver.table.pointee.event_query(handle)
      // CUDA_ERROR_NOT_READY
      if code == 600 { return false }
      try device.driver.check("cuEventQuery", code)
      return true
    }
  }

  /// Returns once it has happened.
  public func synchronize() throws(CUDAError) {
    try device.activate()
    try device.driver.check(
      "cuEventSynchronize", unsafe device.driver.table.pointee.event_synchronize(handle))
  }

  /// Seconds from another event to this one; both have happened.
  public func seconds(since start: CUDAEvent) throws(CUDAError) -> Double {
    try device.activate()
    var milliseconds: Float = 0
    try device.driver.check(
      "cuEventElapsedTime",
      unsafe device.driver.table.pointee.event_elapsed(&milliseconds, start.handle, handle))
    return Double(milliseconds) / 1000
  }
}
