internal import Memory

extension ReferenceRun {
  /// Place in a tensor of a tile's element.
  private func place(_ reference: TileReference, _ origin: [Int], _ row: Int, _ column: Int) -> [Int] {
    var place = origin
    if let axis = reference.rowAxis { place[axis] += row }
    if let axis = reference.columnAxis { place[axis] += column }
    return reference.fold.map { unfolded(place, $0, tensors[reference.tensor.number].shape) } ?? place
  }

  /// Place in a tensor of a number of a row that sequences are folded in; the last coordinate is outside where there is none.
  private func unfolded(_ place: [Int], _ fold: SequenceFold, _ shape: [Int]) -> [Int] {
    let last = shape.count - 1
    var result = place
    result[last - 1] = place[last - 1] / fold.rows
    let number = zip(result[..<last], shape).reduce(0) { $0 * $1.1 + $1.0 }
    result[last] += place[last - 1] % fold.rows * fold.step - number * shape[last] % SequenceFold.alignment
    return result
  }

  /// Whether a tile has zero there, or leaves the number out, rather than being in error.
  private func isBeside(_ reference: TileReference, _ place: [Int]) -> Bool {
    guard let axis = reference.fold == nil ? reference.paddedAxis : reference.columnAxis else { return false }
    return !(0..<tensors[reference.tensor.number].shape[axis]).contains(place[axis])
  }

  private func origin(_ reference: TileReference) throws(ExecutionError) -> [Int] {
    var origin: [Int] = []
    for index in reference.origin { origin.append(try evaluate(index)) }
    return origin
  }

  private func offset(_ number: Int, _ place: [Int]) throws(ExecutionError) -> Int {
    let tensor = tensors[number]
    var offset = 0
    for (axis, coordinate) in place.enumerated() {
      guard coordinate >= 0, coordinate < tensor.shape[axis] else {
        throw failure("\(kernel.tensors[number].name)\(place) lies outside shape \(tensor.shape).")
      }
      offset += coordinate * tensor.strides[axis]
    }
    return offset
  }

  /// One element of a tensor; integer groups give the integer.
  func readElement(_ number: Int, _ place: [Int]) throws(ExecutionError) -> Scalar {
    let tensor = tensors[number]
    let offset = try offset(number, place)
    if tensor.type == .float64 {
      return unsafe Scalar((tensor.address + offset * 8).loadUnaligned(as: Double.self))
    }
    if tensor.type == .q16_rows {
      let (row, column) = offset.quotientAndRemainder(dividingBy: tensor.shape[tensor.shape.count - 1])
      let width = tensor.shape[tensor.shape.count - 1]
      let integers = unsafe tensor.address + row * (width / 32 * 72)
      return unsafe Scalar((integers + 2 * Self.pairOrder(column)).load(as: Int16.self))
    }
    let size = tensor.type.blockElements
    let block = unsafe UnsafeRawPointer(tensor.address + offset / size * tensor.type.blockBytes)
    return Scalar(unsafe tensor.type.decode(block)[offset % size])
  }

  mutating func load(_ tile: Tile, _ reference: TileReference) throws(ExecutionError) {
    var state = try newTile(tile)
    let origin = try origin(reference)
    for row in 0..<state.rows {
      for column in 0..<state.columns {
        let place = place(reference, origin, row, column)
        let value = isBeside(reference, place) ? 0 : try readElement(reference.tensor.number, place)
        state.values[row * state.columns + column] = Self.rounded(value, to: tile.type)
        state.isWritten[row * state.columns + column] = true
      }
    }
    if tile.type == .q16_rows { state.scales = try loadScales(reference, origin, state) }
    tiles[tile.id] = state
  }

  private func loadScales(
    _ reference: TileReference, _ origin: [Int], _ state: ReferenceTile<Scalar>
  ) throws(ExecutionError) -> [Float] {
    let tensor = tensors[reference.tensor.number]
    let width = tensor.shape[tensor.shape.count - 1]
    guard state.columns == width else {
      throw failure("rows of \(reference.tensor.name) cannot be cut: \(state.columns) of \(width) columns.")
    }
    var scales: [Float] = []
    for row in 0..<state.rows {
      let start = try offset(reference.tensor.number, place(reference, origin, row, 0)) / width
      for group in 0..<width / 32 {
        let bytes = start * (width / 32 * 72) + 2 * width + group * 4
        scales.append(unsafe (tensor.address + bytes).loadUnaligned(as: Float.self))
      }
    }
    return scales
  }

