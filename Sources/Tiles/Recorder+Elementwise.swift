public import Memory

/// What an elementwise operation takes: a tile, a number, or an integer known at run time.
public protocol MapOperand {
  /// The operand in the recorder's terms.
  var mapValue: MapValue { get }
}

/// An operand of an elementwise operation.
public enum MapValue: Sendable, MapOperand {
  /// Elements of a tile, broadcast along its sides of extent 1.
  case tile(Tile)
  /// A number.
  case constant(Float)
  /// An integer known at run time.
  case index(Index)
  /// The element's column, plus an offset.
  case column(offset: Index)
  /// The element's row, plus an offset.
  case row(offset: Index)
  /// A random number within 0 ..< 1.
  case random(RandomSource)

  public var mapValue: MapValue { self }
}

extension Tile: MapOperand { public var mapValue: MapValue { .tile(self) } }
extension Float: MapOperand { public var mapValue: MapValue { .constant(self) } }
extension Double: MapOperand { public var mapValue: MapValue { .constant(Float(self)) } }
extension Index: MapOperand { public var mapValue: MapValue { .index(self) } }

extension Recorder {
  /// Applies a function element by element; tiles are broadcast along sides of extent 1.
  ///
  /// - Returns: a float32 tile as large as the largest operand.
  public func map(
    _ function: MapFunction, _ operands: any MapOperand..., file: String = #fileID, line: Int = #line
  ) -> Tile {
    mapped(function, operands.map(\.mapValue), file, line)
  }

  /// Applies a function element by element, in float32 or in 16 bits, as the machine likes: a machine that has units for pairs of 16-bit
  /// numbers takes half as many instructions, and rounds the result of every function.
  ///
  /// - Parameters:
  ///   - operands: tiles of `type`, and numbers.
  ///   - type: bfloat16 or float16.
  /// - Returns: a tile of that type, as large as the largest operand.
  public func map(
    _ function: MapFunction, _ operands: any MapOperand..., in type: ElementType, file: String = #fileID,
    line: Int = #line
  ) -> Tile {
    mapped(function, operands.map(\.mapValue), in: type, file, line)
  }

  private func mapped(
    _ function: MapFunction, _ operands: [MapValue], in type: ElementType? = nil, _ file: String, _ line: Int
  ) -> Tile {
    let (space, steps, values) = prepare("\(function)", operands, file, line)
    checkNarrow(type, operands, "\(function)", file, line)
    check(
      operands.count == function.arity, "\(function)", file, line,
      "it takes \(function.arity) operands, \(operands.count) were given.")
    let result = makeTile(
      type ?? .float32, rows: space.rows, columns: space.columns, validRows: space.validRows,
      validColumns: space.validColumns)
    let all = steps + [.compute(function, values), .store(value: steps.count, to: result)]
    append(.map(MapProgram(space: space, steps: all, narrowType: type)), file, line)
    define(result, temporary: true)
    return result
  }

  /// Applies a function element by element to operands given as a list.
  public func map(
    _ function: MapFunction, _ operands: [MapValue], file: String = #fileID, line: Int = #line
  ) -> Tile {
    mapped(function, operands, file, line)
  }

  private func checkNarrow(
    _ type: ElementType?, _ operands: [MapValue], _ described: String, _ file: String, _ line: Int
  ) {
    guard let type else { return }
    let suits = operands.allSatisfy {
      switch $0 {
      case .tile(let tile): tile.type == type
      case .constant(let number): type != .float16 || !number.isFinite || abs(number) <= 65_504
      default: false
      }
    }
    check(
      [.bfloat16, .float16].contains(type) && suits, described, file, line,
      "16-bit arithmetic takes tiles of one 16-bit float type, and numbers that it has. Cast its operands to \(type.rawValue)."
    )
  }

  /// Writes `source`, broadcast if need be, to `target`; with `type` as ``map(_:_:in:file:line:)`` does.
  public func assign(
    _ target: Tile, _ source: some MapOperand, in type: ElementType? = nil, file: String = #fileID,
    line: Int = #line
  ) {
    let (_, steps, values) = prepare("assign", [source.mapValue], file, line, space: target)
    checkNarrow(type, [.tile(target), source.mapValue], "assign", file, line)
    let all = steps + [.store(value: values[0], to: target)]
    append(.map(MapProgram(space: target, steps: all, narrowType: type)), file, line)
    define(target)
  }

  /// The source's elements rounded to another scalar type.
  public func cast(_ source: Tile, to type: ElementType, file: String = #fileID, line: Int = #line) -> Tile {
    let result = makeTile(
      type, rows: source.rows, columns: source.columns, validRows: source.validRows,
      validColumns: source.validColumns)
    assign(result, source, file: file, line: line)
    return result
  }

  /// The numbers of a perRow tile `[R, 1]` as a perColumn tile `[1, R]`.
  public func transposed(_ source: Tile, file: String = #fileID, line: Int = #line) -> Tile {
    requireDefined(source, "transposed", file, line)
    check(
      source.type == .float32 && source.columns == 1, "transposed \(source)", file, line,
      "only float32 tiles of one column can be. Pass the transposing flag to a product of matrices instead.")
    let result = makeTile(
      .float32, rows: 1, columns: source.rows, validRows: 1, validColumns: source.validRows)
    append(.transpose(result, from: source), file, line)
    define(result)
    return result
  }

