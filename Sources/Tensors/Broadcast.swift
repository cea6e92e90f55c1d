internal import Memory

/// Arrays that are gone through place by place together: their common shape, with axes joined where all of them lie
/// regularly, so that kernels see few and long axes.
struct Broadcast: Hashable {
  /// Extents of the result before axes were joined.
  let shape: [Int]
  /// Axes that each joined axis stands for.
  private let groups: [Range<Int>]
  /// Extents of the joined axes, two at least.
  let extents: [Int]

  /// - Parameter operands: shapes are aligned at their last axes; an extent of 1 goes with any.
  init(_ operands: [Tensor]) {
    let rank = operands.map(\.shape.count).max() ?? 0
    var shape = [Int](repeating: 1, count: rank)
    for operand in operands {
      for (axis, extent) in operand.shape.enumerated() where extent != 1 {
        let place = rank - operand.shape.count + axis
        precondition(
          shape[place] == 1 || shape[place] == extent,
          "\(operands.map(\.shape)) do not go together: axis \(place) has \(shape[place]) and \(extent)")
        shape[place] = extent
      }
    }
    self.shape = shape
    var groups: [Range<Int>] = []
    for axis in 0..<rank where shape[axis] != 1 {
      if let last = groups.last, Self.joins(last, axis, shape, operands) {
        groups[groups.count - 1] = last.lowerBound..<axis + 1
      } else {
        groups.append(axis..<axis + 1)
      }
    }
    while groups.count < 2 { groups.insert(0..<0, at: 0) }
    self.groups = groups
    extents = groups.map { shape[$0].reduce(1, *) }
  }

  /// Whether an axis continues a group of axes in every operand. Between them are none but those of extent 1.
  private static func joins(_ group: Range<Int>, _ axis: Int, _ shape: [Int], _ operands: [Tensor]) -> Bool {
    let last = group.reversed().first { shape[$0] != 1 } ?? group.lowerBound
    return operands.allSatisfy { operand in
      let shift = operand.shape.count - shape.count
      let (outer, inner) = (last + shift, axis + shift)
      let spansInner = inner >= 0 && operand.shape[inner] != 1
      let spansOuter = outer >= 0 && operand.shape[outer] != 1
      guard spansInner == spansOuter else { return false }
      return !spansInner || operand.strides[outer] == operand.strides[inner] * operand.shape[inner]
    }
  }

  /// An operand as the kernel takes it, and which of the joined axes it has.
  func joined(_ operand: Tensor) -> (tensor: Tensor, spans: [Bool]) {
    let shift = operand.shape.count - shape.count
    var (newShape, strides, spans) = ([Int](), [Int](), [Bool]())
    for (group, extent) in zip(groups, extents) {
      let axes = group.filter { $0 + shift >= 0 && operand.shape[$0 + shift] != 1 }
      let isSpanned = group.isEmpty || axes.last != nil
      spans.append(isSpanned)
      newShape.append(isSpanned ? extent : 1)
      strides.append(axes.last.map { operand.strides[$0 + shift] } ?? 0)
    }
    let tensor = Tensor(
      unchecked: operand.storage, byteOffset: operand.byteOffset, type: operand.type, shape: newShape,
      strides: strides)
    return (tensor, spans)
  }

  /// Whether an operand's neighbours along the last axis but one are neighbours in memory, and those along the last are not.
  func isTurned(_ operand: Tensor) -> Bool {
    let (strides, spans) = { ($0.tensor.strides, $0.spans) }(joined(operand))
    let last = strides.count - 1
    return spans[last] && spans[last - 1] && strides[last] != 1 && strides[last - 1] == 1
  }

  /// Rows and columns of a tile where operands lie both ways, on machines that fetch pieces of some 32 bytes: both of its sides
  /// have whole ones, and no more of them at a time than that machine looks up beside each other.
  var squareTile: (rows: Int, columns: Int) {
    func side(_ extent: Int, most: Int) -> Int { min(most, max(8, extent.nextPowerOfTwo)) }
    return (side(extents[extents.count - 2], most: 64), side(extents[extents.count - 1], most: 32))
  }

  /// Rows and columns of a tile: some thousand numbers, and tasks enough for the machine.
  ///
  /// - Parameters:
  ///   - columns: at most; a power of two.
  ///   - numbers: at most; a power of two, and no less.
  ///   - prefersWhole: whether narrower tiles, of 128 columns at least, are better than ones that reach beyond the last column.
  func tile(
    atLeast tasks: Int, columns most: Int, numbers: Int, prefersWhole: Bool
  ) -> (rows: Int, columns: Int) {
    let (m, n) = (extents[extents.count - 2], extents[extents.count - 1])
    var columns = min(most, max(8, n.nextPowerOfTwo))
    let dividing = n & -n
    if prefersWhole, dividing >= 128 { columns = min(columns, dividing) }
    var rows = max(1, min(m.nextPowerOfTwo, numbers / columns))
    let outer = extents.dropLast(2).reduce(1, *)
    func count() -> Int { outer * ((m + rows - 1) / rows) * ((n + columns - 1) / columns) }
    while count() < tasks, rows * columns > 1024 {
      if rows > 1 { rows /= 2 } else { columns /= 2 }
    }
    return (rows, columns)
  }
}

extension Int {
  /// The smallest power of two that is not less.
  var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