  mutating func store(
    _ tile: Tile, _ reference: TileReference, adds: Bool
  ) throws(ExecutionError) {
    let state = try state(tile)
    let origin = try origin(reference)
    let tensor = tensors[reference.tensor.number]
    for row in 0..<state.rows {
      for column in 0..<state.columns {
        let place = place(reference, origin, row, column)
        if isBeside(reference, place) { continue }
        let outside =
          reference.fold == nil && reference.rowAxis.map { place[$0] >= tensor.shape[$0] } ?? false
        if outside || reference.columnAxis.map({ place[$0] >= tensor.shape[$0] }) ?? false { continue }
        let value = try read(state, tile, row, column)
        guard adds else {
          try write(value, reference.tensor.number, place)
          continue
        }
        if tensor.type == .int32 {
          let offset = try offset(reference.tensor.number, place)
          let address = unsafe tensor.address.assumingMemoryBound(to: Int32.self) + offset
          unsafe address.pointee &+= Int32(Self.rounded(value, to: .int32))
        } else {
          try write(
            readElement(reference.tensor.number, place) + value, reference.tensor.number, place)
        }
      }
      if tile.type == .q16_rows { try storeScales(state, row, reference, place(reference, origin, row, 0)) }
    }
  }

  private mutating func write(_ value: Scalar, _ number: Int, _ place: [Int]) throws(ExecutionError) {
    let tensor = tensors[number]
    let offset = try offset(number, place)
    if isChecked, coverage[number] != nil {
      var dense = 0
      for (axis, coordinate) in place.enumerated() { dense = dense * tensor.shape[axis] + coordinate }
      guard coverage[number]?[dense] == 0 else {
        throw failure("element \(place) of output \(kernel.tensors[number].name) is written a second time.")
      }
      coverage[number]?[dense] = 1
    }
    let address = unsafe tensor.address + offset * tensor.type.blockBytes
    switch tensor.type {
    case .float64: unsafe address.storeBytes(of: Double(value), as: Double.self)
    case .float32: unsafe address.storeBytes(of: Float(value), as: Float.self)
    case .float16: unsafe address.storeBytes(of: float16Bits(Float(value)), as: UInt16.self)
    case .bfloat16: unsafe address.storeBytes(of: BFloat16(Float(value)).bitPattern, as: UInt16.self)
    case .int32: unsafe address.storeBytes(of: Int32(Self.rounded(value, to: .int32)), as: Int32.self)
    case .int8: unsafe address.storeBytes(of: Int8(Self.rounded(value, to: .int8)), as: Int8.self)
    case .q16_rows:
      let width = tensor.shape[tensor.shape.count - 1]
      let (row, column) = offset.quotientAndRemainder(dividingBy: width)
      let integers = unsafe tensor.address + row * (width / 32 * 72)
      unsafe (integers + 2 * Self.pairOrder(column)).storeBytes(of: Int16(value), as: Int16.self)
    default: throw failure("\(tensor.type.rawValue) cannot be written.")
    }
  }

  /// Where a number of a row lies among its integers: the middle two of each four are exchanged.
  private static func pairOrder(_ column: Int) -> Int {
    column - column % 4 + column % 2 * 2 + column % 4 / 2
  }

  private func storeScales(
    _ state: ReferenceTile<Scalar>, _ row: Int, _ reference: TileReference, _ place: [Int]
  ) throws(ExecutionError) {
    let tensor = tensors[reference.tensor.number]
    let width = tensor.shape[tensor.shape.count - 1]
    let (start, column) = try offset(reference.tensor.number, place).quotientAndRemainder(dividingBy: width)
    guard column % 32 == 0 else { throw failure("\(reference.tensor.name) is cut inside a group of 32.") }
    let scales = unsafe tensor.address + start * (width / 32 * 72) + 2 * width + column / 8
    for group in 0..<state.columns / 32 {
      let sum = (0..<32).reduce(0) { $0 + Int(state.values[row * state.columns + group * 32 + $1]) }
      let scale = state.scales[row * (state.columns / 32) + group]
      unsafe (scales + group * 4).storeBytes(of: scale, as: Float.self)
      unsafe (scales + width / 8 + group * 4).storeBytes(of: scale * Float(sum), as: Float.self)
    }
  }

  /// The value as a tile of that type would hold it.
  static func rounded(_ value: Scalar, to type: ElementType) -> Scalar {
    switch type {
    case .float16: Scalar(float16(float16Bits(Float(value))))
    case .bfloat16: Scalar(Float(BFloat16(Float(value))))
    case .int8:
      value.isNaN ? 0 : Swift.max(-127, Swift.min(127, value.rounded(.toNearestOrEven)))
    case .int32:
      // The largest float32 below 2³¹, so that either scalar can be converted back.
      value.isNaN ? 0 : Swift.max(-0x1p31, Swift.min(Scalar(0x1.fffffep30), value.rounded(.toNearestOrEven)))
    default: value
    }
  }
}
