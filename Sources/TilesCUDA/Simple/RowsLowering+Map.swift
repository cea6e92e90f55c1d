internal import Memory
internal import Tiles

extension RowsLowering {
  /// A chain of steps over the lane's numbers of a row, then the reductions.
  mutating func printMap(_ program: MapProgram) {
    let space = program.space
    let isColumn = space.columns == 1
    let count = layout.count(space)
    let reductions = program.reductions
    code.open("")
    for (number, reduction) in reductions.enumerated() {
      code.line("float sum\(number) = \(reduction.kind.identity);")
    }
    if !isColumn {
      for (value, step) in program.definitions.enumerated() {
        if case .random = step { code.line("u32 wordsv\(value)[4];") }
      }
      code.line("#pragma unroll")
      code.open("for (int i = 0; i < \(count); ++i)")
    }
    // Columns past the edge hold no numbers, and rows without an edge need no test.
    let isWhole = space.validColumns == Index(space.columns) && count * layout.lanes == space.columns
    let needsTest = !reductions.isEmpty && !isWhole
    if needsTest || program.steps.contains(where: \.namesColumn) {
      code.line(
        isColumn
          ? "const int column = 0;"
          : "const int column = (i / \(layout.vector) * \(layout.lanes) + lane) * \(layout.vector) + i % \(layout.vector);"
      )
    }
    printSteps(program, isColumn: isColumn, test: needsTest ? "column < \(index(space.validColumns))" : nil)
    if !isColumn { code.close() }
    for (number, reduction) in reductions.enumerated() {
      var total = "sum\(number)"
      if deferred[reduction.tile.id] != nil {
        code.line("d\(reduction.tile.id) = \(reduction.kind.combined("d\(reduction.tile.id)", total));")
        continue
      }
      if !isColumn { total = combineLanes(total, reduction.kind) }
      if reduction.continuing { total = reduction.kind.combined("t\(reduction.tile.id)", total) }
      code.line("t\(reduction.tile.id) = \(total);")
    }
    code.close()
  }

  func combineLanes(_ value: String, _ kind: MapStep.Reduction) -> String {
    layout.warps == 1
      ? "lanes_\(kind.name)<\(layout.lanes)>(\(value))"
      : "warps_\(kind.name)<\(layout.warps)>(\(value), partial)"
  }

  private mutating func printSteps(_ program: MapProgram, isColumn: Bool, test: String?) {
    var values: [String] = []
    var reduction = 0
    let definitions = isColumn ? [] : program.definitions
    for step in program.steps {
      let name = "v\(values.count)"
      switch step {
      case .load(let tile):
        code.line("const float \(name) = \(tile.columns == 1 ? "t\(tile.id)" : "t\(tile.id)[i]");")
      case .index(let value): code.line("const float \(name) = (float)\(index(value));")
      case .constant(let value): code.line("const float \(name) = \(value.printed);")
      case .column: code.line("const float \(name) = (float)column;")
      case .row: code.line("const float \(name) = \(layout.isDealt(program.space) ? "(float)row" : "0.0f");")
      case .random(let source): printRandom(source, name, program.space)
      case .compute(.selectGreaterEqual, let sources) where wordsBound(sources, definitions) != nil:
        let (word, least) = wordsBound(sources, definitions) ?? ("", 0)
        code.line(
          "const float \(name) = \(word) >= \(least)u ? \(values[sources[2]]) : \(values[sources[3]]);")
      case .compute(let function, let sources):
        code.line("const float \(name) = \(function.printed(sources.map { values[$0] }));")
      case .store(let value, let tile):
        code.line("t\(tile.id)\(isColumn ? "" : "[i]") = \(tile.type.rounded(values[value]));")
      case .reduce(let kind, let value, _, _):
        let combined = "sum\(reduction) = \(kind.combined("sum\(reduction)", values[value]));"
        code.line(test.map { "if (\($0)) \(combined)" } ?? combined)
        reduction += 1
      }
      if step.definesValue { values.append(name) }
    }
  }

  /// Where a random number is compared with a constant: its word and the least word that is not below.
  private func wordsBound(_ sources: [Int], _ definitions: [MapStep]) -> (word: String, least: UInt32)? {
    guard definitions.indices.contains(sources[0]), definitions.indices.contains(sources[1]),
      case .random = definitions[sources[0]], case .constant(let bound) = definitions[sources[1]],
      (0..<1).contains(bound)
    else { return nil }
    // Numbers are the words' upper 24 bits over 2²⁴.
    return ("wordsv\(sources[0])[i % 4]", UInt32((Double(bound) * 0x1p24).rounded(.up)) << 8)
  }

  /// Four neighbouring columns of a lane share one counter.
  private mutating func printRandom(_ source: RandomSource, _ name: String, _ space: Tile) {
    let (seed, stream) = (index(source.seed), index(source.stream))
    let row = layout.isDealt(space) ? "\(index(source.row)) + row" : index(source.row)
    if space.columns == 1 {
      code.line("const float \(name) = random_at(\(seed), \(stream), \(row), 0);")
    } else {
      code.line("if (i % 4 == 0) random_words(words\(name), \(seed), \(stream), \(row), column / 4);")
      code.line("const float \(name) = (float)(words\(name)[i % 4] >> 8) * 0x1p-24f;")
    }
  }
}

extension MapProgram {
  /// Steps that define a value, in order.
  fileprivate var definitions: [MapStep] { steps.filter(\.definesValue) }
}

extension MapStep {
  /// Whether what it gives depends on the column's number.
  fileprivate var namesColumn: Bool {
    switch self {
    case .column, .random: true
    default: false
    }
  }
}
