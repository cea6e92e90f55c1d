internal import Memory
internal import Tiles

/// Cuts a task whose tiles do not fit into slabs that run one after the other.
///
/// Sides of tiles that must be cut together form a class; one may be cut if no sum runs along it.
struct Slabs {
  private let body: [Statement]
  private let step: Int
  private var parent: [Int: Int] = [:]
  private var tiles: [Int: Tile] = [:]
  private var uncut: [Int] = []
  private var isPossible = true

  /// - Parameters:
  ///   - body: what a task does.
  ///   - stepCount: number that the loop over slabs may have.
  init(body: [Statement], stepCount: Int) {
    self.body = body
    step = stepCount
    body.forEachOperation { collect($0) }
  }

  /// The body with the side whose tiles take most room cut in two or more; `nil` where none can be.
  func halved() -> [Statement]? {
    guard isPossible else { return nil }
    let closed = Set(uncut.map(root))
    var weights: [Int: (bytes: Int, extent: Int)] = [:]
    for tile in tiles.values {
      for (side, extent) in [(rowSide(tile), tile.rows), (columnSide(tile), tile.columns)] where extent > 1 {
        let known = weights[root(side)]
        weights[root(side)] = ((known?.bytes ?? 0) + tile.sharedBytes, max(known?.extent ?? 0, extent))
      }
    }
    let best = weights.filter { !closed.contains($0.key) && $0.value.extent >= 16 }.max {
      ($0.value.bytes, $0.key) < ($1.value.bytes, $1.key)
    }
    guard let best else { return nil }
    // Groups of 32 stay whole.
    let size = max(8, (best.value.extent / 2 + 31) / 32 * 32)
    guard size < best.value.extent else { return nil }
    let cut = body.map { statement in
      var statement = statement
      statement.operation = self.cut(statement.operation, best.key, size)
      return statement
    }
    guard let location = body.first?.location else { return nil }
    let count = Index(best.value.extent).ceilDiv(Index(size))
    return [
      Statement(
        operation: .loop(step: step, count: count, stages: 1, load: [], body: cut), location: location)
    ]
  }

  private func rowSide(_ tile: Tile) -> Int { 2 * tile.id }
  private func columnSide(_ tile: Tile) -> Int { 2 * tile.id + 1 }

  private func root(_ side: Int) -> Int { parent[side].map(root) ?? side }

  private mutating func join(_ a: Int, _ b: Int) {
    let (a, b) = (root(a), root(b))
    if a != b { parent[a] = b }
  }

  private mutating func collect(_ operation: Tiles.Operation) {
    for tile in operation.tiles { tiles[tile.id] = tile }
    switch operation {
    case .add: isPossible = false
    case .load(_, let reference) where reference.tensor.access != .input: isPossible = false
    case .matmul(let product):
      let (left, right) = (product.left, product.right)
      join(
        rowSide(product.accumulator), product.transposesLeft ? columnSide(left) : rowSide(left))
      join(
        columnSide(product.accumulator), product.transposesRight ? rowSide(right) : columnSide(right))
      uncut += [
        product.transposesLeft ? rowSide(left) : columnSide(left),
        product.transposesRight ? columnSide(right) : rowSide(right),
      ]
    case .quantize(let tile, let source):
      join(rowSide(tile), rowSide(source))
      join(columnSide(tile), columnSide(source))
    case .transpose(let tile, let source):
      join(columnSide(tile), rowSide(source))
    case .columns(let tile, let sources, _):
      for source in sources { join(rowSide(tile), rowSide(source)) }
      uncut += ([tile] + sources).map(columnSide)
    case .map(let program): collect(program)
    default: break
    }
  }

  private mutating func collect(_ program: MapProgram) {
    let all = program.tilesRead + program.tilesWritten
    let rows = all.filter { $0.rows == program.space.rows && $0.rows > 1 }
    let columns = all.filter { $0.columns == program.space.columns && $0.columns > 1 }
    for tile in rows.dropFirst() { join(rowSide(tile), rowSide(rows[0])) }
    for tile in columns.dropFirst() { join(columnSide(tile), columnSide(columns[0])) }
    let isRandom = program.steps.contains { if case .random = $0 { true } else { false } }
    if isRandom || !program.reductions.isEmpty { uncut += columns.map(columnSide) }
  }

  // MARK: Cutting

  private func cut(_ tile: Tile, _ side: Int, _ size: Int) -> Tile {
    func valid(_ index: Index) -> Index { (index - .step(step) * Index(size)).min(Index(size)).max(0) }
    let (down, across) = (isCut(rowSide(tile), tile.rows, side), isCut(columnSide(tile), tile.columns, side))
    return Tile(
      id: tile.id, type: tile.type, rows: down ? min(size, tile.rows) : tile.rows,
      columns: across ? min(size, tile.columns) : tile.columns,
      validRows: down ? valid(tile.validRows) : tile.validRows,
      validColumns: across ? valid(tile.validColumns) : tile.validColumns)
  }

