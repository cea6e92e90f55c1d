extension Tensor {
  /// Bytes from the first element's first to the last element's last; 0 where there is no element.
  package var spannedBytes: Int {
    guard count > 0 else { return 0 }
    let last = zip(shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
    // Block types are contiguous along their last axis, so the last element ends a block.
    return (last / type.blockElements + 1) * type.blockBytes
  }

  /// The same extents and strides over the first bytes of other storage.
  package func moved(to storage: TensorStorage) -> Tensor {
    Tensor(unchecked: storage, byteOffset: 0, type: type, shape: shape, strides: strides)
  }

  /// Stretches of bytes without gaps that a copy from `source` consists of, as byte offsets from both addresses.
  ///
  /// - Precondition: same type and shape; strides are not negative.
  package func forEachRun<Failure: Error>(
    from source: Tensor, _ body: (_ from: Int, _ to: Int, _ bytes: Int) throws(Failure) -> Void
  ) throws(Failure) {
    precondition(
      type == source.type && shape == source.shape,
      "\(source.type.rawValue)\(source.shape) cannot be copied into \(type.rawValue)\(shape)")
    guard count > 0 else { return }
    // The axes from `outer` on are dense in both.
    var (outer, run) = (shape.count, 1)
    while outer > 0 {
      let axis = outer - 1
      guard shape[axis] == 1 || (strides[axis] == run && source.strides[axis] == run) else { break }
      run *= shape[axis]
      outer -= 1
    }
    let (elements, size) = (type.blockElements, type.blockBytes)
    precondition(run % elements == 0, "a copy would cut blocks of \(type.rawValue): shape \(shape)")
    var place = [Int](repeating: 0, count: outer)
    while true {
      var (from, to) = (0, 0)
      for axis in 0..<outer {
        from += place[axis] * source.strides[axis]
        to += place[axis] * strides[axis]
      }
      try body(from / elements * size, to / elements * size, run / elements * size)
      var axis = outer - 1
      while axis >= 0 {
        place[axis] += 1
        if place[axis] < shape[axis] { break }
        place[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
