internal import Memory
internal import Tiles

extension BlockLowering {
  /// A chain of steps: a warp a row where rows are reduced, otherwise a thread an element.
  mutating func printMap(_ program: MapProgram) {
    let reductions = program.reductions
    code.open("")
    code.line(
      "const int rows = max(0, \(index(program.space.validRows))), columns = max(0, \(index(program.space.validColumns)));"
    )
    if reductions.isEmpty {
      code.line("#pragma unroll 1")
      code.open("for (int e = thread; e < rows * columns; e += \(Self.threads))")
      code.line("const int row = e / columns, column = e - row * columns;")
      printSteps(program)
      code.close()
    } else {
      code.line("#pragma unroll 1")
      code.open("for (int row = warp; row < rows; row += \(Self.threads / 32))")
      for (number, reduction) in reductions.enumerated() {
        code.line("float sum\(number) = \(reduction.kind.identity);")
      }
      code.line("#pragma unroll 1")
      code.open("for (int column = lane; column < columns; column += 32)")
      printSteps(program)
      code.close()
      for (number, reduction) in reductions.enumerated() {
        let total = "sum\(number)"
        code.line("\(total) = lanes_\(reduction.kind.name)<32>(\(total));")
        let result =
          reduction.continuing
          ? reduction.kind.combined(read(reduction.tile, "row", "0"), total) : total
        code.line("if (lane == 0) \(write(reduction.tile, "row", "0", result))")
      }
      code.close()
    }
    code.close()
    code.line("__syncthreads();")
  }

  private mutating func printSteps(_ program: MapProgram) {
    var values: [String] = []
    var reduction = 0
    for step in program.steps {
      let name = "v\(values.count)"
      switch step {
      case .load(let tile): code.line("const float \(name) = \(read(tile, "row", "column"));")
      case .index(let value): code.line("const float \(name) = (float)\(index(value));")
      case .constant(let value): code.line("const float \(name) = \(value.printed);")
      case .column: code.line("const float \(name) = (float)column;")
      case .row: code.line("const float \(name) = (float)row;")
      case .random(let source):
        code.line(
          "const float \(name) = random_at(\(index(source.seed)), \(index(source.stream)), \(index(source.row)) + row, column);"
        )
      case .compute(let function, let sources):
        code.line("const float \(name) = \(function.printed(sources.map { values[$0] }));")
      case .store(let value, let tile): code.line(write(tile, "row", "column", values[value]))
      case .reduce(let kind, let value, _, _):
        code.line("sum\(reduction) = \(kind.combined("sum\(reduction)", values[value]));")
        reduction += 1
      }
      if step.definesValue { values.append(name) }
    }
  }

  /// A product: pieces of both factors go through shared memory, sums are chains in order of the inner index.
  mutating func printMatmul(_ product: Matmul) {
    let (left, right, sum) = (product.left, product.right, product.accumulator)
    let rows = product.transposesLeft ? self.columns(left) : self.rows(left)
    let columns = product.transposesRight ? self.rows(right) : self.columns(right)
    let inner = product.transposesLeft ? self.rows(left) : self.columns(left)
    let a = product.transposesLeft ? read(left, "step", "row") : read(left, "row", "step")
    let b = product.transposesRight ? read(right, "column", "step") : read(right, "step", "column")
    code.line("m\(sum.id) = \(rows), n\(sum.id) = \(columns);")
    code.line(
      "multiply<\(product.continuing), \(!product.transposesLeft), \(product.transposesRight)>((float *)memory, \(rows), \(columns), \(inner),"
    )
    code.line("  [&](int row, int step) { return \(product.subtracting ? "-" : "")\(a); },")
    code.line("  [&](int step, int column) { return \(b); },")
    code.line("  (float *)\(address(sum)), \(sum.columns));")
    code.line("__syncthreads();")
  }
}
