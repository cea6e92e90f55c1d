internal import CCUDA
public import Memory
public import Tiles

extension CUDAExecutor {
  /// It has memory of its own.
  public var sharesHostMemory: Bool { false }

  /// Its matrix units take 16-bit factors.
  public var prefersSixteenBit: Bool { true }

  /// Its multiprocessors.
  public var cores: Int { device.multiprocessors }

  /// A ``PinnedBuffer``.
  public func allocateOnHost(byteCount: Int) throws -> TensorStorage {
    try PinnedBuffer(byteCount: byteCount, device: device)
  }

  /// Zeroed memory of the GPU.
  ///
  /// - Throws: ``CUDAError/outOfMemory(requested:used:cap:)``.
  public func allocate(byteCount: Int) throws -> TensorStorage {
    try requireNoCapture("an allocation")
    let storage = try pool.allocate(byteCount: byteCount)
    guard byteCount > 0 else { return storage }
    try device.activate()
    try device.driver.check("cuMemsetD8Async", fill(storage.address, byteCount))
    return storage
  }

  /// A copy in the memory of the GPU with the same extents and strides; the tensor itself where it is there already.
  ///
  /// - Throws: ``CUDAError/outOfMemory(requested:used:cap:)``.
  public func place(_ tensor: Tensor) throws -> Tensor {
    guard tensor.storage.isOnHost else { return tensor }
    try requireNoCapture("placing a tensor")
    let storage = try pool.allocate(byteCount: tensor.spannedBytes)
    try unsafe bring(
      tensor.address, tensor.spannedBytes, to: storage.address, isPinned: tensor.storage is PinnedBuffer)
    return tensor.moved(to: storage)
  }

  /// Starts a copy of host memory, which may be written again when this returns unless it is pinned.
  private func bring(
    _ source: UnsafeRawPointer, _ bytes: Int, to address: UInt64, isPinned: Bool
  ) throws(CUDAError) {
    guard bytes > 0 else { return }
    try device.activate()
    func start(_ place: UnsafeRawPointer) throws(CUDAError) {
      try device.driver.check(
        "cuMemcpyHtoDAsync",
        unsafe device.driver.table.pointee.copy_to_device(address, place, bytes, stream.handle))
    }
    if isPinned { return try unsafe start(source) }
    let staged = try unsafe staging().stage(
      source, bytes, drain: { () throws(CUDAError) in try stream.synchronize() },
      start: { place throws(CUDAError) in try unsafe start(place) })
    if !staged { try unsafe start(source) }
  }

  /// A copy in host memory with the same extents and strides, once all kernels before have run; the tensor itself
  /// where it is there already.
  public func fetch(_ tensor: Tensor) throws -> Tensor {
    try requireNoCapture("fetching a tensor")
    guard !tensor.storage.isOnHost else {
      try synchronize()
      return tensor
    }
    let storage = try HeapStorage(byteCount: tensor.spannedBytes)
    try device.activate()
    try device.driver.check(
      "cuMemcpyDtoHAsync",
      unsafe device.driver.table.pointee.copy_to_host(
        storage.baseAddress, tensor.deviceAddress, tensor.spannedBytes, stream.handle))
    try synchronize()
    return tensor.moved(to: storage)
  }

  /// A copy in host memory that is waited for later; of few numbers, so that kernels which are started meanwhile need not wait for
  /// the host.
  public func fetchLater(_ tensor: Tensor) throws -> any PendingTensor {
    try requireNoCapture("fetching a tensor")
    guard !tensor.storage.isOnHost, tensor.spannedBytes <= CUDAPendingTensor.Slot.byteCount else {
      return FetchedTensor(try fetch(tensor))
    }
    let slot = try slot()
    try device.activate()
    try device.driver.check(
      "cuMemcpyDtoHAsync",
      unsafe device.driver.table.pointee.copy_to_host(
        slot.buffer.baseAddress, tensor.deviceAddress, tensor.spannedBytes, stream.handle))
    try slot.event.record(in: stream)
    return CUDAPendingTensor(tensor, slot, self)
  }

  /// Copies elements between host and GPU, either way, or within the GPU; waits where the target is on the host.
  ///
  /// A source in a ``PinnedBuffer`` is read when the stream gets there; others are read before this returns.
  public func copy(from source: Tensor, into target: Tensor) throws {
    try device.activate()
    let table = unsafe device.driver.table
    let handle = unsafe stream.handle
    switch (source.storage.isOnHost, target.storage.isOnHost) {
    case (true, true):
      target.forEachRun(from: source) { from, to, bytes in
        unsafe (target.address + to).copyMemory(from: source.address + from, byteCount: bytes)
      }
    case (true, false):
      try requireNoCapture("a copy from the host")
      let isPinned = source.storage is PinnedBuffer
      try target.forEachRun(from: source) { from, to, bytes throws(CUDAError) in
        try unsafe bring(
          source.address + from, bytes, to: target.deviceAddress + UInt64(to), isPinned: isPinned)
      }
    case (false, false):
      try target.forEachRun(from: source) { from, to, bytes throws(CUDAError) in
        let (from, to) = (source.deviceAddress + UInt64(from), target.deviceAddress + UInt64(to))
        try device.driver.check(
          "cuMemcpyDtoDAsync",
          start(.copy(from: from, to: to, bytes: bytes)) { _ in
            unsafe table.pointee.copy_on_device(to, from, bytes, handle)
          })
      }
    case (false, true):
      try requireNoCapture("a copy to the host")
      try target.forEachRun(from: source) { from, to, bytes throws(CUDAError) in
        try device.driver.check(
          "cuMemcpyDtoHAsync",
          unsafe table.pointee.copy_to_host(
            target.address + to, source.deviceAddress + UInt64(from), bytes, handle))
      }
      try synchronize()
    }
  }

  /// Writes zero bytes over a tensor in the memory of the GPU.
  ///
  /// - Precondition: the tensor is dense and not on the host.
  public func clear(_ tensor: Tensor) throws {
    precondition(tensor.isDense && !tensor.storage.isOnHost, "only dense tensors of the GPU are cleared here")
    let (address, bytes) = (tensor.deviceAddress, tensor.spannedBytes)
    guard bytes > 0 else { return }
    try device.activate()
    try device.driver.check(
      "cuMemsetD8Async", start(.clear(address, bytes: bytes)) { _ in fill(address, bytes) })
  }

  private func fill(_ address: UInt64, _ bytes: Int) -> gw_result {
    unsafe device.driver.table.pointee.fill_bytes(address, 0, bytes, stream.handle)
  }
}

extension Tensor {
  /// Address of element `[0, …, 0]`, as the driver counts.
  var deviceAddress: UInt64 { unsafe UInt64(UInt(bitPattern: address)) }
}
