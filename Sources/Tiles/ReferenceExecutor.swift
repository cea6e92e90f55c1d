internal import Memory

/// Runs tile programs one element at a time: the definition of every operation, and the judge of the other back ends.
///
/// `Scalar` is the type sums are made in: `Float`, or `Double` for a float64 reference (float64 tensors are then
/// accepted wherever the kernel declares float32). In `checked` mode every read of something never written, every
/// access outside a tensor, and every output element written twice or not at all is an error. Very slow.
public struct ReferenceExecutor<Scalar: BinaryFloatingPoint & Sendable>: Executor {
  /// Whether reads, bounds and coverage are checked.
  public let isChecked: Bool

  /// An executor for tests.
  public init(checked: Bool = true) { isChecked = checked }

  public func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel {
    ReferenceKernel<Scalar>(kernel: kernel, isChecked: isChecked)
  }
}

struct ReferenceKernel<Scalar: BinaryFloatingPoint & Sendable>: CompiledKernel {
  let kernel: Kernel
  let isChecked: Bool

  func run(_ tensors: [Tensor], integers arguments: [Int]) throws(ExecutionError) {
    guard tensors.count == kernel.tensors.count else {
      throw .argumentCount(kernel: kernel.name, expected: kernel.tensors.count, found: tensors.count)
    }
    var run = ReferenceRun<Scalar>(kernel: kernel, tensors: tensors, isChecked: isChecked)
    try run.bind(arguments)
    try run.runGrid()
  }
}

/// A tile's numbers while the reference executor runs a task.
struct ReferenceTile<Scalar: BinaryFloatingPoint> {
  var rows: Int
  var columns: Int
  var values: [Scalar]
  var isWritten: [Bool]
  /// Scales of integer groups, for tiles of `q16_rows`; `values` holds the integers then.
  var scales: [Float] = []

  init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    values = [Scalar](repeating: .nan, count: rows * columns)
    isWritten = [Bool](repeating: false, count: rows * columns)
  }
}

/// State of one launch.
struct ReferenceRun<Scalar: BinaryFloatingPoint> {
  let kernel: Kernel
  let tensors: [Tensor]
  let isChecked: Bool
  var parameters: [Int] = []
  var task: [Int] = []
  var steps: [Int: Int] = [:]
  var tiles: [Int: ReferenceTile<Scalar>] = [:]
  /// How often each element of each output was written.
  var coverage: [Int: [UInt8]] = [:]
  var location = SourceLocation(file: "", line: 0)

  init(kernel: Kernel, tensors: [Tensor], isChecked: Bool) {
    self.kernel = kernel
    self.tensors = tensors
    self.isChecked = isChecked
  }

  func failure(_ reason: String) -> ExecutionError {
    .invalid(kernel: kernel.name, reason: "\(location): task \(task): \(reason)")
  }

  mutating func bind(_ arguments: [Int]) throws(ExecutionError) {
    parameters = [Int](repeating: 0, count: kernel.parameters.count)
    guard arguments.count == kernel.arguments.count else {
      throw .argumentCount(kernel: kernel.name, expected: kernel.arguments.count, found: arguments.count)
    }
    for (number, value) in zip(kernel.arguments, arguments) { parameters[number] = value }
    var bound = Set(kernel.arguments)
    for (parameter, tensor) in zip(kernel.tensors, tensors) {
      let widened = Scalar.self == Double.self && parameter.type == .float32 && tensor.type == .float64
      guard parameter.type == tensor.type || widened else {
        throw .argumentType(
          kernel: kernel.name, tensor: parameter.name, expected: parameter.type.rawValue,
          found: tensor.type.rawValue)
      }
      guard parameter.extents.count == tensor.shape.count else {
        throw .argumentShape(
          kernel: kernel.name, tensor: parameter.name, expected: "\(parameter.extents)", found: tensor.shape)
      }
      for (extent, found) in zip(parameter.extents, tensor.shape) {
        if case .parameter(let number) = extent, bound.insert(number).inserted { parameters[number] = found }
      }
    }
    for (parameter, tensor) in zip(kernel.tensors, tensors) {
      var wanted: [Int] = []
      for extent in parameter.extents { wanted.append(try evaluate(extent)) }
      guard wanted == tensor.shape else {
        throw .argumentShape(
          kernel: kernel.name, tensor: parameter.name, expected: "\(wanted)", found: tensor.shape)
      }
      if isChecked, parameter.access == .output {
        coverage[parameter.number] = [UInt8](repeating: 0, count: tensor.count)
      }
    }
  }

