internal import Memory
internal import Tiles

extension PipelinedLowering {
  // MARK: Fragments as factors

  /// Rounds a fragment to 16 bits, four registers a chunk of the reduction.
  mutating func printPack(_ tile: Tile) {
    guard case .fragment(let blocks, let columns, let dealsColumns) = placement.places[tile.id],
      columns % 16 == 0,
      !dealsColumns
    else { return fail("\(tile) cannot be a left factor from registers") }
    code.open("")
    printBound(tile, first: "")
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.open("for (int c = 0; c < \(columns / 16); ++c)")
    code.line("#pragma unroll")
    // The negative of what is packed already differs in its signs alone.
    let value =
      placement.negated(by: tile).map { "p\($0.id)[b][c][i] ^ 0x80008000u" }
      ?? (placement.paired.contains(tile.id) ? "q\(tile.id)[b][4 * c + i]" : nil)
      ?? "\(packName(tile.type))(t\(tile.id)[b][8 * c + 2 * i], t\(tile.id)[b][8 * c + 2 * i + 1])"
    let held = settles ? " held |= p\(tile.id)[b][c][i];" : ""
    code.line("for (int i = 0; i < 4; ++i) { p\(tile.id)[b][c][i] = \(value);\(held) }")
    code.close()
    code.close()
    code.close()
  }

  /// Zeroes what lies beyond the valid columns, which the reduction of a product would take in.
  private mutating func printBound(_ tile: Tile, first: String) {
    guard tile.validColumns.constantValue != tile.columns else { return }
    code.line("const int end = \(index(tile.validColumns));")
    code.line("if (end < \(tile.columns)) clear_columns(t\(tile.id), \(first)2 * quad, end);")
  }

  /// Whether what comes next depends on all that was packed before; see ``Kernel/Schedule/settlesFactors``.
  var settles: Bool { isGroup && kernel.schedule.settlesFactors }

  /// Makes `held` 0 again, which only the processor can know.
  mutating func printSettling() { if settles { code.line("held &= none;") } }

  func packName(_ type: ElementType) -> String { type == .float16 ? "pack_f16" : "pack_bf16" }

  /// Writes a fragment to its place in shared memory, where products of all groups read it.
  mutating func printStage(_ tile: Tile) {
    guard case .fragment(let blocks, let columns, let dealsColumns) = placement.places[tile.id],
      let shared = placement.staged[tile.id], let offset = stagedOffsets[tile.id], columns % 16 == 0
    else { return fail("\(tile) cannot be a factor in shared memory") }
    code.open("")
    let sums = placement.sums(over: tile)
    if sums.rows, tile.validRows.constantValue != tile.rows {
      code.line("const int bound = \(index(tile.validRows)) - (\(rowStart(blocks, dealsColumns)));")
      code.line("if (bound < \(64 * blocks)) clear_rows(t\(tile.id), bound);")
    }
    let first = dealsColumns ? "0" : "group * \(64 * blocks)"
    let column = dealsColumns ? "group * \(columns) + " : ""
    if sums.columns { printBound(tile, first: column) }
    printPlace()
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.line(
      "for (int j = 0; j < \(columns / 8); j += 2) store_matrices(shared + \(offset) + swizzled<\(shared.span), \(shared.panelBytes)>("
        + "\(first) + 64 * b + place, 2 * (\(column)8 * j + 8 * half)), "
        + pairs(tile, "b", "j") + ");")
    code.close()
    code.close()
  }

  /// Row and half of a row pair that a lane names of four matrices.
  private mutating func printPlace() {
    code.line("int place = thread / 32 * 16 + (lane & 15), half = lane >> 4;")
    if kernel.schedule.bringsOperands { code.line("asm volatile(\"\" : \"+r\"(place), \"+r\"(half));") }
  }

  /// Four packed registers: columns 8j and 8j + 8, rows 0 and 8.
  private func pairs(_ tile: Tile, _ block: String, _ j: String, as type: ElementType? = nil) -> String {
    (0..<4).map { i in
      if placement.paired.contains(tile.id) { return "q\(tile.id)[\(block)][2 * \(j) + \(i)]" }
      let element = "4 * \(j) + \(2 * i)"
      return
        "\(packName(type ?? tile.type))(t\(tile.id)[\(block)][\(element)], t\(tile.id)[\(block)][\(element) + 1])"
    }.joined(separator: ", ")
  }

