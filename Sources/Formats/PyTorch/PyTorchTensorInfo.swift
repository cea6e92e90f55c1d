internal import Memory

/// One tensor of a PyTorch file: what it is and where, without touching its numbers.
public struct PyTorchTensorInfo: Sendable {
  /// Unique within the file.
  public let name: String
  /// Extents of its axes; empty for a scalar, and an extent may be 0.
  public let shape: [Int]
  /// Numbers from one index of an axis to the next, as the file has them.
  public let strides: [Int]
  /// What the numbers are.
  public let type: PyTorchType
  /// First number, in bytes from the start of the file.
  public let byteOffset: Int
  /// Size of its numbers, one after the other.
  public let byteCount: Int
  /// Whether they lie so in the file.
  public let isDense: Bool

  /// Checks that every number lies within the storage's bytes.
  ///
  /// - Parameter data: the storage's bytes in the file.
  init(
    _ view: PickleHeap.View, name: String, data: Range<Int>, file: String
  ) throws(FormatError) {
    self.name = name
    (shape, strides, type) = (view.shape, view.strides, view.type)
    let size = view.type.byteCount
    func overflow(_ what: String) -> FormatError {
      .malformed(file: file, item: "tensor \"\(name)\"", reason: "\(what) overflows")
    }
    // Row-major from the last axis; whether the file's strides are the same.
    var (count, isDense) = (1, true)
    let isEmpty = shape.contains(0)
    for axis in shape.indices.reversed() {
      if shape[axis] != 1, strides[axis] != count { isDense = false }
      let (product, hasOverflown) = count.multipliedReportingOverflow(by: max(1, shape[axis]))
      guard !hasOverflown else { throw overflow("the size of shape \(shape)") }
      count = product
    }
    let (byteCount, isTooLarge) = count.multipliedReportingOverflow(by: size)
    guard !isTooLarge else { throw overflow("the size of shape \(shape)") }
    self.byteCount = isEmpty ? 0 : byteCount
    self.isDense = isEmpty || isDense
    // The last number of all, then the byte behind it.
    var last = view.offset
    for axis in shape.indices where !isEmpty {
      let (distance, far) = (shape[axis] - 1).multipliedReportingOverflow(by: strides[axis])
      let (sum, further) = last.addingReportingOverflow(distance)
      guard !far, !further else { throw overflow("the extent of strides \(strides)") }
      last = sum
    }
    let (behind, isLast) = last.addingReportingOverflow(isEmpty ? 0 : 1)
    let (end, isFar) = behind.multipliedReportingOverflow(by: size)
    guard !isLast, !isFar else { throw overflow("its place \(view.offset)") }
    guard end <= data.count else {
      throw .truncated(
        file: file,
        item: "tensor \"\(name)\" of shape \(shape) and strides \(strides) from number \(view.offset)",
        needed: UInt64(end), available: data.count)
    }
    byteOffset = data.lowerBound + view.offset * size
  }

  /// The numbers one after the other in memory of their own.
  func copied(from bytes: Span<UInt8>, as type: ElementType) throws(MemoryError) -> Tensor {
    let tensor = try Tensor(zeros: type, shape)
    guard byteCount > 0 else { return tensor }
    let size = self.type.byteCount
    tensor.withMutableElements(as: UInt8.self) { target in
      var index = [Int](repeating: 0, count: shape.count)
      var source = byteOffset
      for place in stride(from: 0, to: byteCount, by: size) {
        for byte in 0..<size { target[place + byte] = bytes[source + byte] }
        // The stride of an axis of one index means nothing, and may be any number.
        for axis in shape.indices.reversed() where shape[axis] > 1 {
          index[axis] += 1
          source += strides[axis] * size
          if index[axis] < shape[axis] { break }
          source -= strides[axis] * size * shape[axis]
          index[axis] = 0
        }
      }
    }
    return tensor
  }
}
