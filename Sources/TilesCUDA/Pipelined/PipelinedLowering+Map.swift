internal import Memory
internal import Tiles

extension PipelinedLowering {
  /// A chain of elementwise steps over a fragment or a number a row.
  ///
  /// Row by row of the thread, so that reductions end in registers; what a tile holds beyond its valid part is left to
  /// chance, and only reductions, packing and stores look at the bounds.
  mutating func printMap(_ program: MapProgram) {
    // Sums in 16 bits are where they are rounded to.
    if program.tilesRead.contains(where: { placement.narrowSums[$0.id] != nil }) { return }
    let isRow = program.space.rows == 1
    guard let (blocks, dealsColumns) = isRow ? (1, false) : placement.blocks(rows: program.space.rows) else {
      return fail("rows of \(program.space) cannot be shared")
    }
    if isRow, program.tilesWritten.contains(where: { $0.columns > 1 && !isOnlyReduced($0, in: program) }) {
      return fail("a row of numbers is computed; compute it as rows and transpose it")
    }
    let isPerRow = program.space.columns == 1
    let columns = isPerRow ? 1 : dealsColumns ? program.space.columns / groups : program.space.columns
    code.open("")
    if program.steps.contains(.column), !isPerRow {
      code.line("const float column0 = (float)(\(dealsColumns ? "group * \(columns) + " : "")2 * quad);")
    }
    quartets = isPerRow ? [] : quartets(of: program, columns: columns)
    defer { quartets = [] }
    if !quartets.isEmpty {
      code.line("int matrix_row = thread / 32 * 16 + (lane & 7), matrix_column = lane >> 3 << 3;")
      code.line("asm volatile(\"\" : \"+r\"(matrix_row), \"+r\"(matrix_column));")
    }
    // Addresses within tiles that stay would all be kept in registers through the loops, if the compiler knew them.
    let isOpaque =
      kernel.schedule.bringsOperands && !isPerRow && program.tilesRead.contains { readsByColumn($0) }
    if isOpaque {
      code.line("int opaque = quad, opaque_row = row0;")
      code.line("asm volatile(\"\" : \"+r\"(opaque), \"+r\"(opaque_row));")
      // With this much the compiler exchanges pieces by one operation each; it costs registers where many are wanted at once.
      if !asideOffsets.isEmpty { code.line("opaque &= 3;") }
    }
    // Numbers that are the same for the whole tile.
    var hoisted: [Int: String] = [:]
    var value = 0
    for step in program.steps {
      if case .index(let expression) = step {
        let name = name("i")
        code.line("const float \(name) = (float)\(index(expression));")
        hoisted[value] = name
      }
      if step.definesValue { value += 1 }
    }
    let isBounded =
      !program.reductions.isEmpty && !isPerRow
      && program.space.validColumns.constantValue != program.space.columns
    let rows = MapRows(
      blocks: blocks, columns: columns, isPerRow: isPerRow, isRow: isRow,
      isPartial: !placement.partialReductions(program).isEmpty,
      rowStart: rowStart(blocks, dealsColumns, row: isOpaque ? "opaque_row" : "row0"),
      matrixStart: rowStart(blocks, dealsColumns, row: "matrix_row"),
      columnStart: dealsColumns && !isPerRow ? "group * \(columns) + " : "",
      quad: isOpaque ? "opaque" : "quad")
    guard isBounded else {
      printUnbounded(program, rows, hoisted)
      return code.close()
    }
    // Whole tiles are the rule: comparing each column with the bound would cost as much as the rest.
    code.line("const int bound = \(index(program.space.validColumns));")
    code.open("if (bound >= \(program.space.columns))")
    printUnbounded(program, rows, hoisted)
    code.close()
    code.open("else")
    printRows(program, rows, hoisted, isBounded: true)
    code.close()
    code.close()
  }

