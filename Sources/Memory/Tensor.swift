/// Numbers of one type in a strided shape, sharing ownership of the storage they lie in.
///
/// A value: copying it copies the description and retains the storage, never the numbers. Strides count elements;
/// the last axis of a block type is contiguous and its extent a whole number of blocks.
public struct Tensor: Sendable {
  /// Owner of the bytes.
  public let storage: TensorStorage
  /// Where element `[0, …, 0]` starts, in bytes from the storage's first.
  public let byteOffset: Int
  /// What the numbers are.
  public let type: ElementType
  /// Extent of each axis.
  public let shape: [Int]
  /// Elements from one index of an axis to the next.
  public let strides: [Int]

  /// A dense, row-major view of `storage`.
  ///
  /// - Throws: ``MemoryError/notWholeBlocks(type:count:)``, ``MemoryError/outOfBounds(offset:count:available:)``.
  public init(
    _ storage: TensorStorage, byteOffset: Int = 0, type: ElementType, shape: [Int]
  ) throws(MemoryError) {
    var strides = [Int](repeating: 1, count: shape.count)
    var count = 1
    for axis in shape.indices.reversed() {
      strides[axis] = count
      let (product, overflow) = count.multipliedReportingOverflow(by: shape[axis])
      guard !overflow, product >= 0 else { throw .outOfMemory(requested: .max) }
      count = product
    }
    guard shape.last ?? 1 >= 0, (shape.last ?? 1) % type.blockElements == 0,
      let bytes = type.byteCount(of: count)
    else { throw .notWholeBlocks(type: type, count: shape.last ?? 1) }
    guard byteOffset >= 0, byteOffset <= storage.byteCount, bytes <= storage.byteCount - byteOffset else {
      throw .outOfBounds(offset: byteOffset, count: bytes, available: storage.byteCount)
    }
    self.init(unchecked: storage, byteOffset: byteOffset, type: type, shape: shape, strides: strides)
  }

