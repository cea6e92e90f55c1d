internal import CCUDA
package import Memory

/// A tensor map as the driver is asked for it: axes innermost first, strides in bytes.
package struct TensorMapRequest: Sendable, Hashable {
  /// First element.
  package var address: UInt64
  /// CUtensorMapDataType.
  package var type: Int32
  /// Elements along each axis.
  package var extents: [UInt64]
  /// Bytes from one index to the next, for all axes but the innermost.
  package var strides: [UInt64]
  /// Elements of the box along each axis.
  package var box: [UInt32]
  /// CUtensorMapSwizzle.
  package var swizzle: Int32

  /// CUtensorMapDataType of what bulk copies can carry; blocks go as pairs of bytes.
  private static let types: [ElementType: Int32] = [
    .uint8: 0, .int8: 0, .int16: 1, .q4_0: 1, .q4_1: 1, .q8_0: 1, .int32: 3, .float16: 6, .float32: 7,
    .bfloat16: 9,
  ]

  private static let swizzles: [Int: Int32] = [0: 0, 32: 1, 64: 2, 128: 3]

  /// - Throws: ``CUDAError/layout(reason:)`` for a tensor that bulk copies cannot address; the kernel needs another
  ///   program then.
  package init(_ map: CUDAProgram.TensorMap, _ tensor: Tensor) throws(CUDAError) {
    let address = unsafe UInt64(UInt(bitPattern: tensor.address))
    let (elements, size) = (tensor.type.blockElements, tensor.type.blockBytes)
    let rank = tensor.shape.count
    guard let type = Self.types[tensor.type] else {
      throw .layout(reason: "\(tensor.type.rawValue) cannot be copied in boxes")
    }
    guard (1...5).contains(rank), map.box.count == rank, let swizzle = Self.swizzles[map.swizzle] else {
      throw .layout(reason: "a box of \(map.box), swizzled by \(map.swizzle), does not fit \(rank) axes")
    }
    guard address % 16 == 0 else {
      throw .layout(reason: "it starts \(address % 16) bytes past a multiple of 16")
    }
    guard tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw .layout(reason: "it has no elements: shape \(tensor.shape)")
    }
    guard tensor.strides[rank - 1] == 1 || tensor.shape[rank - 1] == 1 else {
      throw .layout(reason: "its last axis has stride \(tensor.strides[rank - 1]), not 1")
    }
    var strides: [UInt64] = []
    for axis in (0..<rank - 1).reversed() {
      let bytes = tensor.strides[axis] / elements * size
      // An axis of one element is never stepped along: any legal stride does.
      guard tensor.shape[axis] > 1 || (bytes > 0 && bytes % 16 == 0) else {
        strides.append(UInt64(tensor.shape[rank - 1] / elements * size + 15) / 16 * 16)
        continue
      }
      guard bytes > 0, bytes % 16 == 0, bytes < 1 << 40 else {
        throw .layout(reason: "axis \(axis) has a stride of \(bytes) bytes, no multiple of 16")
      }
      strides.append(UInt64(bytes))
    }
    let inner = map.box[rank - 1] * size
    var (extents, box) = (tensor.shape, map.box)
    if tensor.type.isBlocked {
      extents[rank - 1] = extents[rank - 1] / elements * size / 2
      box[rank - 1] = inner / 2
    }
    guard box.allSatisfy({ (1...256).contains($0) }), inner % 16 == 0,
      map.swizzle == 0 || inner <= map.swizzle
    else { throw .layout(reason: "boxes of \(map.box) cannot be copied") }
    self.address = address
    self.type = type
    self.extents = extents.reversed().map { UInt64($0) }
    self.strides = strides
    self.box = box.reversed().map { UInt32($0) }
    self.swizzle = swizzle
  }

  /// The 128 bytes that the device reads.
  func encoded(_ driver: CUDADriver) throws(CUDAError) -> [UInt64] {
    // The driver refuses maps that do not lie on 64 bytes.
    let map = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 64)
    defer { unsafe map.deallocate() }
    unsafe map.initializeMemory(as: UInt8.self, repeating: 0, count: 128)
    let steps = [UInt32](repeating: 1, count: box.count)
    // A map of one axis has no strides, but the driver wants an address.
    let strides = strides.isEmpty ? [0] : strides
    guard let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else {
      throw .layout(reason: "it starts at address 0")
    }
    // Promotion 3: lines of 256 bytes are brought to the second-level cache; 0 elsewhere: no interleaving, zero fill.
    let code = unsafe driver.table.pointee.tensor_map(
      map, type, UInt32(box.count), base, extents, strides, box, steps, 0, swizzle, 3, 0)
    try driver.check("cuTensorMapEncodeTiled", code)
    return (0..<16).map { unsafe map.load(fromByteOffset: 8 * $0, as: UInt64.self) }
  }
}
