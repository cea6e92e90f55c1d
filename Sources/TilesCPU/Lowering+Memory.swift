internal import CMicrokernels
internal import Memory
internal import Tiles

extension Lowering {
  /// Register of a tile that was lowered before.
  func slot(of tile: Tile) -> Int { slots[tile.id] ?? 0 }

  /// Register of a tile with memory of its own, made on first use.
  mutating func ownedSlot(_ tile: Tile) -> Int {
    if let slot = slots[tile.id] { return slot }
    let slot = newTile()
    slots[tile.id] = slot
    let bytes: Int
    let rowStride: Int
    if tile.type == .q16_rows {
      rowStride = tile.columns
      bytes = tile.rows * (tile.columns / 32 * 72)
    } else {
      // Rows start on cache lines, unless the tile is a vector of one number a row.
      rowStride = tile.columns == 1 ? 1 : (tile.columns + 15) & ~15
      bytes = tile.rows * rowStride * max(tile.type.blockBytes, 1)
    }
    program.owned.append(OwnedTile(tile: slot, offset: program.arenaBytes, rowStride: rowStride))
    program.arenaBytes += (bytes + 127) & ~63
    emitExtent(slot, tile.validRows, tile.validColumns)
    return slot
  }

  /// A new tile register.
  mutating func newTile() -> Int {
    program.tileCount += 1
    return program.tileCount - 1
  }

  /// Sets a tile's valid part, in the outermost scope where it is known.
  mutating func emitExtent(_ slot: Int, _ rows: Index, _ columns: Index) {
    let (r, c) = (register(of: rows), register(of: columns))
    scopes[max(level(of: rows), level(of: columns))].preamble.append(
      Instruction(code: .extent, a: Int32(slot), b: Int32(r), c: Int32(c)))
  }

  /// A tile register that looks at the referenced part of a tensor.
  mutating func viewSlot(_ reference: TileReference, rows: Index, columns: Index) -> Int {
    let slot = newTile()
    let tensor = reference.tensor.number
    let offset = offsetRegister(tensor: tensor, at: reference.origin)
    let zero = register(of: 0)
    let rowStride = reference.rowAxis.map { strideRegister(tensor: tensor, axis: $0) } ?? zero
    let columnStride = reference.columnAxis.map { strideRegister(tensor: tensor, axis: $0) } ?? zero
    let level = reference.origin.map { self.level(of: $0) }.max() ?? 0
    scopes[level].preamble.append(
      Instruction(
        code: .view, a: Int32(slot), b: Int32(tensor), c: Int32(offset), d: Int32(rowStride),
        e: Int32(columnStride)))
    emitExtent(slot, rows, columns)
    return slot
  }

  mutating func lowerLoad(_ tile: Tile, _ reference: TileReference) {
    if let fold = reference.fold { return lowerFoldedLoad(tile, reference, fold) }
    var view = viewSlot(reference, rows: tile.validRows, columns: tile.validColumns)
    if let axis = reference.paddedAxis { view = windowSlot(tile, reference, axis, view: view) }
    let readsInPlace =
      reference.tensor.access == .input && writes[tile.id] == nil && tile.type == reference.tensor.type
    if readsInPlace {
      slots[tile.id] = view
      return
    }
    let owned = ownedSlot(tile)
    let target = MapPiece(slot: owned, tile: tile, type: tile.type)
    guard reference.tensor.type.isBlocked else {
      let source = MapPiece(slot: view, tile: tile, type: reference.tensor.type)
      return emitCopy(from: source, to: target, rows: tile.validRows, columns: tile.validColumns)
    }
    guard tile.type != .float32 else { return emitWiden(view, into: owned, reference.tensor.type) }
    // Blocks are widened to float32; on the way to 16 bits they pass through a tile that no statement names.
    let wide = Tile(
      id: -2 - tile.id, type: .float32, rows: tile.rows, columns: tile.columns, validRows: tile.validRows,
      validColumns: tile.validColumns)
    let passed = ownedSlot(wide)
    emitWiden(view, into: passed, reference.tensor.type)
    emitCopy(
      from: MapPiece(slot: passed, tile: wide, type: .float32), to: target, rows: tile.validRows,
      columns: tile.validColumns)
  }

  private mutating func emitWiden(_ view: Int, into target: Int, _ type: ElementType) {
    guard let number = type.microkernelType else { return fail("\(type.rawValue) cannot be widened.") }
    emit(
      Instruction(
        code: .widen, a: Int32(target), b: Int32(view), c: Int32(type.blockElements),
        d: Int32(number.rawValue), e: Int32(type.blockBytes)))
  }

  mutating func lowerStore(_ tile: Tile, _ reference: TileReference) {
    if let fold = reference.fold { return lowerFoldedStore(tile, reference, fold) }
    let (rows, columns) = storedExtent(tile, reference)
    if tile.type == .q16_rows { return storeGroups(tile, reference, rows, columns) }
    let view = viewSlot(reference, rows: rows, columns: columns)
    let source = MapPiece(slot: slot(of: tile), tile: tile, type: tile.type)
    let target = MapPiece(slot: view, tile: tile, type: reference.tensor.type)
    emitCopy(from: source, to: target, rows: rows, columns: columns)
  }

  mutating func lowerAdd(_ tile: Tile, _ reference: TileReference) {
    let (rows, columns) = storedExtent(tile, reference)
    let view = viewSlot(reference, rows: rows, columns: columns)
    let code: Instruction.Code = reference.tensor.type == .int32 ? .addSharedRounded : .addShared
    emit(Instruction(code: code, a: Int32(view), b: Int32(slot(of: tile))))
  }

