internal import Glibc

/// A whole file mapped for reading; its size is pinned when it is opened.
@safe public final class MappedFile: TensorStorage, @unchecked Sendable {
  /// Where it was opened.
  public let path: String

  /// - Throws: ``MemoryError/cannotOpen(path:reason:)`` for what is missing, unreadable, empty or no regular file;
  ///   ``MemoryError/cannotMap(path:bytes:reason:)``.
  public init(path: String) throws(MemoryError) {
    guard !path.utf8.contains(0) else { throw .cannotOpen(path: path, reason: "the path holds a NUL byte") }
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: Self.lastError()) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .cannotOpen(path: path, reason: Self.lastError()) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .cannotOpen(path: path, reason: "it is not a regular file")
    }
    let bytes = Int(status.st_size)
    guard bytes > 0 else { throw .cannotOpen(path: path, reason: "it is empty") }
    let mapped = unsafe mmap(nil, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let base = unsafe mapped, unsafe mapped != MAP_FAILED else {
      throw .cannotMap(path: path, bytes: bytes, reason: Self.lastError())
    }
    self.path = path
    unsafe super.init(baseAddress: base, byteCount: bytes)
  }

  deinit { unsafe _ = munmap(baseAddress, byteCount) }

  private static func lastError() -> String { unsafe String(cString: strerror(errno)) }
}
