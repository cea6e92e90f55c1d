internal import CMicrokernels
internal import Fourier
internal import Memory
internal import Tiles

/// A tensor `[B, H, L]` or `[H, L]` as rows that routines read and write.
@safe struct RowTensor {
  let base: UnsafeMutableRawPointer
  let type: gw_type
  let bytes: Int
  let batchStride: Int
  let channelStride: Int

  /// The address of number `offset` of a row.
  func address(_ batch: Int, _ channel: Int, _ offset: Int = 0) -> UnsafeMutableRawPointer {
    unsafe base + bytes * (batch * batchStride + channel * channelStride + offset)
  }
}

extension gw_signal {
  /// Numbers `range` of a row, times those of a gate.
  static func row(
    _ x: RowTensor, gate: RowTensor?, _ batch: Int, _ channel: Int, _ range: Range<Int>
  ) -> gw_signal {
    unsafe gw_signal(
      length: range.count, type: Int32(x.type.rawValue), x: x.address(batch, channel, range.lowerBound),
      gate: gate.map { unsafe UnsafeRawPointer($0.address(batch, channel, range.lowerBound)) })
  }
}

extension gw_result {
  /// Numbers `range` of a row, times those of a gate.
  static func row(
    _ y: RowTensor, gate: RowTensor?, _ batch: Int, _ channel: Int, _ range: Range<Int>
  ) -> gw_result {
    var result = unsafe gw_result()
    unsafe result.length = range.count
    unsafe result.type = Int32(y.type.rawValue)
    unsafe result.y = y.address(batch, channel, range.lowerBound)
    unsafe result.gate = gate.map { unsafe UnsafeRawPointer($0.address(batch, channel, range.lowerBound)) }
    unsafe result.carry_scale = 1
    return unsafe result
  }

  /// A row of float32 numbers in working memory.
  static func plain(_ y: UnsafeMutablePointer<Float>, _ length: Int) -> gw_result {
    var result = unsafe gw_result()
    unsafe result.length = length
    unsafe result.type = Int32(GW_F32.rawValue)
    unsafe result.y = UnsafeMutableRawPointer(y)
    return unsafe result
  }
}