  /// Copies a column to a row, whose memory is looked at as a column.
  mutating func lowerTranspose(_ tile: Tile, _ source: Tile) {
    let row = ownedSlot(tile)
    guard let memory = program.owned.first(where: { $0.tile == row }) else { return }
    let column = newTile()
    program.owned.append(OwnedTile(tile: column, offset: memory.offset, rowStride: 1))
    emitCopy(
      from: MapPiece(slot: slot(of: source), tile: source, type: source.type),
      to: MapPiece(slot: column, tile: source, type: tile.type), rows: source.validRows, columns: 1)
  }

  /// A tile register that looks at what another one owns, from one of its numbers on; `nil` where that is a tensor's.
  mutating func part(of slot: Int, _ type: ElementType, row: Int, column: Int) -> Int? {
    guard let memory = program.owned.first(where: { $0.tile == slot }) else { return nil }
    let part = newTile()
    let offset = memory.offset + (row * memory.rowStride + column) * max(type.blockBytes, 1)
    program.owned.append(OwnedTile(tile: part, offset: offset, rowStride: memory.rowStride))
    return part
  }

  /// Copies what a tile takes of each source, between parts of their memory.
  mutating func lowerColumns(_ tile: Tile, _ sources: [Tile], from first: Int) {
    func part(of slot: Int, column: Int) -> Int? {
      self.part(of: slot, tile.type, row: 0, column: column)
    }
    let whole = ownedSlot(tile)
    var start = -first
    for source in sources {
      let (from, below) = (max(0, start), min(tile.columns, start + source.columns))
      defer { start += source.columns }
      guard from < below else { continue }
      guard let input = part(of: slot(of: source), column: from - start),
        let output = part(of: whole, column: from)
      else { return fail("columns of \(source), which is a tensor's. Compute it first.") }
      let piece = Tile(
        id: -1, type: tile.type, rows: tile.rows, columns: below - from, validRows: tile.validRows,
        validColumns: (tile.validColumns - Index(from)).min(Index(below - from)).max(0))
      emitCopy(
        from: MapPiece(slot: input, tile: piece, type: tile.type),
        to: MapPiece(slot: output, tile: piece, type: tile.type), rows: piece.validRows,
        columns: piece.validColumns)
    }
  }

  /// Integer groups lie in planes: the view is of whole rows, and the column is passed beside it.
  private mutating func storeGroups(_ tile: Tile, _ reference: TileReference, _ rows: Index, _ columns: Index)
  {
    guard let axis = reference.columnAxis else { return fail("integer groups need an axis of columns.") }
    var origin = reference.origin
    let column = register(of: origin[axis])
    origin[axis] = 0
    let whole = TileReference(
      tensor: reference.tensor, origin: origin, rowAxis: reference.rowAxis, columnAxis: axis)
    let view = viewSlot(whole, rows: rows, columns: columns)
    let width = register(of: reference.tensor.extents[axis])
    emit(
      Instruction(
        code: .copyGroups, a: Int32(view), b: Int32(slot(of: tile)), c: Int32(column), d: Int32(width)))
  }

  /// The part of a tile that lies inside the tensor it is stored to.
  func storedExtent(_ tile: Tile, _ reference: TileReference) -> (rows: Index, columns: Index) {
    func inside(_ valid: Index, _ capacity: Int, _ axis: Int?) -> Index {
      guard let axis else { return valid }
      let left = reference.tensor.extents[axis] - reference.origin[axis]
      // A valid part that was clipped by the same extent when it was loaded needs no second clip.
      if valid == left.min(Index(capacity)) || valid == left { return valid }
      if let a = valid.constantValue, let b = left.constantValue, a <= b { return valid }
      return valid.min(left)
    }
    return (
      inside(tile.validRows, tile.rows, reference.rowAxis),
      inside(tile.validColumns, tile.columns, reference.columnAxis)
    )
  }

  /// Lets a chain write straight to the tensor when its result is only stored.
  mutating func forwardsStore(from program: MapProgram, to next: Operation) -> Bool {
    guard case .store(let tile, let reference) = next, tile.isCongruent(to: program.space),
      program.steps.contains(where: { if case .store(_, tile) = $0 { true } else { false } })
    else { return false }
    return forward(tile, to: reference)
  }

  /// Lets a product write straight to the tensor when its result is only stored.
  mutating func forwardsStore(from product: Matmul, to next: Operation) -> Bool {
    guard case .store(product.accumulator, let reference) = next, !product.continuing,
      reference.tensor.type == .float32, let axis = reference.contiguousColumnAxis
    else { return false }
    guard forward(product.accumulator, to: reference) else { return false }
    self.program.contiguousAxes.append((reference.tensor.number, axis))
    return true
  }

  private mutating func forward(_ tile: Tile, to reference: TileReference) -> Bool {
    guard slots[tile.id] == nil, writes[tile.id] == 1, reads[tile.id] == 1, tile.type == .float32,
      reference.fold == nil
    else { return false }
    let (rows, columns) = storedExtent(tile, reference)
    guard rows == tile.validRows, columns == tile.validColumns else { return false }
    let view = viewSlot(reference, rows: rows, columns: columns)
    slots[tile.id] = view
    forwardedTypes[tile.id] = reference.tensor.type
    return true
  }
}

extension TileReference {
  /// The axis of the columns where it is the last, along which numbers lie side by side in all but odd tensors.
  var contiguousColumnAxis: Int? { columnAxis == tensor.extents.count - 1 ? columnAxis : nil }
}