  // MARK: Global memory

  mutating func printRead(_ tile: Tile, _ reference: TileReference) {
    if reference.tensor.access == .scratch { return printKept(tile, reference, isRead: true) }
    if readsWhole(tile, reference) { return printWholeRead(tile, reference) }
    let global = self.global
    forEachElement(tile, reference) { place, inside, target in
      let load = global(reference.tensor.type, "a.tensor[\(reference.tensor.number)]", place)
      return "\(target) = \(inside) ? \(load) : 0.0f;"
    }
  }

  /// A line for each element of the thread: its place in the tensor, whether it is valid, and its register.
  private mutating func forEachElement(
    _ tile: Tile, _ reference: TileReference, _ line: (String, String, String) -> String
  ) {
    guard let (blocks, dealsColumns) = placement.blocks(rows: tile.rows) else {
      return fail("\(tile) cannot be shared")
    }
    let number = reference.tensor.number
    let isPerRow = tile.columns == 1
    let columns = dealsColumns ? tile.columns / groups : tile.columns
    code.open("")
    printSettling()
    if reference.fold == nil {
      code.line(
        "const long long start = \(index.offset(number, reference.origin))\(settles ? " + held" : "");")
    }
    code.line(
      "const int rows = \(index(tile.validRows))\(isPerRow ? "" : ", columns = \(index(tile.validColumns))");"
    )
    let folded = reference.fold.map { index.unfolded(reference, $0, row: "row", column: "column") }
    let rowStride = reference.rowAxis.map { index.stride(number, $0) } ?? "0"
    let columnStride = reference.columnAxis.map { index.stride(number, $0) } ?? "0"
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.open("for (int h = 0; h < 2; ++h)")
    // As in maps: addresses that the compiler knew to stay would fill the registers.
    let isOpaque = kernel.schedule.bringsOperands
    code.line(
      "\(isOpaque ? "" : "const ")int row = \(rowStart(blocks, dealsColumns)) + 64 * b + 8 * h;")
    if isOpaque { code.line("int opaque = quad;") }
    if isOpaque { code.line("asm volatile(\"\" : \"+r\"(row), \"+r\"(opaque));") }
    if isPerRow {
      code.line(line("start + row * \(rowStride)", "row < rows", "t\(tile.id)[b][h]"))
    } else {
      code.line("#pragma unroll")
      code.open("for (int j = 0; j < \(columns / 8); ++j)")
      code.line("#pragma unroll")
      code.open("for (int e = 0; e < 2; ++e)")
      code.line(
        "const int column = \(dealsColumns ? "group * \(columns) + " : "")8 * j + 2 * \(isOpaque ? "opaque" : "quad") + e;"
      )
      code.line(
        line(
          folded?.place ?? "start + row * \(rowStride) + column * \(columnStride)",
          "(row < rows && column < columns\(folded.map { " && \($0.isThere)" } ?? ""))",
          placement.paired.contains(tile.id)
            ? half(of: "q\(tile.id)[b][2 * j + h]", tile.type) : "t\(tile.id)[b][4 * j + 2 * h + e]"))
      code.close()
      code.close()
    }
    code.close()
    code.close()
    code.close()
  }

