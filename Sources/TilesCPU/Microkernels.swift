internal import CMicrokernels
internal import Memory

/// The SIMD routines this processor runs, taken from the table once so that a call is one indirect jump.
@safe struct Microkernels: @unchecked Sendable {
  // `@unchecked`: C function pointers, which never change.
  let name: String
  let matmul:
    @convention(c) (
      Int, Int, Int, UnsafePointer<Float>?, Int, Int, UnsafePointer<Float>?, Int, Int,
      UnsafeMutablePointer<Float>?, Int, Int32
    ) -> Void
  let matmulRows:
    @convention(c) (
      gw_type, Int, Int, Int, UnsafePointer<Float>?, Int, Int, UnsafeRawPointer?, Int,
      UnsafeMutablePointer<Float>?, Int, Int32
    ) -> Void
  let packRows:
    @convention(c) (
      gw_type, Int, Int, UnsafeRawPointer?, Int, UnsafeMutablePointer<Float>?
    ) -> Void
  let packColumns:
    @convention(c) (
      gw_type, Int, Int, UnsafeRawPointer?, Int, UnsafeMutablePointer<Float>?
    ) -> Void
  let toFloat: @convention(c) (gw_type, Int, UnsafeRawPointer?, UnsafeMutablePointer<Float>?) -> Void
  let quantizeRows:
    @convention(c) (
      Int, Int, UnsafePointer<Float>?, Int, UnsafeMutableRawPointer?, Int
    ) -> Void
  let matmulInteger:
    @convention(c) (
      gw_type, Int, Int, Int, UnsafeRawPointer?, Int, UnsafeRawPointer?, Int, UnsafeMutablePointer<Float>?,
      Int,
      Int32, UnsafeMutableRawPointer?
    ) -> Void
  let map:
    @convention(c) (
      UnsafePointer<gw_map_op>?, Int, UnsafePointer<gw_operand>?, Int, Int
    ) -> Void

  /// The table of that name, or the best one; `nil` where this processor has none of that name.
  init?(named wanted: String? = nil) {
    var index: Int32 = 0
    while let table = unsafe gw_microkernels_at(index) {
      let name = unsafe String(cString: table.pointee.name)
      if wanted == nil || wanted == name {
        guard let matmul = unsafe table.pointee.matmul_f32, let packRows = unsafe table.pointee.pack_rows,
          let matmulRows = unsafe table.pointee.matmul_rows,
          let packColumns = unsafe table.pointee.pack_columns,
          let toFloat = unsafe table.pointee.to_float, let quantizeRows = unsafe table.pointee.quantize_rows,
          let matmulInteger = unsafe table.pointee.matmul_q16, let map = unsafe table.pointee.map
        else { return nil }
        self.name = name
        unsafe self.matmul = matmul
        unsafe self.matmulRows = matmulRows
        unsafe self.packRows = packRows
        unsafe self.packColumns = packColumns
        unsafe self.toFloat = toFloat
        unsafe self.quantizeRows = quantizeRows
        unsafe self.matmulInteger = matmulInteger
        unsafe self.map = map
        return
      }
      index += 1
    }
    return nil
  }
}

extension ElementType {
  /// The type's number in the microkernels' table; `nil` for those they do not read.
  var microkernelType: gw_type? {
    switch self {
    case .float32: GW_F32
    case .float16: GW_F16
    case .bfloat16: GW_BF16
    case .int8: GW_I8
    case .int32: GW_I32
    case .q4_0: GW_Q4_0
    case .q4_1: GW_Q4_1
    case .q5_0: GW_Q5_0
    case .q5_1: GW_Q5_1
    case .q8_0: GW_Q8_0
    case .q4_K: GW_Q4_K
    case .q5_K: GW_Q5_K
    case .q6_K: GW_Q6_K
    default: nil
    }
  }
}