  /// Zeroed host memory of its own.
  public init(zeros type: ElementType, _ shape: [Int]) throws(MemoryError) {
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product >= 0 else { throw .outOfMemory(requested: .max) }
      count = product
    }
    guard let bytes = type.byteCount(of: count) else { throw .notWholeBlocks(type: type, count: count) }
    try self.init(HeapStorage(byteCount: bytes), type: type, shape: shape)
  }

  /// A view whose bounds the caller vouches for.
  package init(
    unchecked storage: TensorStorage, byteOffset: Int, type: ElementType, shape: [Int], strides: [Int]
  ) {
    self.storage = storage
    self.byteOffset = byteOffset
    self.type = type
    self.shape = shape
    self.strides = strides
  }

  /// Numbers in all.
  public var count: Int { shape.reduce(1, *) }

  /// Whether elements follow each other in row-major order without gaps.
  public var isDense: Bool {
    var expected = 1
    for axis in shape.indices.reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return false }
      expected *= shape[axis]
    }
    return true
  }

  /// The same numbers, seen with other extents.
  ///
  /// - Precondition: the tensor is dense and the counts agree.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(isDense, "only a dense tensor can be reshaped; this one has strides \(strides)")
    precondition(shape.reduce(1, *) == count, "\(self.shape) has \(count) elements, \(shape) has not")
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    return Tensor(unchecked: storage, byteOffset: byteOffset, type: type, shape: shape, strides: strides)
  }

  /// The part of one axis from `range.lowerBound` up to `range.upperBound`.
  ///
  /// - Precondition: `range` lies within the axis, on block boundaries if the type is blocked.
  public func sliced(axis: Int, _ range: Range<Int>) -> Tensor {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= shape[axis],
      "\(range) leaves axis \(axis) of \(shape)")
    var shape = shape
    shape[axis] = range.count
    let elements = range.lowerBound * strides[axis]
    precondition(elements % type.blockElements == 0, "\(range) cuts a block of \(type.rawValue)")
    let offset = byteOffset + elements / type.blockElements * type.blockBytes
    return Tensor(unchecked: storage, byteOffset: offset, type: type, shape: shape, strides: strides)
  }

  /// The same numbers with axes in another order, for example `[1, 0]` for a transpose.
  public func permuted(_ axes: [Int]) -> Tensor {
    precondition(axes.sorted() == Array(shape.indices), "\(axes) is no order of \(shape.count) axes")
    return Tensor(
      unchecked: storage, byteOffset: byteOffset, type: type, shape: axes.map { shape[$0] },
      strides: axes.map { strides[$0] })
  }

  /// Address of element `[0, …, 0]`; valid while the storage lives.
  package var address: UnsafeMutableRawPointer { unsafe storage.baseAddress + byteOffset }

  /// Reads a dense tensor's elements in place.
  ///
  /// - Precondition: dense, on the host, and `Element` has the size of the tensor's scalar or block.
  public func withElements<Element: BitwiseCopyable, Result, Failure: Error>(
    as _: Element.Type = Element.self, _ body: (Span<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let buffer = unsafe UnsafeBufferPointer(
      start: address.assumingMemoryBound(to: Element.self), count: elementCapacity(of: Element.self))
    return try body(unsafe buffer.span)
  }

  /// Writes a dense tensor's elements in place.
  ///
  /// - Precondition: dense, on the host, not read or written by anything else meanwhile, and `Element` has the size
  ///   of the tensor's scalar or block.
  public func withMutableElements<Element: BitwiseCopyable, Result, Failure: Error>(
    as _: Element.Type = Element.self, _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let buffer = unsafe UnsafeMutableBufferPointer(
      start: address.assumingMemoryBound(to: Element.self), count: elementCapacity(of: Element.self))
    var span = unsafe buffer.mutableSpan
    return try body(&span)
  }

  private func elementCapacity<Element>(of _: Element.Type) -> Int {
    storage.requireHost()
    precondition(isDense, "a strided tensor has no contiguous elements: shape \(shape), strides \(strides)")
    let bytes = count / type.blockElements * type.blockBytes
    precondition(
      bytes % MemoryLayout<Element>.stride == 0,
      "\(bytes) bytes of \(type.rawValue) are not whole elements of \(MemoryLayout<Element>.stride) bytes")
    return bytes / MemoryLayout<Element>.stride
  }
}

extension Tensor {
  /// `count` runs of `length` numbers along the last axis, of which the first begins at `first` and each other `step` behind the one before
  /// it: an axis before the last. Numbers may be in several runs, so it is for reading.
  ///
  /// - Precondition: all runs lie within the axis, and numbers are no blocks.
  public func windows(_ count: Int, of length: Int, from first: Int, step: Int) -> Tensor {
    let axis = shape.count - 1
    let starts = [first, first + max(0, count - 1) * step]
    precondition(
      count >= 1 && length >= 0 && starts.allSatisfy { $0 >= 0 && $0 <= shape[axis] - length },
      "\(count) runs of \(length) numbers from \(first) by \(step) leave an axis of \(shape[axis])")
    precondition(type.blockElements == 1, "runs cut blocks of \(type.rawValue)")
    let start = byteOffset + first * strides[axis] * type.blockBytes
    return Tensor(
      unchecked: storage, byteOffset: start, type: type, shape: shape.dropLast() + [count, length],
      strides: strides.dropLast() + [step * strides[axis], strides[axis]])
  }

  /// The part at one index of an axis, without that axis.
  public func selecting(axis: Int, _ index: Int) -> Tensor {
    let part = sliced(axis: axis, index..<(index + 1))
    var (shape, strides) = (part.shape, part.strides)
    shape.remove(at: axis)
    strides.remove(at: axis)
    return Tensor(
      unchecked: storage, byteOffset: part.byteOffset, type: type, shape: shape, strides: strides)
  }
}
