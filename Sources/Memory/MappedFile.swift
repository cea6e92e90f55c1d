internal import Glibc

/// A whole file as read-only memory; pages are read when first touched.
///
/// The size is pinned when the file is opened: bytes appended later are not seen. A file that another process
/// truncates while it is mapped ends this process with SIGBUS when a lost page is touched, as with every memory
/// map: replace model files by renaming a new file over them, never in place.
@safe public final class MappedFile: TensorStorage, @unchecked Sendable {
  /// How the pages of a range will be touched.
  public enum Advice: Sendable {
    /// No expectation: the system's ordinary read-ahead.
    case normal
    /// From first to last: read ahead far, drop early.
    case sequential
    /// In no order: read nothing ahead.
    case random
    /// Soon: start reading now.
    case willNeed
    /// Not soon: the pages may be dropped and are read again when touched.
    case dontNeed
  }

  /// The path as given.
  public let path: String

  /// Maps all of the file at `path`.
  ///
  /// - Throws: ``MemoryError/cannotOpen(path:reason:)`` for what is missing, forbidden, empty or no regular file;
  ///   ``MemoryError/cannotMap(path:bytes:reason:)`` when the system refuses the map.
  public init(path: String) throws(MemoryError) {
    let descriptor = try openForReading(path)
    defer { _ = close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .cannotOpen(path: path, reason: systemMessage(errno))
    }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG else {
      throw .cannotOpen(path: path, reason: kind == S_IFDIR ? "it is a directory" : "it is no regular file")
    }
    let byteCount = Int(status.st_size)
    guard byteCount > 0 else { throw .cannotOpen(path: path, reason: "it is empty (0 bytes)") }
    let mapped = unsafe mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let base = unsafe mapped, unsafe base != MAP_FAILED else {
      throw .cannotMap(path: path, bytes: byteCount, reason: systemMessage(errno))
    }
    self.path = path
    unsafe super.init(baseAddress: base, byteCount: byteCount)
  }

  deinit { unsafe _ = munmap(baseAddress, byteCount) }

  /// Tells the system how bytes `range` will be touched; `nil` means the whole file. A hint: it cannot fail.
  ///
  /// - Precondition: `range` lies within the file.
  public func advise(_ advice: Advice, _ range: Range<Int>? = nil) {
    let range = range ?? 0..<byteCount
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount, "\(range) leaves \(path) of \(byteCount) bytes")
    // The kernel wants a page's first address; dropping pages must not touch a neighbour's page.
    let pageMask = 4095
    let start = advice == .dontNeed ? (range.lowerBound + pageMask) & ~pageMask : range.lowerBound & ~pageMask
    let atEnd = range.upperBound == byteCount
    let end = advice == .dontNeed && !atEnd ? range.upperBound & ~pageMask : range.upperBound
    guard start < end else { return }
    unsafe _ = madvise(baseAddress + start, end - start, advice.code)
  }
}

extension MappedFile.Advice {
  fileprivate var code: Int32 {
    switch self {
    case .normal: MADV_NORMAL
    case .sequential: MADV_SEQUENTIAL
    case .random: MADV_RANDOM
    case .willNeed: MADV_WILLNEED
    case .dontNeed: MADV_DONTNEED
    }
  }
}

/// A descriptor that child processes do not inherit. `O_NONBLOCK`: opening a named pipe must not wait for a writer.
private func openForReading(_ path: String) throws(MemoryError) -> Int32 {
  // A NUL would cut the name short and open another file than the one named.
  guard !path.isEmpty, !path.utf8.contains(0) else {
    throw .cannotOpen(path: path, reason: path.isEmpty ? "the path is empty" : "the path holds a NUL")
  }
  while true {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    if descriptor >= 0 { return descriptor }
    guard errno == EINTR else { throw .cannotOpen(path: path, reason: systemMessage(errno)) }
  }
}

/// The system's words for an error number, such as "No such file or directory".
package func systemMessage(_ code: Int32) -> String {
  guard let text = unsafe strerror(code) else { return "error \(code)" }
  return unsafe String(cString: text)
}
