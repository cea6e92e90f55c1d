public import Memory

/// Records a kernel: each call appends an operation to the program and checks it on the spot.
///
/// Swift values (tile sizes, flags, `for`, `if`) are settled while recording; ``Index`` values are known when the
/// kernel runs. Every operation names its place in the source, so a mistake is reported where it was made.
public final class Recorder {
  let name: String
  private(set) var tensors: [TensorParameter] = []
  private(set) var parameters: [String] = []
  /// Where each was recorded.
  private var parameterLocations: [SourceLocation] = []
  private(set) var arguments: [Int] = []
  private(set) var grid: [Index] = []
  private(set) var order = Kernel.TaskOrder.rowMajor
  private(set) var schedule = Kernel.Schedule()
  private(set) var tileCount = 0
  private(set) var problem: TileError?
  private(set) var root: [Statement] = []
  private var blocks: [[Statement]] = []
  private var stepCount = 0
  /// Tiles that hold something, as far as straight-line order shows.
  private var defined: Set<Int> = []
  /// Tiles made by elementwise operations: nobody else can write them, so unread ones need no memory.
  private(set) var temporaries: Set<Int> = []

  /// Tiles that are read seldom.
  private(set) var asides: Set<Int> = []

  init(name: String) { self.name = name }

  // MARK: Parameters

  /// An extent that is read off the tensors given at run time, and must agree among them.
  ///
  /// Record each name once and pass the index on. Some tensor must have it as an axis by itself, since it is read from there.
  public func extent(_ name: String, file: String = #fileID, line: Int = #line) -> Index {
    check(
      !parameters.contains(name), "\(name)", file, line,
      "a parameter of that name is recorded already. Hand it on, or name this one otherwise.")
    parameters.append(name)
    parameterLocations.append(SourceLocation(file: file, line: line))
    return .parameter(parameters.count - 1)
  }

  /// An integer that the caller passes at run time, by a name that no other parameter has.
  public func argument(_ name: String, file: String = #fileID, line: Int = #line) -> Index {
    arguments.append(parameters.count)
    return extent(name, file: file, line: line)
  }

  /// A tensor that the kernel only reads.
  public func input(_ name: String, _ type: ElementType, _ extents: [Index]) -> TensorParameter {
    parameter(name, type, extents, .input)
  }

  /// A tensor of which the kernel writes every element exactly once.
  public func output(_ name: String, _ type: ElementType, _ extents: [Index]) -> TensorParameter {
    parameter(name, type, extents, .output)
  }

  /// A tensor that the kernel reads and writes in parts.
  public func update(_ name: String, _ type: ElementType, _ extents: [Index]) -> TensorParameter {
    parameter(name, type, extents, .update)
  }

  /// A tensor for tiles that a task keeps, and reads as it wrote them: its last two axes are one tile, what it held before is lost,
  /// and what it holds afterwards means nothing.
  public func scratch(_ name: String, _ type: ElementType, _ extents: [Index]) -> TensorParameter {
    parameter(name, type, extents, .scratch)
  }

  private func parameter(
    _ name: String, _ type: ElementType, _ extents: [Index], _ access: TensorParameter.Access
  ) -> TensorParameter {
    tensors.append(
      TensorParameter(number: tensors.count, name: name, type: type, extents: extents, access: access))
    return tensors[tensors.count - 1]
  }

  // MARK: Control

  /// Sets the grid and records what each of its tasks does.
  public func grid(
    _ extents: [Index], order: Kernel.TaskOrder = .rowMajor, schedule: Kernel.Schedule = Kernel.Schedule(),
    file: String = #fileID, line: Int = #line, _ body: ([Index]) -> Void
  ) {
    check(grid.isEmpty, "grid", file, line, "a kernel has one grid. Record a second kernel.")
    grid = extents
    self.order = order
    self.schedule = schedule
    root = block { body(extents.indices.map { .task($0) }) }
  }

  /// Repeats `body` for each step from 0 up to `count`.
  public func loop(
    _ count: Index, file: String = #fileID, line: Int = #line, _ body: (Index) -> Void
  ) {
    pipeline(
      steps: count, stages: 1, file: file, line: line, load: { _ in [] }, compute: { step, _ in body(step) })
  }

