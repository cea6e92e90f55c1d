public import Memory

extension Recorder {
  /// Loads the block of `tensor` whose first element is at `origin`, one coordinate an axis.
  ///
  /// - Parameters:
  ///   - rows: capacity in rows; they run along `rowAxis`, by default the last axis but one.
  ///   - columns: capacity in columns; they run along `columnAxis`, by default the last axis.
  ///   - validRows: how many rows there are, where that is less than what the tensor has left.
  ///   - validColumns: likewise for columns.
  ///   - type: type of the tile, by default the tensor's; scalars can be widened or narrowed, numbers of blocks decoded
  ///     to float32 or on to 16 bits, rounded to nearest.
  ///   - paddedAxis: axis of rows or columns that goes on with zeros before the tensor's first number and after its last.
  ///     `origin` may be negative there, and all that the tile can hold is valid, or what is stated.
  ///   - fold: how sequences lie in rows: the last two coordinates are then of such rows, along which the tile runs.
  /// - Returns: a tile of which the part inside the tensor is valid.
  public func load(
    _ tensor: TensorParameter, at origin: [Index], rows: Int = 1, columns: Int = 1, rowAxis: Int? = nil,
    columnAxis: Int? = nil, validRows: Index? = nil, validColumns: Index? = nil, as type: ElementType? = nil,
    paddedAxis: Int? = nil, fold: SequenceFold? = nil, file: String = #fileID, line: Int = #line
  ) -> Tile {
    let reference = makeReference(
      "load", tensor, origin, rows, columns, rowAxis, columnAxis, file, line, paddedAxis: paddedAxis,
      fold: fold)
    check(
      tensor.access != .output, "load of \(tensor.name)", file, line,
      "it is declared an output, which is only written. Declare it with update(_:_:_:).")
    let tile = makeTile(
      type ?? tensor.type, rows: rows, columns: columns,
      validRows: valid(validRows, rows, reference.rowAxis, reference),
      validColumns: valid(validColumns, columns, reference.columnAxis, reference))
    check(
      tile.type == tensor.type
        || !tile.type.isBlocked && tensor.type != .q16_rows
          && (!tensor.type.isBlocked || [.float32, .bfloat16, .float16].contains(tile.type)),
      "load of \(tensor.name)", file, line,
      "\(tensor.type.rawValue) cannot be loaded as \(tile.type.rawValue). Load it as itself, as float32 or as a "
        + "16-bit float.")
    check(
      paddedAxis == nil || !tensor.type.isBlocked, "load of \(tensor.name)", file, line,
      "blocks of \(tensor.type.rawValue) have no zeros beside them. Convert the tensor first.")
    append(.load(tile, from: reference), file, line)
    define(tile)
    return tile
  }

  /// Writes the valid part of `tile` to the block of `tensor` whose first element is at `origin`.
  ///
  /// Parts outside the tensor are left out; of a folded one, valid rows must be of sequences that are there. The axes are chosen as in ``load(_:at:rows:columns:rowAxis:columnAxis:validRows:validColumns:as:paddedAxis:fold:file:line:)``.
  public func store(
    _ tile: Tile, to tensor: TensorParameter, at origin: [Index], rowAxis: Int? = nil, columnAxis: Int? = nil,
    fold: SequenceFold? = nil, file: String = #fileID, line: Int = #line
  ) {
    requireDefined(tile, "store to \(tensor.name)", file, line)
    check(
      tensor.access != .input, "store to \(tensor.name)", file, line,
      "it is declared an input. Declare it with output(_:_:_:) or update(_:_:_:).")
    let reference = makeReference(
      "store", tensor, origin, tile.rows, tile.columns, rowAxis, columnAxis, file, line, fold: fold)
    check(
      tile.type == tensor.type || !(tile.type.isBlocked || tensor.type.isBlocked),
      "store to \(tensor.name)", file, line,
      "a tile of \(tile.type.rawValue) cannot become \(tensor.type.rawValue). Quantize it first.")
    append(.store(tile, to: reference), file, line)
  }

  /// Adds the valid part of a float32 `tile` to a block of a float32 or int32 `tensor` that the kernel updates.
  ///
  /// Tasks may add to one element at the same time; a float32 sum then depends on their order in its last bits. To an
  /// int32 tensor go the nearest whole numbers, ties to even, NaN as 0, so that the sum depends on no order; beyond 32
  /// bits it wraps round.
  public func add(
    _ tile: Tile, to tensor: TensorParameter, at origin: [Index], rowAxis: Int? = nil, columnAxis: Int? = nil,
    file: String = #fileID, line: Int = #line
  ) {
    requireDefined(tile, "add to \(tensor.name)", file, line)
    check(
      tensor.access == .update && [.float32, .int32].contains(tensor.type) && tile.type == .float32,
      "add to \(tensor.name)", file, line,
      "\(tile) and \(tensor.type.rawValue) \(tensor.name) cannot be added. Use a float32 tile and a float32 or int32 "
        + "tensor from update(_:_:_:).")
    let reference = makeReference(
      "add", tensor, origin, tile.rows, tile.columns, rowAxis, columnAxis, file, line)
    append(.add(tile, to: reference), file, line)
  }

