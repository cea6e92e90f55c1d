internal import Memory
internal import Tiles

extension RowsLowering {
  /// Offset of element [row, 0] of the tile, in elements.
  ///
  /// - Parameter isOfTensor: whether the row begins where the tensor's does.
  private func start(_ tile: Tile, _ reference: TileReference, isOfTensor: Bool = false) -> String {
    var place = reference.origin
    if isOfTensor, let axis = reference.columnAxis { place[axis] = 0 }
    let origin = index.offset(reference.tensor.number, place)
    guard let axis = reference.rowAxis, layout.isDealt(tile), tile.rows > 1 else { return origin }
    return "\(origin) + \(index.stride(reference.tensor.number, axis)) * row"
  }

  private func columnStride(_ reference: TileReference) -> String {
    reference.columnAxis.map { index.stride(reference.tensor.number, $0) } ?? "0"
  }

  /// How many columns of the group's row there are, given their number in a row that is there.
  private func columns(_ tile: Tile, _ validRows: Index, _ validColumns: Index) -> String {
    guard layout.isDealt(tile),
      validRows != Index(layout.rows) || layout.rows % layout.groups != 0 || layout.groups > layout.rows
    else { return index(validColumns) }
    return "row < \(index(validRows)) ? \(index(validColumns)) : 0"
  }

  /// The same, none where the row is one of the zeros beside the tensor.
  private func paddedColumns(_ tile: Tile, _ reference: TileReference) -> String {
    let columns = columns(tile, tile.validRows, tile.validColumns)
    guard let axis = reference.paddedAxis, axis == reference.rowAxis || tile.columns == 1 else {
      return columns
    }
    let row = axis == reference.rowAxis && layout.isDealt(tile) && tile.rows > 1 ? " + row" : ""
    return
      "(u32)(\(index(reference.origin[axis]))\(row)) >= (u32)\(index(reference.tensor.extents[axis])) ? 0 : \(columns)"
  }

  /// Whether rows lie in one piece, whose lines can be asked for.
  func canPrefetch(_ reference: TileReference) -> Bool {
    reference.paddedAxis == nil && reference.tensor.type.isVectorType
      && reference.columnAxis == reference.tensor.extents.count - 1
  }

  mutating func printPrefetch(_ tile: Tile, _ reference: TileReference) {
    let (tensor, bytes) = (reference.tensor, reference.tensor.type.blockBytes)
    code.open("")
    code.line("const int valid = \(paddedColumns(tile, reference));")
    code.line("const long long start = \(start(tile, reference));")
    code.line(
      "prefetch_row<\(layout.lanes)>((const u8 *)a.tensor[\(tensor.number)] + start * \(bytes), valid * \(bytes), lane);"
    )
    code.close()
  }

  mutating func printLoad(_ tile: Tile, _ reference: TileReference) {
    let tensor = reference.tensor
    let type = tensor.type
    let name = "t\(tile.id)"
    // What every row or task reads again should stay in the nearest cache.
    let isStreamed = layout.isDealt(tile) && tensor.access == .input && reference.paddedAxis == nil
    let goesWhole = isWhole && canBeWhole(tile, reference, (tile.validRows, tile.validColumns))
    let shift = shift(of: reference)
    code.open("")
    if shift != nil, isThere(tile) {
      code.line("const int valid = \(tile.columns);")
    } else if !goesWhole {
      code.line("const int valid = \(paddedColumns(tile, reference));")
    }
    code.line("const long long start = \(start(tile, reference, isOfTensor: shift != nil));")
    let base = "(const u8 *)a.tensor[\(tensor.number)]"
    if goesWhole {
      code.line(
        "load_whole<\(type.cName), \(layout.vector), \(layout.lanes), \(tile.columns), \(isStreamed)>(\(name), \(base) + start * \(type.blockBytes), lane);"
      )
    } else if tile.columns == 1 {
      let value = "element<\(type.cName)>(\(base), start)"
      code.line("\(name) = valid > 0 ? \(tile.type.holds(type) ? value : tile.type.rounded(value)) : 0.0f;")
    } else if let axis = reference.paddedAxis, axis == reference.columnAxis {
      let (origin, extent) = (index(reference.origin[axis]), index(tensor.extents[axis]))
      if let shift {
        code.line(
          "load_shifted<\(type.cName), \(layout.vector), \(layout.lanes), \(shift), \(tensor.access == .input)>(\(name), \(base), start, \(columnStride(reference)), lane, \(origin), \(extent), valid);"
        )
      } else {
        code.line(
          "load_window<\(type.cName), \(layout.vector), \(layout.lanes)>(\(name), \(base), start, \(columnStride(reference)), lane, -(\(origin)), min(valid, \(extent) - \(origin)));"
        )
      }
    } else if type.isBlocked || !type.isVectorType {
      code.line(
        "load_elements<\(type.cName), \(layout.vector), \(layout.lanes)>(\(name), \(base), start, \(columnStride(reference)), lane, valid);"
      )
    } else {
      code.line(
        "load_row<\(type.cName), \(layout.vector), \(layout.lanes), \(isStreamed), \(loadsAhead)>(\(name), \(base) + start * \(type.blockBytes), \(columnStride(reference)), lane, valid);"
      )
    }
    if tile.columns > 1, !tile.type.holds(type) {
      code.line("#pragma unroll")
      code.line(
        "for (int i = 0; i < \(layout.count(tile)); ++i) \(name)[i] = \(tile.type.rounded("\(name)[i]"));")
    }
    code.close()
  }