  /// The rows, twice where vectors are read from global memory that may lie in any way: where those lie one number behind the other, as is
  /// the rule, two are read at once and at distances that are known, which takes an instruction where any stride and bound takes ten for
  /// each number.
  private mutating func printUnbounded(_ program: MapProgram, _ rows: MapRows, _ hoisted: [Int: String]) {
    var conditions: [String] = []
    var known: Set<Int> = []
    // Where tiles come from shared memory too, both copies together spilled.
    for tile in program.tilesRead where !rows.isPerRow && tile.columns > 1 && quartets.isEmpty {
      guard case .perColumn(let reference) = placement.places[tile.id], let axis = reference.columnAxis,
        reference.tensor.type == .float32, known.insert(tile.id).inserted
      else { continue }
      let number = reference.tensor.number
      let start = "(const float *)a.tensor[\(number)] + \(index.offset(number, reference.origin))"
      code.line("const float2 *const vector\(tile.id) = (const float2 *)(\(start));")
      if readsWhole(tile, reference) {
        pairedReads.insert(number)
        continue
      }
      conditions += [
        "\(index.stride(number, axis)) == 1", "\(index(tile.validColumns)) >= \(tile.columns)",
        "(u64)vector\(tile.id) % 8 == 0",
      ]
    }
    pairedVectors = known
    defer { pairedVectors = [] }
    guard !conditions.isEmpty else { return printRows(program, rows, hoisted, isBounded: false) }
    code.open("if (\(conditions.joined(separator: " && ")))")
    printRows(program, rows, hoisted, isBounded: false)
    pairedVectors = []
    code.close()
    code.open("else")
    printRows(program, rows, hoisted, isBounded: false)
    code.close()
  }

  /// Whether the chain writes the tile by a reduction alone.
  private func isOnlyReduced(_ tile: Tile, in program: MapProgram) -> Bool {
    program.reductions.contains { $0.tile == tile }
  }

  /// What the threads' loops over a fragment run over.
  private struct MapRows {
    var blocks: Int
    var columns: Int
    var isPerRow: Bool
    /// One row, which all threads know: sums of it are numbers that all threads know.
    var isRow: Bool
    /// Whether reductions end in a part for each group.
    var isPartial: Bool
    var rowStart: String
    /// Row that a lane names of four matrices.
    var matrixStart: String
    var columnStart: String
    /// Name of the thread's place in its quad.
    var quad: String
  }