  /// A float32 tile with every valid element set to `value`, to accumulate in.
  public func filled(
    _ value: Float, rows: Int, columns: Int, validRows: Index, validColumns: Index, file: String = #fileID,
    line: Int = #line
  ) -> Tile {
    let tile = makeTile(
      .float32, rows: rows, columns: columns, validRows: validRows, validColumns: validColumns)
    append(.fill(tile, value), file, line)
    define(tile)
    return tile
  }

  /// Rows as 16-bit integers in groups of 32 with a scale each (``ElementType/q16_rows``): the left operand of an integer matmul.
  public func quantize(_ source: Tile, file: String = #fileID, line: Int = #line) -> Tile {
    requireDefined(source, "quantize", file, line)
    check(
      source.type == .float32 && source.columns % 32 == 0, "quantize of \(source)", file, line,
      "it takes float32 rows of a multiple of 32 columns. Use the exact float32 path instead.")
    let tile = makeTile(
      .q16_rows, rows: source.rows, columns: source.columns, validRows: source.validRows,
      validColumns: source.validColumns)
    append(.quantize(tile, from: source), file, line)
    define(tile)
    return tile
  }

  private func valid(
    _ stated: Index?, _ capacity: Int, _ axis: Int?, _ reference: TileReference
  ) -> Index {
    let (extents, origin) = (reference.tensor.extents, reference.origin)
    guard let axis, extents.indices.contains(axis), origin.indices.contains(axis) else { return 1 }
    var left = axis == reference.paddedAxis ? Index(capacity) : extents[axis] - origin[axis]
    if let fold = reference.fold {
      let size = axis == reference.columnAxis ? Index(fold.step) : extents[axis] * Index(fold.rows)
      left = size - origin[axis]
    }
    if capacity == 1 && stated == nil { return 1 }
    return (stated ?? left).min(Index(capacity))
  }

  private func makeReference(
    _ operation: String, _ tensor: TensorParameter, _ origin: [Index], _ rows: Int, _ columns: Int,
    _ rowAxis: Int?, _ columnAxis: Int?, _ file: String, _ line: Int, paddedAxis: Int? = nil,
    fold: SequenceFold? = nil
  ) -> TileReference {
    let rank = tensor.extents.count
    let described = "\(operation) \(tensor.name)\(tensor.extents) as [\(rows), \(columns)]"
    check(
      origin.count == rank, described, file, line,
      "\(origin.count) coordinates for \(rank) axes. Give one an axis.")
    check(rows > 0 && columns > 0, described, file, line, "a tile has at least one row and column.")
    let column = columns > 1 || columnAxis != nil ? columnAxis ?? rank - 1 : nil
    let row = rows > 1 || rowAxis != nil ? rowAxis ?? max(0, rank - 2) : nil
    check(
      row.map { (0..<rank).contains($0) } ?? true && column.map { (0..<rank).contains($0) } ?? true,
      described, file, line, "rows run along axis \(row ?? -1) and columns along \(column ?? -1) of \(rank).")
    check(row == nil || row != column, described, file, line, "rows and columns run along the same axis.")
    check(
      paddedAxis == nil || paddedAxis == row || paddedAxis == column, described, file, line,
      "axis \(paddedAxis ?? -1) is padded, and neither rows nor columns run along it.")
    if let fold {
      check(
        row == rank - 2 && column == rank - 1 && rows > 1 && columns > 1 && paddedAxis == nil
          && !tensor.type.isBlocked && tensor.type != .q16_rows && tensor.access != .scratch, described, file,
        line,
        "sequences fold along the last axis into rows along the one before: tiles of several rows and columns of "
          + "numbers, without padding, of tensors that are not scratch.")
      check(
        fold.rows > 0 && fold.step > 0 && fold.step % SequenceFold.alignment == 0, described, file, line,
        "\(fold.rows) rows of \(fold.step) numbers. Rows have a multiple of \(SequenceFold.alignment) numbers."
      )
    }
    return TileReference(
      tensor: tensor, origin: origin, rowAxis: row, columnAxis: column, paddedAxis: paddedAxis, fold: fold)
  }
}
