internal import Memory
internal import Tiles

extension BlockLowering {
  // MARK: Elements

  /// An element of a tile as float32; integers of groups come scaled.
  func read(_ tile: Tile, _ row: String, _ column: String) -> String {
    let (r, c) = (tile.rows == 1 ? "0" : row, tile.columns == 1 ? "0" : column)
    if let reference = views[tile.id] {
      let (tensor, type) = (reference.tensor.number, reference.tensor.type)
      // Strides and addresses are arguments, which cost no registers.
      var place = "o\(tile.id)"
      if let axis = reference.rowAxis { place += " + (\(r)) * \(index.stride(tensor, axis))" }
      if let axis = reference.columnAxis { place += " + (\(c)) * \(index.stride(tensor, axis))" }
      let base = "(const u8 *)a.tensor[\(tensor)]"
      if type == .q16_rows {
        let width = index(reference.tensor.extents[reference.tensor.extents.count - 1])
        return "q16_element(\(base), \(width), \(place))"
      }
      let value = padded("element<\(type.cName)>(\(base), \(place))", reference, r, c)
      return tile.type.holds(type) ? value : tile.type.rounded(value)
    }
    let place = "(\(r)) * \(tile.columns) + (\(c))"
    if tile.type == .q16_rows {
      return "(float)((const short *)\(address(tile)))[\(place)] * \(scale(tile, r, c))"
    }
    let type = tile.type.storageType
    return "\(type)::at(\(address(tile)) + (\(place)) * \(tile.storageBytes), 0)"
  }

  /// The value of an element that is there, 0 for one beside the tensor.
  func padded(_ value: String, _ reference: TileReference, _ row: String, _ column: String) -> String {
    guard let axis = reference.paddedAxis else { return value }
    let place = "\(index(reference.origin[axis])) + \(axis == reference.rowAxis ? row : column)"
    return "((u32)(\(place)) < (u32)\(index(reference.tensor.extents[axis])) ? \(value) : 0.0f)"
  }

  /// Where a tile begins in shared memory.
  func address(_ tile: Tile) -> String { "(memory + \(offsets[tile.id] ?? 0))" }

  /// The scale of a number of integer groups.
  func scale(_ tile: Tile, _ row: String, _ column: String) -> String {
    let scales = "((float *)(memory + \((offsets[tile.id] ?? 0) + tile.rows * tile.columns * 2)))"
    return "\(scales)[(\(row)) * \(tile.columns / 32) + (\(column)) / 32]"
  }

  /// The statement that writes an element.
  func write(_ tile: Tile, _ row: String, _ column: String, _ value: String) -> String {
    let (r, c) = (tile.rows == 1 ? "0" : row, tile.columns == 1 ? "0" : column)
    let place = "((\(r)) * \(tile.columns) + (\(c))) * \(tile.storageBytes)"
    return "\(tile.type.storageType)::put(\(address(tile)) + \(place), \(value));"
  }

  // MARK: Loads and stores

  mutating func printLoad(_ tile: Tile, _ reference: TileReference) {
    let tensor = reference.tensor.number
    let offset = index.offset(tensor, reference.origin)
    let row = reference.rowAxis.map { index.stride(tensor, $0) } ?? "0"
    let column = reference.columnAxis.map { index.stride(tensor, $0) } ?? "0"
    printSize(tile)
    if views[tile.id] != nil { return code.line("o\(tile.id) = \(offset);") }
    let type = reference.tensor.type
    if let fold = reference.fold {
      code.open("")
      printElements(tile) {
        let lines = $0.index.unfolded(reference, fold, row: "row", column: "column")
        let value = "element<\(type.cName)>((const u8 *)a.tensor[\(tensor)], \(lines.place))"
        return $0.write(tile, "row", "column", "(\(lines.isThere) ? \(value) : 0.0f)")
      }
      code.close()
      return
    }
    guard tile.type != .q16_rows else {
      return fail("\(tile) of integer groups is loaded from a tensor that is written")
    }
    code.open("")
    code.line("const long long start = \(offset), down = \(row), across = \(column);")
    printElements(tile) {
      let value =
        "element<\(type.cName)>((const u8 *)a.tensor[\(tensor)], start + row * down + column * across)"
      return $0.write(tile, "row", "column", $0.padded(value, reference, "row", "column"))
    }
    code.close()
  }