  private func isCut(_ tileSide: Int, _ extent: Int, _ side: Int) -> Bool {
    extent > 1 && root(tileSide) == side
  }

  private func cut(_ tile: Tile, _ reference: TileReference, _ side: Int, _ size: Int) -> TileReference {
    var origin = reference.origin
    if let axis = reference.rowAxis, isCut(rowSide(tile), tile.rows, side) {
      origin[axis] = origin[axis] + .step(step) * Index(size)
    }
    if let axis = reference.columnAxis, isCut(columnSide(tile), tile.columns, side) {
      origin[axis] = origin[axis] + .step(step) * Index(size)
    }
    return TileReference(
      tensor: reference.tensor, origin: origin, rowAxis: reference.rowAxis, columnAxis: reference.columnAxis,
      paddedAxis: reference.paddedAxis, fold: reference.fold)
  }

  private func cut(_ body: [Statement], _ side: Int, _ size: Int) -> [Statement] {
    body.map { statement in
      var statement = statement
      statement.operation = cut(statement.operation, side, size)
      return statement
    }
  }

  private func cut(_ operation: Tiles.Operation, _ side: Int, _ size: Int) -> Tiles.Operation {
    func cut(_ tile: Tile) -> Tile { self.cut(tile, side, size) }
    switch operation {
    case .load(let tile, let reference): return .load(cut(tile), from: self.cut(tile, reference, side, size))
    case .store(let tile, let reference): return .store(cut(tile), to: self.cut(tile, reference, side, size))
    case .add(let tile, let reference): return .add(cut(tile), to: self.cut(tile, reference, side, size))
    case .fill(let tile, let value): return .fill(cut(tile), value)
    case .transpose(let tile, let source): return .transpose(cut(tile), from: cut(source))
    case .columns(let tile, let sources, let first):
      return .columns(cut(tile), of: sources.map(cut), from: first)
    case .quantize(let tile, let source): return .quantize(cut(tile), from: cut(source))
    case .matmul(let product): return .matmul(product.replacingTiles(cut))
    case .map(let program): return .map(self.cut(program, side, size))
    case .loop(let step, let count, let stages, let load, let body):
      return .loop(
        step: step, count: count, stages: stages, load: self.cut(load, side, size),
        body: self.cut(body, side, size))
    case .when(let lower, let upper, let body):
      return .when(less: lower, than: upper, body: self.cut(body, side, size))
    }
  }

  private func cut(_ program: MapProgram, _ side: Int, _ size: Int) -> MapProgram {
    let all = program.tilesRead + program.tilesWritten
    let row = all.first { $0.rows == program.space.rows && $0.rows > 1 }
    let column = all.first { $0.columns == program.space.columns && $0.columns > 1 }
    let tall = row.map { cut($0, side, size) }
    let wide = column.map { cut($0, side, size) }
    let start = Index.step(step) * Index(size)
    var result = program
    result.steps = program.replacingSteps { step in
      switch step {
      case .load(let tile): [.load(cut(tile, side, size))]
      case .store(let value, let tile): [.store(value: value, to: cut(tile, side, size))]
      case .reduce(let kind, let value, let tile, let continuing):
        [.reduce(kind, value: value, into: cut(tile, side, size), continuing: continuing)]
      case .row where tall != row: [.row, .index(start)]
      case .column where wide != column: [.column, .index(start)]
      case .random(var source) where tall != row:
        {
          source.row = source.row + start
          return [.random(source)]
        }()
      default: [step]
      }
    }
    result.space = Tile(
      id: program.space.id, type: program.space.type, rows: tall?.rows ?? program.space.rows,
      columns: wide?.columns ?? program.space.columns, validRows: tall?.validRows ?? program.space.validRows,
      validColumns: wide?.validColumns ?? program.space.validColumns)
    return result
  }
}

extension MapProgram {
  /// The steps with some exchanged: for a step, or for two that define values, whose sum then takes its place.
  fileprivate func replacingSteps(_ replacement: (MapStep) -> [MapStep]) -> [MapStep] {
    var result: [MapStep] = []
    var numbers: [Int] = []
    var defined = 0
    for step in steps {
      let renumbered: MapStep =
        switch step {
        case .compute(let function, let values): .compute(function, values.map { numbers[$0] })
        case .store(let value, let tile): .store(value: numbers[value], to: tile)
        case .reduce(let kind, let value, let tile, let continuing):
          .reduce(kind, value: numbers[value], into: tile, continuing: continuing)
        default: step
        }
      let parts = replacement(renumbered)
      result += parts
      if parts.count == 2 {
        result.append(.compute(.add, [defined, defined + 1]))
        defined += 2
      }
      if step.definesValue {
        numbers.append(defined)
        defined += 1
      }
    }
    return result
  }
}
