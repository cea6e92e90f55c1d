internal import CMicrokernels
internal import Memory
internal import Tiles

/// Turns a recorded kernel into a ``Program``.
///
/// Loads become views of the tensors wherever the consumer can read them in place; index arithmetic is computed once,
/// in the outermost loop where its inputs are known.
struct Lowering {
  var program: Program
  let kernel: Kernel
  /// Instructions of the open scopes: launch, task, then one a loop or condition.
  var scopes: [Scope] = []
  /// Tile register of each recorded tile.
  var slots: [Int: Int] = [:]
  /// How often each tile is written by something other than its load.
  let writes: [Int: Int]
  let reads: [Int: Int]
  /// Element types of tiles that write straight to the tensor they would be stored to.
  var forwardedTypes: [Int: ElementType] = [:]
  /// Loop step of each sum that the loop's first product starts.
  var sumSteps: [Int: Int] = [:]
  /// Registers of constants, filled before the launch.
  var constants: [Int: Int] = [:]
  var problem: ExecutionError?

  /// A stretch of instructions that share the set of known indices.
  struct Scope {
    /// Index arithmetic, run first.
    var preamble: [Instruction] = []
    var body: [Instruction] = []
    /// Register of each index computed here.
    var known: [Expression: Int] = [:]
    /// Loop steps bound here.
    var steps: Set<Int> = []

    /// Preamble and body as one list whose jump targets count from its start.
    var closed: [Instruction] { preamble + body.relocated(by: preamble.count) }
  }

  /// What a register can hold: an index, or a stride and offsets derived from it.
  enum Expression: Hashable {
    case index(Index)
    case stride(tensor: Int, axis: Int)
    case offset(tensor: Int, axis: Int, at: Index)
  }

  init(_ kernel: Kernel) {
    self.kernel = kernel
    program = Program(
      name: kernel.name, tensors: kernel.tensors, order: kernel.order, arguments: kernel.arguments,
      parameterCount: kernel.parameters.count, parameterNames: kernel.parameters)
    program.integers = [Int](repeating: 0, count: kernel.parameters.count)
    program.gridExtents = kernel.grid
    var writes: [Int: Int] = [:]
    kernel.body.countTileWrites(into: &writes)
    self.writes = writes
    var reads: [Int: Int] = [:]
    kernel.body.countTileReads(into: &reads)
    self.reads = reads
  }

  /// Lowers the whole kernel.
  static func lower(_ kernel: Kernel) throws(ExecutionError) -> Program {
    var lowering = Lowering(kernel)
    lowering.run()
    if let problem = lowering.problem { throw problem }
    return lowering.program
  }

  private mutating func run() {
    scopes = [Scope(), Scope()]
    program.gridRegisters = kernel.grid.map { register(of: $0) }
    program.taskRegisters = kernel.grid.indices.map { _ in newInteger() }
    for axis in kernel.grid.indices {
      scopes[1].known[.index(.task(axis))] = program.taskRegisters[axis]
    }
    lower(kernel.body)
    emit(Instruction(code: .end))
    let task = scopes.removeLast().closed
    let launch = scopes.removeLast().closed
    program.prologue = 0
    program.instructions = launch + [Instruction(code: .end)]
    program.taskStart = program.instructions.count
    program.instructions += task.relocated(by: program.taskStart)
  }

  mutating func emit(_ instruction: Instruction) { scopes[scopes.count - 1].body.append(instruction) }

  mutating func fail(_ reason: String) {
    if problem == nil { problem = .invalid(kernel: kernel.name, reason: reason) }
  }

  // MARK: Statements

  mutating func lower(_ statements: [Statement]) {
    var position = 0
    var stored: Int?
    while position < statements.count {
      if let sum = sum(at: position, of: statements) {
        let store = position + 2 < statements.count ? statements[position + 2].operation : nil
        if lowerSum(sum, store: store) { stored = position + 2 }
        position += 1
        continue
      }
      if position == stored {
        position += 1
        continue
      }
      let next = position + 1 < statements.count ? statements[position + 1].operation : nil
      switch statements[position].operation {
      case .map(let program):
        if let next, forwardsStore(from: program, to: next) { position += 1 }
        lowerMap(program)
      case .matmul(let product):
        if let next, forwardsStore(from: product, to: next) { position += 1 }
        lowerMatmul(product)
      case .load(let tile, let reference): lowerLoad(tile, reference)
      case .store(let tile, let reference): lowerStore(tile, reference)
      case .transpose(let tile, let source): lowerTranspose(tile, source)
      case .columns(let tile, let sources, let first): lowerColumns(tile, sources, from: first)
      case .add(let tile, let reference): lowerAdd(tile, reference)
      case .fill(let tile, let value):
        let slot = ownedSlot(tile)
        let bits = Int32(bitPattern: value.bitPattern)
        emit(Instruction(code: .fill, a: Int32(slot), b: bits))
      case .quantize(let tile, let source):
        let slot = ownedSlot(tile)
        emit(Instruction(code: .quantize, a: Int32(slot), b: Int32(self.slot(of: source))))
      case .loop(let step, let count, _, let load, let body): lowerLoop(step, count, load + body)
      case .when(let lower, let upper, let body): lowerWhen(lower, upper, body)
      }
      position += 1
    }
  }

  private mutating func lowerLoop(_ step: Int, _ count: Index, _ body: [Statement]) {
    let counter = newInteger()
    let limit = register(of: count)
    var scope = Scope()
    scope.steps = [step]
    scope.known[.index(.step(step))] = counter
    scopes.append(scope)
    lower(body)
    let inner = scopes.removeLast().closed
    // Targets count from the start of the enclosing body; its preamble is added when that scope closes.
    let first = scopes[scopes.count - 1].body.count + 1
    emit(Instruction(code: .loop, a: Int32(counter), b: Int32(limit), c: Int32(first + inner.count + 1)))
    for instruction in inner.relocated(by: first) { emit(instruction) }
    emit(Instruction(code: .next, a: Int32(counter), b: Int32(limit), c: Int32(first)))
  }

  private mutating func lowerWhen(_ lower: Index, _ upper: Index, _ body: [Statement]) {
    let (a, b) = (register(of: lower), register(of: upper))
    scopes.append(Scope())
    self.lower(body)
    let inner = scopes.removeLast().closed
    let first = scopes[scopes.count - 1].body.count + 1
    emit(Instruction(code: .unlessLess, a: Int32(a), b: Int32(b), c: Int32(first + inner.count)))
    for instruction in inner.relocated(by: first) { emit(instruction) }
  }
}

extension [Instruction] {
  /// The same list, `offset` places further on.
  func relocated(by offset: Int) -> [Instruction] {
    map { instruction in
      var moved = instruction
      switch instruction.code {
      case .loop, .next, .unlessLess: moved.c += Int32(offset)
      default: break
      }
      return moved
    }
  }
}
