extension TensorStorage {
  /// The bytes in order, each access checked against ``byteCount``.
  ///
  /// - Precondition: the storage lies in host memory and nothing writes it meanwhile.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      requireHost()
      let start = unsafe UnsafeRawPointer(baseAddress).assumingMemoryBound(to: UInt8.self)
      let span = unsafe Span(_unsafeStart: start, count: byteCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }
}

extension HeapStorage {
  /// Host memory of its own with a copy of `bytes`.
  public convenience init(copying bytes: Span<UInt8>) throws(MemoryError) {
    try self.init(byteCount: bytes.count)
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe baseAddress.copyMemory(from: start, byteCount: source.count)
    }
  }
}
