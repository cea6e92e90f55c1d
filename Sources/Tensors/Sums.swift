internal import Kernels
internal import Memory
internal import Tiles

extension Device {
  /// Sums along one axis, whose extent becomes 1.
  func summed(_ tensor: Tensor, axis: Int) throws -> Tensor {
    var shape = tensor.shape
    shape[axis] = 1
    let result = try empty(shape)
    try sum(tensor, axis: axis, into: result)
    return result
  }

  /// As ``summed(_:axis:)``, written to a dense float32 array.
  func sum(_ tensor: Tensor, axis: Int, into result: Tensor) throws {
    let tensor = try dense(tensor)
    let (outer, count) = (tensor.shape[..<axis].reduce(1, *), tensor.shape[axis])
    let inner = tensor.shape[(axis + 1)...].reduce(1, *)
    guard outer * inner > 0 else { return }
    guard count > 0 else { return try executor.clear(result) }
    guard inner > 1 else {
      let parts = inParts(outer: outer, count: count)
      guard parts > 1 else {
        let columns = min(2048, count.nextPowerOfTwo)
        let kind = AxisSum.last(rows: max(1, min(64, 8192 / columns)), columns: columns)
        return try run(kind, [tensor.reshaped([outer, count]), result.reshaped([outer])])
      }
      let sums = try summed(tensor.reshaped([outer * parts, count / parts]), axis: 1)
      return try sum(sums.reshaped([outer, parts]), axis: 1, into: result)
    }
    let joined = rowsInOne(outer: outer, count: count, inner: inner, type: tensor.type)
    let kind = middle(outer: outer, count: count / joined, inner: joined * inner, type: tensor.type)
    guard case .middle(_, _, let length) = kind else { return }
    let splits = (count / joined + length - 1) / length
    let parts =
      splits * joined > 1
      ? try empty([splits, outer, joined * inner]) : result.reshaped([1, outer, inner])
    try run(kind, [tensor.reshaped([outer, count / joined, joined * inner]), parts])
    guard splits * joined > 1 else { return }
    // Where rows are joined there is one outer place.
    try sum(parts.reshaped([splits * joined, outer * inner]), axis: 0, into: result)
  }

  /// Sums over rows of what a function makes of them, `[1, D]` each.
  ///
  /// - Parameter inputs: dense, `[R, D]` or `[1, D]`; each result depends on one of the former.
  func columnSums(_ function: PointwiseFunction, _ inputs: [Tensor]) throws -> [Tensor] {
    let (rows, width) = (inputs.map { $0.shape[0] }.max() ?? 0, inputs[0].shape[1])
    guard hasManyCores, rows > 1, width > 0 else {
      return try pointwise(
        function, inputs, types: [ElementType](repeating: scalar, count: function.outputCount)
      ).map { try summed($0, axis: 0) }
    }
    let narrow = inputs.map(kernelType).first { $0 != .float32 }
    let cut = middle(outer: 1, count: rows, inner: width, type: narrow ?? .float32)
    guard case .middle(_, let columns, let length) = cut else { return [] }
    let kernel = ColumnSums(
      function, hasRows: inputs.map { $0.shape[0] == rows }, types: inputs.map(kernelType), columns: columns,
      length: length)
    let parts = try (0..<function.outputCount).map { _ in try empty([(rows + length - 1) / length, width]) }
    try self.kernel(kernel) { try kernel.kernel() }.run(inputs + parts)
    return try parts.map { $0.shape[0] == 1 ? $0 : try summed($0, axis: 0) }
  }

  /// The sum of the squares of all numbers of some arrays together, `[1]`.
  func sumOfSquares(_ tensors: [Tensor]) throws -> Tensor {
    let counts = tensors.map { inParts(outer: 1, count: $0.count) }
    let parts = try empty([counts.reduce(0, +)])
    var start = 0
    for (tensor, count) in zip(tensors, counts) where tensor.count > 0 {
      let length = tensor.count / count
      let columns = min(2048, length.nextPowerOfTwo)
      let kind = AxisSum.lastSquared(
        rows: hasManyCores ? 1 : max(1, min(64, 8192 / columns)), columns: columns)
      try run(
        kind,
        [dense(tensor).reshaped([count, length]), parts.sliced(axis: 0, start..<start + count)])
      start += count
    }
    return try summed(parts.sliced(axis: 0, 0..<start), axis: 0)
  }

  /// How sums along a middle axis are cut.
  private func middle(outer: Int, count: Int, inner: Int, type: ElementType) -> AxisSum {
    guard hasManyCores else {
      let columns = min(512, max(8, inner.nextPowerOfTwo))
      return .middle(
        rows: max(8, min(64, 2048 / columns)), columns: columns,
        length: max(64, ((count + 63) / 64).nextPowerOfTwo))
    }
    // A vector a lane; 16 warps a multiprocessor where there are rows enough, and no sums of a few rows.
    let columns = min(Self.fullRow(type), max(8, inner.nextPowerOfTwo))
    let tiles = outer * ((inner + columns - 1) / columns)
    let splits = count > 128 ? max(1, min((count + 63) / 64, 16 * executor.cores / tiles)) : 1
    return .middle(rows: 1, columns: columns, length: (count + splits - 1) / splits)
  }

  /// Numbers that the lanes of a warp load at a time.
  private static func fullRow(_ type: ElementType) -> Int { type == .float32 ? 128 : 256 }

  /// How many short rows of a long array are taken as one, so that no lane is idle.
  private func rowsInOne(outer: Int, count: Int, inner: Int, type: ElementType) -> Int {
    guard hasManyCores, outer == 1, count >= 4096 else { return 1 }
    var joined = 1
    while 2 * joined * inner <= Self.fullRow(type), count % (2 * joined) == 0 { joined *= 2 }
    return joined
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