  /// How a fragment can leave through shared memory and bulk copies; `nil` where threads must store it themselves.
  ///
  /// A buffer holds a panel of 64 rows, or, where the tensor is contiguous along the tile's rows, 64 of its columns.
  func storeForm(_ tile: Tile, _ reference: TileReference, adds: Bool) -> SharedTile? {
    guard case .fragment(_, let columns, _) = placement.places[tile.id], columns % 16 == 0,
      let rowAxis = reference.rowAxis, let columnAxis = reference.columnAxis
    else { return nil }
    let tensor = reference.tensor
    if tensor.access == .scratch { return nil }
    // A few rows are sooner written by the threads that hold them.
    if let rows = tile.validRows.constantValue, rows <= 8 { return nil }
    if reference.fold != nil { return foldedStoreForm(tile, reference, columns: columns, adds: adds) }
    guard tensor.extents.count <= 5,
      [.float32, .bfloat16, .float16].contains(tensor.type) || tensor.type == .int32 && adds
    else { return nil }
    let shared: SharedTile
    if columnAxis == tensor.extents.count - 1 {
      shared = SharedTile(type: tensor.type, outer: 64, inner: columns, isTransposed: false)
    } else if rowAxis == tensor.extents.count - 1, tensor.type.blockBytes == 2,
      columns % min(64, columns) == 0,
      // Else a tensor with odd strides would get the plain form for the sake of its stores.
      let length = tensor.extents[rowAxis].constantValue, length % 8 == 0
    {
      shared = SharedTile(type: tensor.type, outer: min(64, columns), inner: 64, isTransposed: true)
    } else {
      return nil
    }
    guard shared.panelBytes <= Self.storeBufferBytes, shared.isTransposed || shared.inner == columns else {
      return nil
    }
    // Bulk copies stop at the tensor's edge and nowhere else.
    func reachesEdge(_ valid: Index, _ axis: Int, _ capacity: Int) -> Bool {
      valid.constantValue == capacity
        || valid == (tensor.extents[axis] - reference.origin[axis]).min(Index(capacity))
    }
    guard reachesEdge(tile.validRows, rowAxis, tile.rows),
      reachesEdge(tile.validColumns, columnAxis, tile.columns)
    else { return nil }
    return shared
  }

  mutating func printStore(_ tile: Tile, _ reference: TileReference, adds: Bool) {
    if reference.tensor.access == .scratch { return printKept(tile, reference, isRead: false) }
    guard let shared = storeForm(tile, reference, adds: adds),
      case .fragment(let blocks, let columns, let dealsColumns) = placement.places[tile.id],
      let rowAxis = reference.rowAxis, let columnAxis = reference.columnAxis
    else { return printPlainStore(tile, reference, adds: adds) }
    if let fold = reference.fold { return printFoldedStore(tile, reference, fold, shared, blocks: blocks) }
    let tensor = reference.tensor
    let rank = tensor.extents.count
    // Columns of a panel, and how many of them there are.
    let width = shared.isTransposed ? shared.outer : shared.panelElements
    let panels = columns / width
    var box = [Int](repeating: 1, count: rank)
    box[rowAxis] = 64
    box[columnAxis] = width
    let descriptor = map(tensor.number, box: box, swizzle: shared.swizzle)
    if adds { addRanks.insert(rank) } else { storeRanks.insert(rank) }
    // Where one task has a core to itself, or sums leave beside the next step's products, they leave both buffers at
    // once: each pair of barriers saved counts. Other tasks that share a core fill each other's waits, and would lose by
    // waiting for both copies.
    let leavesBoth =
      hasSums && storeBuffers == 2 && (kernel.schedule.tasksPerCore == 1 || kernel.schedule.trailsSteps)
    let count = adds && panels % 2 == 0 && leavesBoth ? 2 : 1
    // The buffer of the store before the last is free again once its copy has read it; where sums leave through both, or
    // there is but one, each store waits for the one before.
    let pending = leavesBoth || storeBuffers == 1 ? 0 : 1
    for block in 0..<blocks {
      for first in stride(from: 0, to: panels, by: count) {
        code.line("if (thread == 0) store_wait_read<\(pending)>();")
        code.line("group_barrier(2 + group, 128);")
        for panel in first..<(first + count) {
          let buffer = buffer(panel - first, of: count)
          if shared.isTransposed {
            printTransposedPanel(tile, shared, tensor.type, block: block, panel: panel, buffer: buffer)
          } else {
            printPanel(tile, shared, tensor.type, block: block, panel: panel, buffer: buffer)
          }
        }
        code.line("async_fence();")
        code.line("group_barrier(2 + group, 128);")
        code.open("if (thread == 0)")
        for panel in first..<(first + count) {
          let places = (0..<rank).reversed().map { axis in
            let origin = index(reference.origin[axis])
            if axis == rowAxis {
              return dealsColumns || groups * blocks == 1
                ? "\(origin) + \(64 * block)" : "\(origin) + group * \(64 * blocks) + \(64 * block)"
            }
            if axis == columnAxis {
              return "\(origin) + \(panel * width)" + (dealsColumns ? " + group * \(columns)" : "")
            }
            return origin
          }
          code.line(
            "\(adds ? "add" : "copy")_out_\(rank)(\(buffer(panel - first, of: count)), &a.map[\(descriptor)], \(places.joined(separator: ", ")));"
          )
        }
        code.line("store_commit();")
        code.close()
        if count == 1, storeBuffers > 1 { code.line("turn ^= \(Self.storeBufferBytes);") }
      }
    }
  }

