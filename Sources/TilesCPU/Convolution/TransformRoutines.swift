internal import CMicrokernels

/// The transforms this processor runs, taken from the table once.
@safe struct TransformRoutines: @unchecked Sendable {
  // `@unchecked`: C function pointers, which never change.
  private let table: UnsafePointer<gw_fourier>

  /// The table of that name; `nil` where there is none.
  init?(named wanted: String) {
    var index: Int32 = 0
    while let table = unsafe gw_fourier_at(index) {
      if unsafe String(cString: table.pointee.name) == wanted {
        unsafe self.table = table
        return
      }
      index += 1
    }
    return nil
  }

  @inline(__always) func transform(
    _ transform: UnsafePointer<gw_transform>, _ mode: gw_transform_mode, _ x: UnsafeMutablePointer<Float>,
    k: UnsafePointer<Float>? = nil, u: UnsafePointer<Float>? = nil, dk: UnsafeMutablePointer<Float>? = nil
  ) {
    unsafe table.pointee.transform(transform, mode, x, k, u, dk)
  }

  @inline(__always) var loadColumns:
    @convention(c) (
      UnsafePointer<gw_signal>?, UnsafePointer<gw_signal>?, Int, Int, Int, Int, UnsafePointer<Float>?,
      UnsafeMutablePointer<Float>?
    ) -> Void
  { unsafe table.pointee.load_columns }

  @inline(__always) var storeColumns:
    @convention(c) (
      UnsafePointer<gw_result>?, UnsafePointer<gw_result>?, Int, Int, Int, Int, UnsafePointer<Float>?,
      UnsafePointer<Float>?
    ) -> Void
  { unsafe table.pointee.store_columns }

  @inline(__always) var spread:
    @convention(c) (
      UnsafePointer<Int32>?, Int, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?,
      UnsafeMutablePointer<Float>?, Int, Int, Int
    ) -> Void
  { unsafe table.pointee.spread }

  @inline(__always) var gather:
    @convention(c) (
      UnsafePointer<Int32>?, Int, UnsafeMutablePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?,
      UnsafePointer<Float>?, Int, Int, Int
    ) -> Void
  { unsafe table.pointee.gather }

  @inline(__always) var multiply:
    @convention(c) (
      Int, UnsafePointer<Float>?, UnsafePointer<Float>?, Int32, Int32, UnsafeMutablePointer<Float>?
    ) -> Void
  { unsafe table.pointee.multiply }

  @inline(__always) var finish:
    @convention(c) (
      UnsafePointer<gw_result>?, UnsafePointer<Float>?, UnsafePointer<Float>?
    ) -> Void
  { unsafe table.pointee.finish }

  @inline(__always) var dot: @convention(c) (UnsafePointer<gw_signal>?, UnsafePointer<gw_signal>?) -> Double {
    unsafe table.pointee.dot
  }

  @inline(__always) var turn:
    @convention(c) (
      Int, Int, Int32, UnsafeRawPointer?, Int, UnsafeMutableRawPointer?, Int
    ) -> Void
  { unsafe table.pointee.turn }
}
