internal import Glibc

/// What stands at a path.
package enum FileKind: Sendable {
  case missing, file, directory, other

  /// Follows symbolic links.
  package init(path: String) {
    var status = stat()
    guard !path.utf8.contains(0), unsafe stat(path, &status) == 0 else {
      self = .missing
      return
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: self = .file
    case S_IFDIR: self = .directory
    default: self = .other
    }
  }
}

/// The absolute path with every symbolic link, `.` and `..` resolved.
///
/// - Throws: ``MemoryError/cannotOpen(path:reason:)`` when nothing stands there.
package func resolvedPath(_ path: String) throws(MemoryError) -> String {
  guard !path.utf8.contains(0) else { throw .cannotOpen(path: path, reason: "the path holds a NUL") }
  guard let resolved = unsafe realpath(path, nil) else {
    throw .cannotOpen(path: path, reason: systemMessage(errno))
  }
  defer { unsafe free(resolved) }
  return unsafe String(cString: resolved)
}

/// A file that appears under its name only once it is complete and on the disk.
///
/// Bytes go to a file beside it; ``commit()`` syncs, renames it over the old one and syncs the directory. Dropped
/// before, it leaves no trace; a crash leaves the old file and one with `.partial-` in its name. A symbolic link stays and what it leads
/// to is replaced; what is no file, such as a device or a pipe, is written to.
package final class FileReplacement {
  private let path: String
  /// `nil` where bytes go straight to what stands there.
  private let partialPath: String?
  private var descriptor: Int32

  /// - Throws: ``MemoryError/cannotOpen(path:reason:)``, as do ``write(_:)`` and ``commit()``.
  package init(path: String) throws(MemoryError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw .cannotOpen(path: path, reason: path.isEmpty ? "the path is empty" : "the path holds a NUL")
    }
    let kind = FileKind(path: path)
    guard kind != .directory else { throw .cannotOpen(path: path, reason: "it is a directory") }
    self.path = kind == .file ? try resolvedPath(path) : path
    if kind == .other {
      partialPath = nil
      descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
    } else {
      let partial = "\(self.path).partial-\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 16))"
      partialPath = partial
      descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    }
    guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: systemMessage(errno)) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    _ = close(descriptor)
    if let partialPath { unsafe _ = unlink(partialPath) }
  }

  /// Appends `bytes`.
  package func write(_ bytes: Span<UInt8>) throws(MemoryError) {
    var failure: Int32 = 0
    unsafe bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
        let written = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
        if written < 0 && errno == EINTR { continue }
        guard written > 0 else {
          failure = written < 0 ? errno : EIO
          return
        }
        done += written
      }
    }
    guard failure == 0 else { throw .cannotOpen(path: path, reason: systemMessage(failure)) }
  }

  /// Makes the file appear.
  package func commit() throws(MemoryError) {
    guard let partialPath else {
      let failed = close(descriptor) != 0
      descriptor = -1
      if failed { throw .cannotOpen(path: path, reason: systemMessage(errno)) }
      return
    }
    guard fsync(descriptor) == 0, unsafe rename(partialPath, path) == 0 else {
      throw .cannotOpen(path: path, reason: systemMessage(errno))
    }
    _ = close(descriptor)
    descriptor = -1
    // The new name itself must reach the disk too, or a crash could bring the old file back.
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let handle = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard handle >= 0 else { throw .cannotOpen(path: directory, reason: systemMessage(errno)) }
    defer { _ = close(handle) }
    guard fsync(handle) == 0 else { throw .cannotOpen(path: directory, reason: systemMessage(errno)) }
  }
}
