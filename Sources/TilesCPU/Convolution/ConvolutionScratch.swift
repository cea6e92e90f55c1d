internal import CMicrokernels
internal import Glibc

/// Memory that one thread works in, aligned to cache lines.
///
/// `@unchecked Sendable`: a thread uses its own, or that of the first thread while all work on one row.
@safe final class ConvolutionScratch: @unchecked Sendable {
  private let base: UnsafeMutableRawPointer
  /// Bytes in all.
  let byteCount: Int
  private let spectrum: Int
  private let columnFloats: Int
  private let size: Int

  private static let largePage = 2 << 20

  /// Buffers of the size of a transformed row.
  enum Buffer: Int { case work, filter, input, sum, before }

  /// - Parameters:
  ///   - spectrum: floats of a transformed row.
  ///   - rows: rows of the matrix.
  ///   - linear: numbers of a linear convolution that must be kept, or 0.
  ///   - buffers: how many of ``Buffer`` there are.
  init?(spectrum: Int, rows: Int, linear: Int, buffers: Int) {
    self.spectrum = (spectrum + 15) / 16 * 16
    columnFloats = 2 * rows * GW_LINE
    size = linear
    byteCount = 4 * (self.spectrum * buffers + columnFloats + linear)
    var memory: UnsafeMutableRawPointer?
    guard unsafe posix_memalign(&memory, 64, max(64, byteCount)) == 0, let memory = unsafe memory else {
      return nil
    }
    unsafe base = memory
  }

  deinit { unsafe free(base) }

  /// A transformed row.
  func row(_ buffer: Buffer) -> UnsafeMutablePointer<Float> {
    unsafe (base + 4 * (columnFloats + spectrum * buffer.rawValue)).assumingMemoryBound(to: Float.self)
  }

  /// Two tiles of columns.
  var columns: UnsafeMutablePointer<Float> { unsafe base.assumingMemoryBound(to: Float.self) }

  /// The linear convolution.
  var linear: UnsafeMutablePointer<Float> {
    unsafe (base + byteCount - 4 * size).assumingMemoryBound(to: Float.self)
  }
}