  mutating func runGrid() throws(ExecutionError) {
    var grid: [Int] = []
    for extent in kernel.grid { grid.append(try evaluate(extent)) }
    for number in 0..<grid.reduce(1, *) {
      var rest = number
      task = [Int](repeating: 0, count: grid.count)
      for axis in grid.indices.reversed() {
        task[axis] = rest % grid[axis]
        rest /= grid[axis]
      }
      tiles = [:]
      try run(kernel.body)
    }
    for (number, counts) in coverage.sorted(by: { $0.key < $1.key }) {
      if let missed = counts.firstIndex(of: 0) {
        throw failure("element \(missed) of output \(kernel.tensors[number].name) was never written.")
      }
    }
  }

  mutating func run(_ statements: [Statement]) throws(ExecutionError) {
    for statement in statements {
      location = statement.location
      switch statement.operation {
      case .load(let tile, let reference): try load(tile, reference)
      case .store(let tile, let reference): try store(tile, reference, adds: false)
      case .add(let tile, let reference): try store(tile, reference, adds: true)
      case .fill(let tile, let value):
        var state = try newTile(tile)
        for position in state.values.indices {
          state.values[position] = Scalar(value)
          state.isWritten[position] = true
        }
        tiles[tile.id] = state
      case .matmul(let product): try matmul(product)
      case .map(let program): try map(program)
      case .quantize(let tile, let source): try quantize(tile, from: source)
      case .transpose(let tile, let source):
        var moved = try state(source)
        (moved.rows, moved.columns) = (moved.columns, moved.rows)
        tiles[tile.id] = moved
      case .columns(let tile, let sources, let first): try columns(tile, of: sources, from: first)
      case .loop(let step, let count, _, let load, let body):
        for value in 0..<max(0, try evaluate(count)) {
          steps[step] = value
          try run(load)
          try run(body)
        }
      case .when(let lower, let upper, let body):
        if try evaluate(lower) < evaluate(upper) { try run(body) }
      }
    }
  }

  // MARK: Indices and tiles

  func evaluate(_ index: Index) throws(ExecutionError) -> Int {
    switch index {
    case .constant(let value): return value
    case .parameter(let number): return parameters[number]
    case .task(let axis): return task.indices.contains(axis) ? task[axis] : 0
    case .step(let number):
      guard let value = steps[number] else { throw failure("step \(number) is read outside its loop.") }
      return value
    case .element(let tensor, let at):
      var place: [Int] = []
      for index in at { place.append(try evaluate(index)) }
      return Int(try readElement(tensor, place))
    case .binary(let operation, let a, let b): return operation(try evaluate(a), try evaluate(b))
    }
  }

  /// A tile of the valid size with nothing in it.
  func newTile(_ tile: Tile) throws(ExecutionError) -> ReferenceTile<Scalar> {
    let rows = max(0, try evaluate(tile.validRows))
    let columns = max(0, try evaluate(tile.validColumns))
    guard rows <= tile.rows, columns <= tile.columns else {
      throw failure(
        "\(tile) would have \(rows) valid rows and \(columns) valid columns, more than it can hold.")
    }
    return ReferenceTile(rows: rows, columns: columns)
  }

  func state(_ tile: Tile) throws(ExecutionError) -> ReferenceTile<Scalar> {
    guard let state = tiles[tile.id] else { throw failure("\(tile) is read before it was written.") }
    return state
  }

  func read(_ state: ReferenceTile<Scalar>, _ tile: Tile, _ row: Int, _ column: Int) throws(ExecutionError)
    -> Scalar
  {
    let position = row * state.columns + column
    guard row < state.rows, column < state.columns, state.isWritten[position] || !isChecked else {
      throw failure("element [\(row), \(column)] of \(tile) is read before it was written.")
    }
    return state.values[position]
  }
}