  mutating func printStore(_ tile: Tile, _ reference: TileReference, adds: Bool) {
    let tensor = reference.tensor
    let type = tensor.type
    guard type == .q16_rows || type.isVectorType else { return fail("\(type.rawValue) cannot be written") }
    func left(_ axis: Int?, _ name: String) -> String {
      axis.map { "min(\(name), \(index(tensor.extents[$0] - reference.origin[$0])))" } ?? name
    }
    func stride(_ axis: Int?) -> String { axis.map { index.stride(tensor.number, $0) } ?? "0" }
    code.open("")
    if let fold = reference.fold {
      printFoldedStore(tile, reference, fold)
      code.close()
      code.line("__syncthreads();")
      return
    }
    code.line(
      "const long long start = \(index.offset(tensor.number, reference.origin)), down = \(stride(reference.rowAxis)), across = \(stride(reference.columnAxis));"
    )
    code.line(
      "const int rows = max(0, \(left(reference.rowAxis, rows(tile)))), columns = max(0, \(left(reference.columnAxis, columns(tile))));"
    )
    if tile.type == .q16_rows {
      printGroups(tile, reference)
    } else {
      // Neighbouring threads write neighbouring numbers, whichever way the tile lies.
      code.line("const bool isUpright = down == 1 && across != 1;")
      code.line("#pragma unroll 1")
      code.open("for (int e = thread; e < rows * columns; e += \(Self.threads))")
      code.line(
        "const int row = isUpright ? e % rows : e / columns, column = isUpright ? e / rows : e % columns;")
      let place =
        "(u8 *)a.tensor[\(tensor.number)] + (start + row * down + column * across) * \(type.blockBytes)"
      let value = read(tile, "row", "column")
      code.line(
        adds ? "\(type.cName)::add(\(place), \(value));" : "\(type.cName)::put(\(place), \(value));")
      code.close()
    }
    code.close()
    code.line("__syncthreads();")
  }

  private mutating func printFoldedStore(_ tile: Tile, _ reference: TileReference, _ fold: SequenceFold) {
    let type = reference.tensor.type
    code.line("const int rows = \(rows(tile)), columns = \(columns(tile));")
    code.line("#pragma unroll 1")
    code.open("for (int e = thread; e < rows * columns; e += \(Self.threads))")
    code.line("const int row = e / columns, column = e % columns;")
    let place = index.unfolded(reference, fold, row: "row", column: "column")
    let address = "(u8 *)a.tensor[\(reference.tensor.number)] + (\(place.place)) * \(type.blockBytes)"
    code.line("if (\(place.isThere)) \(type.cName)::put(\(address), \(read(tile, "row", "column")));")
    code.close()
  }

  /// Integers and scales of whole groups of 32, a warp each.
  private mutating func printGroups(_ tile: Tile, _ reference: TileReference) {
    let width = index(reference.tensor.extents[reference.tensor.extents.count - 1])
    if views[tile.id] != nil { return fail("\(tile) of integer groups is loaded and stored again") }
    code.line("#pragma unroll 1")
    code.open("for (int g = warp; g < rows * (columns / 32); g += \(Self.threads / 32))")
    code.line("const int row = g / (columns / 32), column = g % (columns / 32) * 32;")
    code.line("const long long place = start + row * down, line = place / \(width);")
    code.line("const int from = (int)(place - line * \(width)) + column;")
    code.line(
      "store_group((u8 *)a.tensor[\(reference.tensor.number)] + line * (\(width) / 32 * 72), \(width), from, lane, ((const short *)\(address(tile)))[row * \(tile.columns) + column + lane], \(scale(tile, "row", "column")));"
    )
    code.close()
  }

  /// Rows as integer groups, a warp a group.
  mutating func printQuantize(_ tile: Tile, _ source: Tile) {
    let groups = "(\(columns(tile)) / 32)"
    code.line("#pragma unroll 1")
    code.open("for (int g = warp; g < \(rows(tile)) * \(groups); g += \(Self.threads / 32))")
    code.line("const int row = g / \(groups), column = g % \(groups) * 32 + lane;")
    code.line("const float x = \(read(source, "row", "column"));")
    code.line("const float largest = lanes_max<32>(fabsf(x));")
    code.line("const bool zero = largest < 0x1p-100f;")
    code.line("const float whole = zero ? 0.0f : rintf(x * (32767.0f / largest));")
    code.line(
      "((short *)\(address(tile)))[row * \(tile.columns) + column] = (short)fminf(32767.0f, fmaxf(-32767.0f, whole));"
    )
    code.line("if (lane == 0) \(scale(tile, "row", "column")) = zero ? 0.0f : largest / 32767.0f;")
    code.close()
    code.line("__syncthreads();")
  }
}

extension ElementType {
  /// Name of the type that a tile's numbers have in shared memory.
  fileprivate var storageType: String {
    switch self {
    case .bfloat16, .float16, .int8: cName
    default: "float32"
    }
  }
}
