internal import Glibc
internal import Memory

/// Some work whose kernels have all been compiled before, as an empty file beside their machine code says.
///
/// A mark alone: who removes the machine code, or part of it, waits for it as if there were none.
public struct CompiledWork: Sendable {
  private let path: String

  /// - Parameters:
  ///   - name: all that the work's kernels depend on.
  ///   - folder: where machine code is kept.
  public init(_ name: String, cacheFolder folder: String) {
    var hash = ContentHash()
    hash.add(name)
    path = "\(folder)/\(hash.text).work"
  }

  /// Whether it is remembered.
  public var isKnown: Bool { unsafe access(path, F_OK) == 0 }

  /// Remembers it. The folder must be there.
  ///
  /// - Throws: why the file cannot be written.
  public func remember() throws { try FileReplacement(path: path).commit() }
}
