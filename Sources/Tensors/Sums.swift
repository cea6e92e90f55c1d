internal import Kernels
internal import Memory
internal import Tiles

extension Device {
  /// Sums along one axis, whose extent becomes 1.
  func summed(_ tensor: Tensor, axis: Int) throws -> Tensor {
    var shape = tensor.shape
    let tensor = try dense(tensor)
    let (outer, count) = (shape[..<axis].reduce(1, *), shape[axis])
    let inner = shape[(axis + 1)...].reduce(1, *)
    shape[axis] = 1
    guard outer * inner > 0 else { return try empty(shape) }
    guard count > 0 else { return try zeros(shape) }
    if inner == 1 {
      let parts = inParts(outer: outer, count: count)
      if parts > 1 {
        let sums = try summed(tensor.reshaped([outer * parts, count / parts]), axis: 1)
        return try summed(sums.reshaped([outer, parts]), axis: 1).reshaped(shape)
      }
      let result = try empty(shape)
      let columns = min(2048, count.nextPowerOfTwo)
      let kind = AxisSum.last(rows: max(1, min(64, 8192 / columns)), columns: columns)
      try run(kind, [tensor.reshaped([outer, count]), result.reshaped([outer])])
      return result
    }
    let columns = min(512, max(8, inner.nextPowerOfTwo))
    let length = length(of: count, tiles: outer * ((inner + columns - 1) / columns))
    let kind = AxisSum.middle(rows: max(8, min(64, 2048 / columns)), columns: columns, length: length)
    let splits = (count + length - 1) / length
    let parts = try empty([splits, outer, inner])
    try run(kind, [tensor.reshaped([outer, count, inner]), parts])
    guard splits > 1 else { return parts.reshaped(shape) }
    return try summed(parts.reshaped([splits, outer * inner]), axis: 0).reshaped(shape)
  }

  /// Parts into which long rows are cut where there are too few to fill a machine of many cores.
  private func inParts(outer: Int, count: Int) -> Int {
    var parts = 1
    while hasManyCores, outer * parts < 4 * executor.cores, count % (2 * parts) == 0,
      count / parts >= 4096
    {
      parts *= 2
    }
    return parts
  }

  /// Rows that one task of a sum along a middle axis adds up.
  private func length(of count: Int, tiles: Int) -> Int {
    let usual = max(64, ((count + 63) / 64).nextPowerOfTwo)
    guard hasManyCores else { return usual }
    let splits = max(1, 8 * executor.cores / tiles)
    return min(usual, max(32, ((count + splits - 1) / splits).nextPowerOfTwo))
  }

  private func run(_ kind: AxisSum, _ arguments: [Tensor]) throws {
    let type = kernelType(arguments[0])
    try kernel(SumKey(kind: kind, type: type)) { try kind.kernel(type) }.run(arguments)
  }
}

private struct SumKey: Hashable {
  let kind: AxisSum
  let type: ElementType
}

extension Variable {
  /// Sums along some axes, whose extents become 1.
  public func sum(axes: [Int]) throws -> Variable {
    var result = value
    for axis in axes where shape[axis] != 1 { result = try device.summed(result, axis: axis) }
    if result.shape == shape { return self }
    let whole = shape
    return device.note(result, from: [self]) { [.whole($0.broadcast(to: whole))] }
  }

  /// The sum of all numbers, `[1]`.
  public func sum() throws -> Variable { try reshaped([value.count]).sum(axes: [0]) }

  /// Means along some axes, whose extents become 1.
  public func mean(axes: [Int]) throws -> Variable {
    let count = axes.reduce(1) { $0 * shape[$1] }
    return try sum(axes: axes) * (1 / Float(max(1, count)))
  }
}

extension Tensor {
  /// A view that repeats the numbers along axes of extent 1.
  func broadcast(to shape: [Int]) -> Tensor {
    Tensor(
      unchecked: storage, byteOffset: byteOffset, type: type, shape: shape,
      strides: shape.indices.map { self.shape[$0] == shape[$0] ? strides[$0] : 0 })
  }
}