  /// How far behind a whole vector a window begins that goes on beside its tensor's rows; `nil` for other loads.
  private func shift(of reference: TileReference) -> Int? {
    guard let axis = reference.paddedAxis, axis == reference.columnAxis, reference.tensor.type.isVectorType
    else {
      return nil
    }
    return reference.origin[axis].remainder(by: layout.vector)
  }

  /// Whether all of the tile counts where bodies for whole rows run.
  private func isThere(_ tile: Tile) -> Bool {
    isWhole
      && [(tile.validRows, tile.rows), (tile.validColumns, tile.columns)].allSatisfy { number, capacity in
        number == Index(capacity) || wholeConditions().task.contains("\(index(number)) >= \(capacity)")
      }
  }

  /// Rows and columns that lie within the tensor too.
  func clipped(_ tile: Tile, _ reference: TileReference) -> (rows: Index, columns: Index) {
    func clip(_ valid: Index, _ capacity: Int, _ axis: Int?) -> Index {
      guard let axis else { return valid }
      let left = (reference.tensor.extents[axis] - reference.origin[axis])
      return left == valid || left.min(Index(capacity)) == valid ? valid : valid.min(left)
    }
    return (
      clip(tile.validRows, tile.rows, reference.rowAxis),
      clip(tile.validColumns, tile.columns, reference.columnAxis)
    )
  }

  mutating func printStore(_ tile: Tile, _ reference: TileReference, adds: Bool) {
    let tensor = reference.tensor
    let type = tensor.type
    let (rows, columns) = clipped(tile, reference)
    code.open("")
    let goesWhole = isWhole && !adds && layout.isDealt(tile) && canBeWhole(tile, reference, (rows, columns))
    var valid = self.columns(tile, rows, columns)
    // One group is enough for what all of them hold.
    if !layout.isDealt(tile) { valid = "row == 0 ? \(index(columns)) : 0" }
    if !goesWhole { code.line("const int valid = \(valid);") }
    code.line("const long long start = \(start(tile, reference));")
    let base = "(u8 *)a.tensor[\(tensor.number)]"
    if goesWhole {
      code.line(
        "store_whole<\(type.cName), \(layout.vector), \(layout.lanes), \(tile.columns)>(t\(tile.id), \(base) + start * \(type.blockBytes), lane);"
      )
    } else if type == .q16_rows {
      let width = index(tensor.extents[tensor.extents.count - 1])
      code.line(
        "store_groups<\(layout.vector), \(layout.lanes)>(t\(tile.id), s\(tile.id), \(base), \(width), start, lane, valid);"
      )
    } else if tile.columns == 1 {
      let place = "\(base) + start * \(type.blockBytes)"
      let write =
        adds ? "\(type.cName)::add(\(place), t\(tile.id))" : "\(type.cName)::put(\(place), t\(tile.id))"
      code.line("if (lane == 0 && valid > 0) \(write);")
    } else {
      code.line(
        "\(adds ? "add" : "store")_row<\(type.cName), \(layout.vector), \(layout.lanes)>(t\(tile.id), \(base) + start * \(type.blockBytes), \(columnStride(reference)), lane, valid);"
      )
    }
    code.close()
  }
}

extension ElementType {
  /// Whether several numbers of it are read in one access.
  var isVectorType: Bool { [.float32, .bfloat16, .float16, .int8, .int32].contains(self) }
}