  private mutating func printRows(
    _ program: MapProgram, _ rows: MapRows, _ hoisted: [Int: String], isBounded: Bool
  ) {
    let reductions = program.reductions
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(rows.blocks); ++b)")
    // Vectors that are read two numbers at a time are read for both rows: kept from row to row, they would fill the registers.
    let readsOnce = !pairedVectors.isEmpty && reductions.isEmpty
    if readsOnce { openColumns(rows.columns) }
    code.line("#pragma unroll")
    code.open("for (int h = 0; h < \(rows.isRow ? 1 : 2); ++h)")
    let needsRow =
      program.steps.contains(.row) || rows.isPartial || program.tilesRead.contains { readsByRow($0) }
    if needsRow { code.line("const int row = \(rows.rowStart) + 64 * b + 8 * h;") }
    for (number, reduction) in reductions.enumerated() {
      let start = identity(reduction.kind)
      code.line("float sum\(number)[2] = {\(start), \(start)};")
    }
    if !rows.isPerRow {
      if quartets.isEmpty {
        if !readsOnce { openColumns(rows.columns) }
      } else {
        code.line("#pragma unroll")
        code.open("for (int four = 0; four < \(rows.columns / 32); ++four)")
        printQuartets(program, rows)
        code.line("#pragma unroll")
        code.open("for (int j = 4 * four; j < 4 * four + 4; ++j)")
      }
    }
    if isNarrow(program) {
      printNarrow(program)
      code.close()
      if !quartets.isEmpty { code.close() }
      code.close()
      return code.close()
    }
    if !rows.isPerRow {
      let pairs = program.tilesWritten.filter { placement.paired.contains($0.id) }
      for tile in pairs { code.line("float pair\(tile.id)[2];") }
      code.line("#pragma unroll")
      code.open("for (int e = 0; e < 2; ++e)")
      let needsColumn =
        isBounded || program.tilesRead.contains { readsByColumn($0) }
      if needsColumn { code.line("const int column = \(rows.columnStart)8 * j + 2 * \(rows.quad) + e;") }
    }
    printSteps(program, hoisted, isPerRow: rows.isPerRow, isBounded: isBounded)
    if !rows.isPerRow {
      code.close()
      for tile in program.tilesWritten where placement.paired.contains(tile.id) {
        let packed = "\(packName(tile.type))(pair\(tile.id)[0], pair\(tile.id)[1])"
        code.line(settles ? "const u32 word\(tile.id) = \(packed);" : "\(pair(tile)) = \(packed);")
        if settles { code.line("\(pair(tile)) = word\(tile.id), held |= word\(tile.id);") }
      }
      code.close()
      if !quartets.isEmpty { code.close() }
    }
    for (number, reduction) in reductions.enumerated() {
      let combine = reduction.kind == .sum ? "sum_quad" : "max_quad"
      let both = rows.isPerRow ? "sum\(number)[0]" : "\(combine)(sum\(number)[0], sum\(number)[1])"
      let place = "t\(reduction.tile.id)[b][h]"
      if rows.isPartial, let offset = exchangeOffsets[reduction.tile.id] {
        code.line("const float part\(number) = \(both);")
        code.line(
          "if (quad == 0) ((float *)(memory + \(offset)))[group * \(reduction.tile.rows) + row] = part\(number);"
        )
      } else {
        code.line("\(place) = \(reduction.continuing ? joined(reduction.kind, place, both) : both);")
        if settles { code.line("held |= __float_as_uint(\(place));") }
      }
    }
    code.close()
    code.close()
  }

  /// The loop over the thread's columns, eight at a time.
  private mutating func openColumns(_ columns: Int) {
    code.line("#pragma unroll")
    code.open("for (int j = 0; j < \(columns / 8); ++j)")
  }

  /// Two partial results as one.
  private func joined(_ reduction: MapStep.Reduction, _ a: String, _ b: String) -> String {
    reduction == .sum ? "\(a) + \(b)" : "fmaxf(\(a), \(b))"
  }

  /// Each thread's rows from the parts of all groups, in one order, so that all groups find the same number.
  mutating func printCombination(_ tile: Tile, _ reduction: MapStep.Reduction, _ continuing: Bool) {
    guard let offset = exchangeOffsets[tile.id], case .perRow(let blocks) = placement.places[tile.id] else {
      return fail("\(tile) is in no parts")
    }
    let place = "t\(tile.id)[b][h]"
    let parts = (0..<groups).map { "parts[\($0 * tile.rows) + row0 + 64 * b + 8 * h]" }
    let all = ((continuing ? [place] : []) + parts)
    code.open("")
    code.line("const float *parts = (const float *)(memory + \(offset));")
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.line(
      "for (int h = 0; h < 2; ++h) \(place) = \(all.dropFirst().reduce(all[0]) { joined(reduction, $0, $1) });"
    )
    code.close()
    code.close()
  }

  /// Row of the thread's first element within the tile.
  func rowStart(_ blocks: Int, _ dealsColumns: Bool, row: String = "row0") -> String {
    dealsColumns || groups == 1 ? row : "group * \(64 * blocks) + \(row)"
  }

  private func identity(_ reduction: MapStep.Reduction) -> String {
    reduction == .sum ? "0.0f" : "-INFINITY_F"
  }

  /// Tiles of 16-bit numbers, in a pattern that keeps rows together, of which a warp can read four matrices at once: in one
  /// instruction, in the order of fragments. Word by word, the compiler takes each apart into two loads.
  private func quartets(of program: MapProgram, columns: Int) -> Set<Int> {
    guard kernel.schedule.bringsOperands, columns % 32 == 0 else { return [] }
    return Set(
      program.tilesRead.filter { tile in
        guard case .ring(let ring, let slot) = placement.places[tile.id] else { return false }
        let shared = rings[ring].slots[slot]
        return !shared.isVector && !shared.isTransposed && tile.rows > 1 && tile.columns > 1
      }.map(\.id))
  }

  /// Reads four matrices of each tile: eight rows, and columns from `32 * four` on.
  private mutating func printQuartets(_ program: MapProgram, _ rows: MapRows) {
    var known: Set<Int> = []
    for tile in program.tilesRead where quartets.contains(tile.id) && known.insert(tile.id).inserted {
      guard case .ring(let ring, let slot) = placement.places[tile.id] else { continue }
      let shared = rings[ring].slots[slot]
      let column = "2 * (\(rows.columnStart)32 * four + matrix_column)"
      code.line("u32 w\(tile.id)[4];")
      code.line(
        "load_matrices(w\(tile.id), shared + \(slotOffset(ring, slot)) + swizzled<\(shared.span), \(shared.panelBytes)>(\(rows.matrixStart) + 64 * b + 8 * h, \(column)));"
      )
    }
  }

  private func readsByRow(_ tile: Tile) -> Bool {
    if case .ring = placement.places[tile.id] { tile.rows > 1 && !quartets.contains(tile.id) } else { false }
  }

  private func readsByColumn(_ tile: Tile) -> Bool {
    switch placement.places[tile.id] {
    case .ring: tile.columns > 1 && !quartets.contains(tile.id)
    case .perColumn, .row: tile.columns > 1
    default: false
    }
  }

  private mutating func printSteps(
    _ program: MapProgram, _ hoisted: [Int: String], isPerRow: Bool, isBounded: Bool
  ) {
    var value = 0
    var reduction = 0
    for step in program.steps {
      let name = "v\(value)"
      switch step {
      case .load(let tile): code.line("const float \(name) = \(read(tile, isPerRow: isPerRow));")
      case .index: code.line("const float \(name) = \(hoisted[value] ?? "0");")
      case .constant(let number): code.line("const float \(name) = \(literal(number));")
      case .column: code.line("const float \(name) = \(isPerRow ? "0.0f" : "column0 + (float)(8 * j + e)");")
      case .row: code.line("const float \(name) = (float)row;")
      case .random: fail("random numbers are for kernels without products")
      case .compute(let function, let operands):
        code.line("const float \(name) = \(compute(function, operands.map { "v\($0)" }));")
      case .store(let source, let tile) where placement.paired.contains(tile.id):
        code.line("pair\(tile.id)[e] = v\(source);")
      case .store(let source, let tile):
        let place = "t\(tile.id)[b]\(isPerRow ? "[h]" : "[4 * j + 2 * h + e]")"
        code.line("\(place) = v\(source);")
        // Else what both branches compute alike would follow them, and all numbers of the vector be kept until then.
        if !pairedVectors.isEmpty { code.line("asm volatile(\"\" : \"+f\"(\(place)));") }
      case .reduce(let kind, let source, _, _):
        let held = "sum\(reduction)[\(isPerRow ? "0" : "e")]"
        let item = isBounded ? "(column < bound ? v\(source) : \(identity(kind)))" : "v\(source)"
        code.line(kind == .sum ? "\(held) += \(item);" : "\(held) = fmaxf(\(held), \(item));")
        reduction += 1
      }
      if step.definesValue { value += 1 }
    }
  }

  mutating func printFill(_ tile: Tile, _ value: Float) {
    switch placement.places[tile.id] {
    case .fragment(let blocks, _, _):
      code.line("fill(t\(tile.id), \(literal(value)));")
      // Else, in an unrolled loop, the compiler sets registers between products that run, and waits for those.
      if placement.continued.contains(tile.id) {
        for block in 0..<blocks { code.line("pin(t\(tile.id)[\(block)]);") }
      }
    case .perRow, .scalar: code.line("fill(t\(tile.id), \(literal(value)));")
    default: fail("\(tile) is filled and is no fragment")
    }
  }
}

extension MapProgram {
  /// The reductions at its ends, in order.
  var reductions: [(kind: MapStep.Reduction, tile: Tile, continuing: Bool)] {
    steps.compactMap { step in
      if case .reduce(let kind, _, let tile, let continuing) = step { (kind, tile, continuing) } else { nil }
    }
  }
}