  /// Repeats `compute` for each step from 0 up to `steps` on the tiles that `load` brings in.
  ///
  /// Loading and computing are separate so that a back end can load up to `stages` steps ahead; what follows the
  /// pipeline in the task is its finish.
  public func pipeline(
    steps: Index, stages: Int, file: String = #fileID, line: Int = #line, load: (Index) -> [Tile],
    compute: (Index, [Tile]) -> Void
  ) {
    check(stages >= 1, "pipeline", file, line, "\(stages) stages. Use 1 or more.")
    let step = Index.step(stepCount)
    stepCount += 1
    var tiles: [Tile] = []
    let loads = block { tiles = load(step) }
    for statement in loads {
      if case .load = statement.operation { continue }
      check(false, "pipeline", file, line, "the load part does more than load. Move that to compute.")
    }
    let body = block { compute(step, tiles) }
    guard case .step(let number) = step else { return }
    append(.loop(step: number, count: steps, stages: stages, load: loads, body: body), file, line)
  }

  /// Does `body` only where `lower` < `upper`.
  public func when(
    _ lower: Index, lessThan upper: Index, file: String = #fileID, line: Int = #line, _ body: () -> Void
  ) {
    let statements = block(body)
    append(.when(less: lower, than: upper, body: statements), file, line)
  }

  /// Says that a tile which only elementwise operations touch, of 16-bit numbers or of a number a row, is read seldom: where
  /// registers are scarce, a back end keeps it elsewhere.
  public func setAside(_ tile: Tile) { asides.insert(tile.id) }

  private func block(_ body: () -> Void) -> [Statement] {
    blocks.append([])
    body()
    return blocks.removeLast()
  }

  func finish() {
    check(!grid.isEmpty, "kernel", "", 0, "no grid was recorded. Call grid(_:).")
    for (number, name) in parameters.enumerated() where !arguments.contains(number) {
      let location = parameterLocations[number]
      check(
        tensors.contains { $0.extents.contains(.parameter(number)) }, "\(name)", location.file, location.line,
        "no tensor has that extent, so it would be 0. Give it to one, or pass it as an argument.")
    }
    root = Fusion(body: root, temporaries: temporaries).fused(root)
  }

  // MARK: Bookkeeping shared by the operations

  func append(_ operation: Operation, _ file: String, _ line: Int) {
    guard !blocks.isEmpty else {
      check(false, "\(operation.name)", file, line, "it stands outside the grid. Move it into grid(_:).")
      return
    }
    blocks[blocks.count - 1].append(
      Statement(operation: operation, location: SourceLocation(file: file, line: line)))
  }

  func makeTile(
    _ type: ElementType, rows: Int, columns: Int, validRows: Index, validColumns: Index
  ) -> Tile {
    tileCount += 1
    return Tile(
      id: tileCount - 1, type: type, rows: rows, columns: columns, validRows: validRows,
      validColumns: validColumns)
  }

  func define(_ tile: Tile, temporary: Bool = false) {
    defined.insert(tile.id)
    if temporary { temporaries.insert(tile.id) }
  }

  func requireDefined(_ tile: Tile, _ operation: String, _ file: String, _ line: Int) {
    check(
      defined.contains(tile.id), operation, file, line,
      "\(tile) is read before anything was written to it. Load, fill or assign it first.")
  }

  /// Notes the first thing that is wrong; recording goes on so that the caller need not handle it at each call.
  func check(
    _ condition: Bool, _ operation: @autoclosure () -> String, _ file: String, _ line: Int,
    _ problem: @autoclosure () -> String
  ) {
    guard !condition, self.problem == nil else { return }
    self.problem = TileError(
      kernel: name, operation: operation(), location: "\(file):\(line)", problem: problem())
  }
}

extension Operation {
  /// The operation's name in messages.
  var name: String {
    switch self {
    case .load: "load"
    case .store: "store"
    case .add: "add"
    case .fill: "fill"
    case .matmul: "matmul"
    case .map: "map"
    case .quantize: "quantize"
    case .transpose: "transpose"
    case .columns: "columns"
    case .loop: "loop"
    case .when: "when"
    }
  }
}