  /// `count` columns of a tile, from column `from` on.
  public func columns(
    of source: Tile, from: Int, count: Int, file: String = #fileID, line: Int = #line
  ) -> Tile {
    requireDefined(source, "columns", file, line)
    check(
      from >= 0 && count > 0 && from + count <= source.columns, "columns of \(source)", file, line,
      "columns \(from)..<\(from + count) are not all there. Ask for some of \(source.columns).")
    let valid = (source.validColumns - Index(from)).min(Index(count)).max(0)
    let result = makeTile(
      source.type, rows: source.rows, columns: count, validRows: source.validRows, validColumns: valid)
    append(.columns(result, of: [source], from: from), file, line)
    define(result)
    return result
  }

  /// Two tiles of one type and as many rows side by side.
  public func beside(_ left: Tile, _ right: Tile, file: String = #fileID, line: Int = #line) -> Tile {
    for source in [left, right] { requireDefined(source, "beside", file, line) }
    check(
      left.type == right.type && left.rows == right.rows && left.validRows == right.validRows
        && left.validColumns.constantValue == left.columns, "\(left) beside \(right)", file, line,
      "they differ in type or rows, or the left one may have columns that are not there. Join whole tiles.")
    let result = makeTile(
      left.type, rows: left.rows, columns: left.columns + right.columns, validRows: left.validRows,
      validColumns: Index(left.columns) + right.validColumns)
    append(.columns(result, of: [left, right], from: 0), file, line)
    define(result)
    return result
  }

  /// Sum along each row: a perRow tile.
  public func rowSum(_ source: Tile, file: String = #fileID, line: Int = #line) -> Tile {
    reduce(.sum, source, into: nil, file, line)
  }

  /// Largest element of each row: a perRow tile; minus infinity for rows without columns.
  public func rowMax(_ source: Tile, file: String = #fileID, line: Int = #line) -> Tile {
    reduce(.max, source, into: nil, file, line)
  }

  /// Adds each row's sum to the perRow tile `total`.
  public func rowSum(_ source: Tile, addingTo total: Tile, file: String = #fileID, line: Int = #line) {
    _ = reduce(.sum, source, into: total, file, line)
  }

  private func reduce(
    _ reduction: MapStep.Reduction, _ source: Tile, into existing: Tile?, _ file: String, _ line: Int
  ) -> Tile {
    let described = "row\(reduction == .sum ? "Sum" : "Max") of \(source)"
    requireDefined(source, described, file, line)
    let result =
      existing
      ?? makeTile(.float32, rows: source.rows, columns: 1, validRows: source.validRows, validColumns: 1)
    if let existing {
      requireDefined(existing, described, file, line)
      check(
        existing.type == .float32 && existing.rows == source.rows && existing.columns == 1
          && existing.validRows == source.validRows, described, file, line,
        "it cannot go into \(existing). Use a float32 tile [\(source.rows), 1].")
    }
    let steps: [MapStep] = [
      .load(source), .reduce(reduction, value: 0, into: result, continuing: existing != nil),
    ]
    append(.map(MapProgram(space: source, steps: steps)), file, line)
    define(result)
    return result
  }

  /// Steps that bring in the operands, the value number of each, and the iteration space.
  private func prepare(
    _ operation: String, _ operands: [MapValue], _ file: String, _ line: Int, space given: Tile? = nil
  ) -> (space: Tile, steps: [MapStep], values: [Int]) {
    let tiles = operands.compactMap { if case .tile(let tile) = $0 { tile } else { nil } }
    let described = "\(operation) of \(tiles.map(\.description).joined(separator: ", "))"
    for tile in tiles {
      requireDefined(tile, described, file, line)
      check(
        !tile.type.isBlocked, described, file, line, "\(tile) is block-quantised. Only matmul reads that.")
    }
    let space = given ?? spanned(by: tiles, described, file, line)
    for tile in tiles {
      let rowsFit = tile.rows == 1 || (tile.rows == space.rows && tile.validRows == space.validRows)
      let columnsFit =
        tile.columns == 1 || (tile.columns == space.columns && tile.validColumns == space.validColumns)
      check(
        rowsFit && columnsFit, described, file, line,
        "\(tile) (valid [\(tile.validRows), \(tile.validColumns)]) does not fit [\(space.rows), \(space.columns)] "
          + "(valid [\(space.validRows), \(space.validColumns)]). Load both over the same extents.")
    }
    var steps: [MapStep] = []
    var values: [Int] = []
    for operand in operands {
      switch operand {
      case .tile(let tile): steps.append(.load(tile))
      case .constant(let value): steps.append(.constant(value))
      case .index(let index): steps.append(.index(index))
      case .random(let source): steps.append(.random(source))
      case .column(let offset), .row(let offset):
        if case .column = operand { steps.append(.column) } else { steps.append(.row) }
        if offset != 0 {
          steps += [.index(offset), .compute(.add, [steps.count - 1, steps.count])]
        }
      }
      values.append(steps.count - 1)
    }
    return (space, steps, values)
  }

  private func spanned(by tiles: [Tile], _ described: String, _ file: String, _ line: Int) -> Tile {
    guard let tallest = tiles.max(by: { $0.rows < $1.rows }),
      let widest = tiles.max(by: { $0.columns < $1.columns })
    else {
      check(
        false, described, file, line,
        "no operand is a tile. Use filled(_:rows:columns:validRows:validColumns:).")
      return Tile(id: -1, type: .float32, rows: 1, columns: 1, validRows: 1, validColumns: 1)
    }
    return Tile(
      id: -1, type: .float32, rows: tallest.rows, columns: widest.columns, validRows: tallest.validRows,
      validColumns: widest.validColumns)
  }
}
