internal import Memory

#if canImport(Glibc)
  internal import Glibc
#endif

extension ReferenceRun {
  mutating func matmul(_ product: Matmul) throws(ExecutionError) {
    let left = try state(product.left)
    let right = try state(product.right)
    var result = try product.continuing ? state(product.accumulator) : newTile(product.accumulator)
    let inner = product.transposesLeft ? left.rows : left.columns
    guard inner == (product.transposesRight ? right.columns : right.rows) else {
      throw failure("inner sides of \(product.left) and \(product.right) differ.")
    }
    result.rows = product.transposesLeft ? left.columns : left.rows
    result.columns = product.transposesRight ? right.rows : right.columns
    if !product.continuing { result = ReferenceTile(rows: result.rows, columns: result.columns) }
    for row in 0..<result.rows {
      for column in 0..<result.columns {
        var sum = product.continuing ? try read(result, product.accumulator, row, column) : 0
        for step in 0..<inner {
          var a =
            try product.transposesLeft
            ? read(left, product.left, step, row) : read(left, product.left, row, step)
          if product.subtracting { a = -a }
          if !left.scales.isEmpty { a *= Scalar(left.scales[row * (left.columns / 32) + step / 32]) }
          let b =
            try product.transposesRight
            ? read(right, product.right, column, step) : read(right, product.right, step, column)
          sum = sum.addingProduct(a, b)
        }
        result.values[row * result.columns + column] = sum
        result.isWritten[row * result.columns + column] = true
      }
    }
    tiles[product.accumulator.id] = result
  }

  /// Elements that no source has stay unwritten.
  mutating func columns(_ tile: Tile, of sources: [Tile], from first: Int) throws(ExecutionError) {
    var result = try newTile(tile)
    var start = -first
    for source in sources {
      let input = try state(source)
      for row in 0..<min(result.rows, input.rows) {
        for column in max(0, -start)..<max(0, -start, min(input.columns, result.columns - start)) {
          let (to, from) = (row * result.columns + start + column, row * input.columns + column)
          (result.values[to], result.isWritten[to]) = (input.values[from], input.isWritten[from])
        }
      }
      start += source.columns
    }
    tiles[tile.id] = result
  }

  mutating func quantize(_ tile: Tile, from source: Tile) throws(ExecutionError) {
    let input = try state(source)
    var result = try newTile(tile)
    for row in 0..<result.rows {
      for group in 0..<result.columns / 32 {
        var values: [Float] = []
        for column in 0..<32 { values.append(Float(try read(input, source, row, group * 32 + column))) }
        let largest = values.reduce(0) { Swift.max($0, abs($1)) }
        let isZero = largest < 0x1p-100
        result.scales.append(isZero ? 0 : largest / 32767)
        for (column, value) in values.enumerated() {
          let position = row * result.columns + group * 32 + column
          let whole = isZero ? 0 : (value * (32767 / largest)).rounded(.toNearestOrEven)
          result.values[position] = Scalar(Swift.min(32767, Swift.max(-32767, whole)))
          result.isWritten[position] = true
        }
      }
    }
    tiles[tile.id] = result
  }

  mutating func map(_ program: MapProgram) throws(ExecutionError) {
    let rows = max(0, try evaluate(program.space.validRows))
    let columns = max(0, try evaluate(program.space.validColumns))
    for tile in program.tilesWritten {
      let isContinued = program.tilesRead.contains { $0.id == tile.id }
      if !isContinued { tiles[tile.id] = try newTile(tile) }
    }
    for row in 0..<rows {
      var totals: [Int: Scalar] = [:]
      for column in 0..<columns { try mapElement(program, row, column, &totals) }
      try finishReductions(program, row, totals)
    }
  }

  private mutating func mapElement(
    _ program: MapProgram, _ row: Int, _ column: Int, _ totals: inout [Int: Scalar]
  ) throws(ExecutionError) {
    var values: [Scalar] = []
    for (position, step) in program.steps.enumerated() {
      switch step {
      case .load(let tile):
        let (r, c) = (tile.rows == 1 ? 0 : row, tile.columns == 1 ? 0 : column)
        values.append(try read(state(tile), tile, r, c))
      case .index(let index): values.append(Scalar(try evaluate(index)))
      case .constant(let value): values.append(Scalar(value))
      case .column: values.append(Scalar(column))
      case .row: values.append(Scalar(row))
      case .random(let source):
        let number = Philox.uniform(
          seed: try evaluate(source.seed), stream: try evaluate(source.stream),
          row: try evaluate(source.row) + row, column: column)
        values.append(Scalar(number))
      case .compute(let function, let sources): values.append(function.apply(sources.map { values[$0] }))
      case .store(let value, let tile):
        guard var target = tiles.removeValue(forKey: tile.id) else {
          throw failure("\(tile) has no memory.")
        }
        target.values[row * target.columns + column] = Self.rounded(values[value], to: tile.type)
        target.isWritten[row * target.columns + column] = true
        tiles[tile.id] = target
      case .reduce(let reduction, let value, _, _):
        let sofar = totals[position]
        totals[position] = sofar.map { reduction.combine($0, values[value]) } ?? values[value]
      }
    }
  }

  private mutating func finishReductions(
    _ program: MapProgram, _ row: Int, _ totals: [Int: Scalar]
  ) throws(ExecutionError) {
    for (position, step) in program.steps.enumerated() {
      guard case .reduce(let reduction, _, let tile, let continuing) = step else { continue }
      let identity: Scalar = reduction == .sum ? 0 : -.infinity
      var total = totals[position] ?? identity
      if continuing { total = reduction.combine(try read(state(tile), tile, row, 0), total) }
      tiles[tile.id]?.values[row] = total
      tiles[tile.id]?.isWritten[row] = true
    }
  }
}

extension MapStep.Reduction {
  /// Two partial results as one; NaN wins.
  func combine<Scalar: BinaryFloatingPoint>(_ a: Scalar, _ b: Scalar) -> Scalar {
    switch self {
    case .sum: a + b
    case .max: a.isNaN || b.isNaN ? .nan : Swift.max(a, b)
    }
  }
}

extension MapFunction {
  /// The function of as many values as its arity, computed through `Double`.
  func apply<Scalar: BinaryFloatingPoint>(_ values: [Scalar]) -> Scalar {
    let x = values[0]
    func through(_ function: (Double) -> Double) -> Scalar { Scalar(function(Double(x))) }
    switch self {
    case .add: return x + values[1]
    case .subtract: return x - values[1]
    case .multiply: return x * values[1]
    case .divide: return x / values[1]
    case .min: return x.isNaN || values[1].isNaN ? .nan : Swift.min(x, values[1])
    case .max: return x.isNaN || values[1].isNaN ? .nan : Swift.max(x, values[1])
    case .fma: return values[2].addingProduct(x, values[1])
    case .selectGreaterEqual: return x >= values[1] ? values[2] : values[3]
    case .negate: return -x
    case .abs: return Swift.abs(x)
    case .sqrt: return x.squareRoot()
    case .rsqrt: return 1 / x.squareRoot()
    case .reciprocal: return 1 / x
    case .exp: return through(Glibc.exp)
    case .exp2: return through(Glibc.exp2)
    case .log: return through(Glibc.log)
    case .tanh: return through(Glibc.tanh)
    case .erf: return through(Glibc.erf)
    case .sigmoid: return through { 1 / (1 + Glibc.exp(-$0)) }
    case .sin: return through(Glibc.sin)
    case .cos: return through(Glibc.cos)
    case .atan2: return Scalar(Glibc.atan2(Double(x), Double(values[1])))
    }
  }
}
