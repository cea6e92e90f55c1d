internal import Memory

extension Variable {
  /// The same numbers with other extents; copied first where they do not lie in order.
  public func reshaped(_ shape: [Int]) throws -> Variable {
    precondition(
      shape.reduce(1, *) == value.count, "\(self.shape) has \(value.count) numbers, \(shape) has not")
    if shape == self.shape { return self }
    let (device, before) = (self.device, self.shape)
    return device.note(try device.dense(value).reshaped(shape), from: [self]) {
      [.whole(try device.dense($0).reshaped(before))]
    }
  }

  /// A view with axes in another order.
  public func permuted(_ axes: [Int]) throws -> Variable {
    var inverse = axes
    for (place, axis) in axes.enumerated() { inverse[axis] = place }
    return device.note(value.permuted(axes), from: [self]) { [.whole($0.permuted(inverse))] }
  }

  /// A view of a range of one axis.
  public func sliced(axis: Int, _ range: Range<Int>) throws -> Variable {
    if range == 0..<shape[axis] { return self }
    let part = (axis: axis, range: range)
    return device.noteAdding([value.sliced(axis: axis, range)], from: [self], part: part) { gradients, _ in
      gradients.map { $0.map { .part(axis: axis, range, $0) } }
    }[0]
  }

  /// Views of equal parts of one axis.
  public func split(axis: Int, _ count: Int) throws -> [Variable] {
    precondition(shape[axis] % count == 0, "axis \(axis) of \(shape) does not split into \(count)")
    let width = shape[axis] / count
    return try (0..<count).map { try sliced(axis: axis, $0 * width..<($0 + 1) * width) }
  }

  /// Variables one after the other along an axis.
  public static func joined(_ variables: [Variable], axis: Int) throws -> Variable {
    let device = variables[0].device
    var shape = variables[0].shape
    shape[axis] = variables.reduce(0) { $0 + $1.shape[axis] }
    let result = try device.empty(shape, variables[0].value.type)
    var ranges: [Range<Int>] = []
    for variable in variables {
      let start = ranges.last?.upperBound ?? 0
      ranges.append(start..<start + variable.shape[axis])
      try device.write(variable.value, into: result.sliced(axis: axis, ranges[ranges.count - 1]))
    }
    return device.note(result, from: variables) { gradient in
      ranges.map { .whole(gradient.sliced(axis: axis, $0)) }
    }
  }
}

extension Variable {
  /// A view that goes through one axis from its end.
  public func reversed(axis: Int) throws -> Variable {
    device.note(value.reversed(axis: axis), from: [self]) { [.whole($0.reversed(axis: axis))] }
  }

  /// The same numbers between zeros along one axis.
  public func padded(axis: Int, before: Int = 0, after: Int = 0) throws -> Variable {
    precondition(before >= 0 && after >= 0, "\(before) and \(after) zeros")
    if before + after == 0 { return self }
    var extents = shape
    extents[axis] += before + after
    let range = before..<before + shape[axis]
    let result = try device.zeros(extents, value.type)
    try device.write(value, into: result.sliced(axis: axis, range))
    return device.note(result, from: [self]) { [.whole($0.sliced(axis: axis, range))] }
  }

  /// A view that repeats the numbers along axes of extent 1.
  public func broadcast(to shape: [Int]) throws -> Variable {
    precondition(
      shape.count == self.shape.count && zip(shape, self.shape).allSatisfy { $1 == 1 || $0 == $1 },
      "\(self.shape) does not repeat to \(shape)")
    let (device, before) = (self.device, self.shape)
    return device.note(value.broadcast(to: shape), from: [self]) {
      [.whole(try device.reduced($0, to: before))]
    }
  }
}

extension Variable {
  /// A view without the last axis, whose extent is 1.
  public var withoutLastAxis: Variable {
    get throws {
      precondition(shape.last == 1, "the last axis of \(shape) is not 1")
      let view = Tensor(
        unchecked: value.storage, byteOffset: value.byteOffset, type: value.type,
        shape: shape.dropLast(), strides: value.strides.dropLast())
      return device.note(view, from: [self]) { g in
        [
          .whole(
            Tensor(
              unchecked: g.storage, byteOffset: g.byteOffset, type: g.type, shape: g.shape + [1],
              strides: g.strides + [1]))
        ]
      }
    }
  }
}

extension Variable {
  /// Overwrites a range of one axis of a leaf, of which no gradient is wanted.
  public func store(_ part: Variable, axis: Int, at start: Int) throws {
    precondition(node == nil && !needsGradient, "only a leaf without gradient is overwritten in part")
    try device.write(part.value, into: value.sliced(axis: axis, start..<start + part.shape[axis]))
  }

  /// The same numbers without gaps, copied where they have some.
  public func dense() throws -> Variable {
    if value.isDense { return self }
    let device = self.device
    return device.note(try device.dense(value), from: [self]) { [.whole($0)] }
  }
}

extension Tensor {
  /// A view that goes through one axis from its end.
  fileprivate func reversed(axis: Int) -> Tensor {
    var turned = strides
    turned[axis] = -strides[axis]
    let last = max(0, shape[axis] - 1) * strides[axis] * type.blockBytes
    return Tensor(
      unchecked: storage, byteOffset: byteOffset + last, type: type, shape: shape, strides: turned)
  }
}
