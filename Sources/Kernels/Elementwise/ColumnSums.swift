public import Memory
public import Tiles

/// Sums over rows of what a ``PointwiseFunction`` makes of them, in float32 and in a fixed order, without writing that anywhere.
///
/// Floor: arrays of rows read once over the memory bandwidth.
public struct ColumnSums: Sendable, Hashable {
  /// What is added up; it draws nothing.
  public var function: PointwiseFunction
  /// For each input whether it is `[R, D]`; otherwise it is `[1, D]`.
  public var hasRows: [Bool]
  /// Types of inputs.
  public var types: [ElementType]
  /// Columns of a task.
  public var columns: Int
  /// Rows of a task, one after the other.
  public var length: Int

  /// Rows that are asked for together.
  private static let several = 4

  /// - Precondition: each output depends on an input with rows.
  public init(
    _ function: PointwiseFunction, hasRows: [Bool], types: [ElementType], columns: Int, length: Int
  ) {
    precondition(
      function.inputs == hasRows.count && hasRows.count == types.count && !function.isRandom,
      "\(hasRows.count) inputs for a function of \(function.inputs)")
    for output in 0..<function.outputCount {
      precondition(
        function.dependencies(of: output).contains { hasRows[$0] }, "result \(output) is the same in all rows"
      )
    }
    self.function = function
    self.hasRows = hasRows
    self.types = types
    self.columns = columns
    self.length = length
  }

  /// Arguments: the inputs, then `[⌈R / length⌉, D]` for each output.
  public func kernel() throws(TileError) -> Kernel {
    try Kernel("column_sums_\(function.nodes.count)_\(function.inputs)_\(function.outputCount)_\(columns)") {
      k in
      let (rows, width) = (k.extent("R"), k.extent("D"))
      let inputs = hasRows.enumerated().map { k.input("x\($0)", types[$0], [$1 ? rows : 1, width]) }
      let splits = rows.ceilDiv(Index(length))
      let outputs = function.outputs.indices.map { k.output("y\($0)", .float32, [splits, width]) }
      k.grid([splits, width.ceilDiv(Index(columns))]) { task in
        let (first, column) = (task[0] * Index(length), task[1] * Index(columns))
        func load(_ number: Int, _ row: Index) -> Tile {
          k.load(inputs[number], at: [row, column], columns: columns, as: .float32)
        }
        let used = Set(function.outputs.indices.flatMap { function.dependencies(of: $0) })
        var known: [Int: Tile] = [:]
        for number in used.sorted() where !hasRows[number] { known[number] = load(number, 0) }
        let totals = function.outputs.map { _ in
          k.filled(
            0, rows: 1, columns: columns, validRows: 1, validColumns: (width - column).min(Index(columns)))
        }
        func add(_ row: Index, _ count: Int) {
          let turns = (0..<count).map { turn in
            used.sorted().filter { hasRows[$0] }.reduce(into: known) {
              $0[$1] = load($1, first + row + Index(turn))
            }
          }
          for loaded in turns {
            let values = function.record(k, loaded, nil)
            for (total, node) in zip(totals, function.outputs) {
              if case .tile(let tile) = values[node] { k.assign(total, k.map(.add, total, tile)) }
            }
          }
        }
        let (count, several) = ((rows - first).min(Index(length)), Index(Self.several))
        k.loop(count / several) { step in add(step * several, Self.several) }
        k.loop(count % several) { step in add(count / several * several + step, 1) }
        for (output, total) in zip(outputs, totals) { k.store(total, to: output, at: [task[0], column]) }
      }
    }
  }
}