  /// Address of a store buffer: both in turn, or each of them.
  func buffer(_ number: Int, of count: Int) -> String {
    storeBuffers == 1 ? "buffer" : count == 1 ? "buffer + turn" : "buffer + \(number * Self.storeBufferBytes)"
  }

  /// Writes one panel of a block of 64 rows to a store buffer.
  mutating func printPanel(
    _ tile: Tile, _ shared: SharedTile, _ type: ElementType, block: Int, panel: Int, buffer: String
  ) {
    let first = panel * shared.panelElements / 8
    guard type == .float32 || type == .int32 else {
      code.open("")
      printPlace()
      code.line("#pragma unroll")
      code.line(
        "for (int j = 0; j < \(shared.panelElements / 8); j += 2) store_matrices(\(buffer) + swizzled<\(shared.span), 0>("
          + "place, 16 * j + 16 * half), "
          + pairs(tile, "\(block)", "(j + \(first))", as: type) + ");")
      code.close()
      return
    }
    code.open("")
    code.line("int place = row0, own = quad;")
    if kernel.schedule.bringsOperands { code.line("asm volatile(\"\" : \"+r\"(place), \"+r\"(own));") }
    code.line("#pragma unroll")
    let values = (0..<2).map { e in
      let value = "t\(tile.id)[\(block)][4 * (j + \(first)) + 2 * h\(e == 0 ? "" : " + 1")]"
      return type == .int32 ? "__int_as_float(__float2int_rn(\(value)))" : value
    }
    code.open("for (int h = 0; h < 2; ++h)")
    code.line("#pragma unroll")
    code.line(
      "for (int j = 0; j < \(shared.panelElements / 8); ++j) shared_store_2(\(buffer) + swizzled<\(shared.span), 0>(place + 8 * h, 32 * j + 8 * own), "
        + values.joined(separator: ", ") + ");")
    code.close()
    code.close()
  }

  /// Writes some columns of a block of 64 rows to a store buffer, a row of the buffer for each.
  private mutating func printTransposedPanel(
    _ tile: Tile, _ shared: SharedTile, _ type: ElementType, block: Int, panel: Int, buffer: String
  ) {
    // Lanes name the rows of four matrices: columns 8j and 8j + 8, each with rows 0 and 8.
    code.line("#pragma unroll")
    code.line(
      "for (int j = 0; j < \(shared.outer / 8); j += 2) store_transposed_matrices(\(buffer) + swizzled<\(shared.span), 0>("
        + "8 * j + (lane & 7) + 8 * (lane >> 4), thread / 32 * 32 + (lane & 8) * 2), "
        + pairs(tile, "\(block)", "(j + \(panel * shared.outer / 8))", as: type) + ");")
  }

  private mutating func printPlainStore(_ tile: Tile, _ reference: TileReference, adds: Bool) {
    let pointer = "a.tensor[\(reference.tensor.number)]"
    let isPerRow = tile.columns == 1
    let type = reference.tensor.type
    guard [.float32, .bfloat16, .float16].contains(type) || type == .int32 && adds else {
      return fail("\(type.rawValue) cannot be stored")
    }
    forEachElement(tile, reference) { place, inside, source in
      let condition = isPerRow ? "\(inside) && quad == 0" : inside
      switch type {
      case .bfloat16:
        return
          "if (\(condition)) ((unsigned short *)\(pointer))[\(place)] = (unsigned short)pack_bf16(\(source), 0.0f);"
      case .float16:
        return
          "if (\(condition)) ((unsigned short *)\(pointer))[\(place)] = (unsigned short)pack_f16(\(source), 0.0f);"
      case .int32:
        return "if (\(condition)) atomicAdd((int *)\(pointer) + \(place), __float2int_rn(\(source)));"
      default:
        return adds
          ? "if (\(condition)) atomicAdd((float *)\(pointer) + \(place), \(source));"
          : "if (\(condition)) ((float *)\(pointer))[\(place)] = \(source);"
      }
    }
  }
}
