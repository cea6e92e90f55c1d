internal import CMicrokernels
internal import Memory
internal import Tiles

/// A tile as an elementwise program sees it: its register, its shape and what its numbers are.
struct MapPiece {
  var slot: Int
  var tile: Tile
  var type: ElementType
}

extension Lowering {
  /// Number of strip registers of the microkernel.
  static let stripRegisters = 16

  mutating func lowerMap(_ map: MapProgram) {
    // Tiles this program defines need their memory (and valid part) before it runs.
    for tile in map.tilesWrittenFirst where slots[tile.id] == nil { _ = ownedSlot(tile) }
    var chain = Chain(space: map.space)
    var last: [Int: Int] = [:]
    for (position, step) in map.steps.enumerated() {
      for value in step.valuesUsed { last[value] = position }
    }
    var registers: [Int: UInt16] = [:]
    var free = Array((0..<UInt16(Self.stripRegisters)).reversed())
    var value = 0
    for (position, step) in map.steps.enumerated() {
      let sources = step.valuesUsed.map { registers[$0] ?? 0 }
      for used in Set(step.valuesUsed) where last[used] == position {
        if let register = registers.removeValue(forKey: used) { free.append(register) }
      }
      var target: UInt16 = 0
      if step.definesValue {
        guard let register = free.popLast() else { return fail("a chain holds too many values at once.") }
        target = register
        if last[value] == nil { free.append(register) } else { registers[value] = register }
        value += 1
      }
      append(step, target: target, sources: sources, to: &chain)
    }
    emit(chain)
  }

  /// Copies and converts the elements of one tile to another.
  mutating func emitCopy(from source: MapPiece, to target: MapPiece, rows: Index, columns: Index) {
    let tile = target.tile
    var chain = Chain(
      space: Tile(
        id: -1, type: .float32, rows: tile.rows, columns: tile.columns, validRows: rows, validColumns: columns
      ))
    let from = chain.operand(source, self)
    chain.ops.append(gw_map_op(code: GW_LOAD, operand: from))
    let to = chain.operand(target, self)
    chain.ops.append(gw_map_op(code: GW_STORE, operand: to))
    emit(chain)
  }

  /// An elementwise program under construction.
  struct Chain {
    var space: Tile
    var ops: [gw_map_op] = []
    var operands: [MapOperandPlan] = []
    var canTranspose = true

    init(space: Tile) { self.space = space }

    mutating func operand(_ piece: MapPiece, _ lowering: Lowering) -> UInt16 {
      let plan = MapOperandPlan(
        register: piece.slot, isInteger: false, broadcastsRows: piece.tile.rows == 1 && space.rows > 1,
        broadcastsColumns: piece.tile.columns == 1 && space.columns > 1,
        type: Int32((piece.type.microkernelType ?? GW_F32).rawValue))
      return add(plan)
    }

    /// The integer in a register.
    mutating func integer(_ register: Int) -> UInt16 {
      let plan = MapOperandPlan(
        register: register, isInteger: true, broadcastsRows: true, broadcastsColumns: true,
        type: Int32(GW_I32.rawValue))
      return add(plan)
    }

    mutating func add(_ plan: MapOperandPlan) -> UInt16 {
      operands.append(plan)
      return UInt16(operands.count - 1)
    }
  }

  private func piece(_ tile: Tile) -> MapPiece {
    MapPiece(slot: slot(of: tile), tile: tile, type: forwardedTypes[tile.id] ?? tile.type)
  }

  private mutating func append(_ step: MapStep, target: UInt16, sources: [UInt16], to chain: inout Chain) {
    switch step {
    case .load(let tile):
      if tile.type.microkernelType == nil || tile.type.isBlocked {
        fail("\(tile) cannot be read element by element. Load it as float32.")
      }
      let operand = chain.operand(piece(tile), self)
      chain.ops.append(gw_map_op(code: GW_LOAD, target: target, operand: operand))
    case .index(let index):
      let operand = chain.integer(register(of: index))
      chain.ops.append(gw_map_op(code: GW_LOAD, target: target, operand: operand))
    case .constant(let value):
      chain.ops.append(gw_map_op(code: GW_CONST, target: target, immediate: value))
    case .column:
      chain.canTranspose = false
      chain.ops.append(gw_map_op(code: GW_COLUMN, target: target))
    case .row:
      chain.canTranspose = false
      chain.ops.append(gw_map_op(code: GW_ROW, target: target))
    case .random(let source):
      chain.canTranspose = false
      let operands = [source.seed, source.stream, source.row].map { chain.integer(register(of: $0)) }
      chain.ops.append(gw_map_op(code: GW_RANDOM, target: target, operand: operands[0]))
    case .compute(let function, let values):
      precondition(values.count == sources.count, "a step lost an operand")
      chain.ops.append(gw_map_op(code: function.code, target: target, sources: sources))
    case .store(_, let tile):
      let operand = chain.operand(piece(tile), self)
      chain.ops.append(gw_map_op(code: GW_STORE, sources: sources, operand: operand))
    case .reduce(let reduction, _, let tile, let continuing):
      chain.canTranspose = false
      let operand = chain.operand(piece(tile), self)
      chain.ops.append(
        gw_map_op(
          code: reduction == .sum ? GW_ROW_SUM : GW_ROW_MAX, sources: sources, operand: operand,
          immediate: continuing ? 1 : 0))
    }
  }

  private mutating func emit(_ chain: Chain) {
    let plan = MapPlan(
      firstOp: program.ops.count, opCount: chain.ops.count, firstOperand: program.operands.count,
      operandCount: chain.operands.count, rows: register(of: chain.space.validRows),
      columns: register(of: chain.space.validColumns),
      isTransposed: chain.canTranspose && chain.space.columns == 1 && chain.space.rows > 1)
    program.maps.append(plan)
    program.ops += chain.ops
    program.operands += chain.operands
    program.operandScratch = max(program.operandScratch, chain.operands.count)
    emit(Instruction(code: .map, a: Int32(program.maps.count - 1)))
  }
}

extension MapProgram {
  /// Tiles written by the program, in order.
  fileprivate var tilesWrittenFirst: [Tile] {
    steps.compactMap { step in
      switch step {
      case .store(_, let tile), .reduce(_, _, let tile, _): tile
      default: nil
      }
    }
  }
}

extension gw_map_op {
  /// An operation in the microkernel's encoding; the fourth source travels in the operand field.
  init(
    code: gw_map_opcode, target: UInt16 = 0, sources: [UInt16] = [], operand: UInt16? = nil,
    immediate: Float = 0
  ) {
    func source(_ position: Int) -> UInt16 { position < sources.count ? sources[position] : 0 }
    self.init(
      op: UInt16(code.rawValue), dst: target, a: source(0), b: source(1), c: source(2),
      operand: operand ?? source(3), imm: immediate)
  }
}

extension MapFunction {
  /// The microkernel's number of the function.
  var code: gw_map_opcode {
    switch self {
    case .add: GW_ADD
    case .subtract: GW_SUB
    case .multiply: GW_MUL
    case .divide: GW_DIV
    case .min: GW_MIN
    case .max: GW_MAX
    case .fma: GW_FMA
    case .selectGreaterEqual: GW_SELECT_GE
    case .negate: GW_NEG
    case .abs: GW_ABS
    case .sqrt: GW_SQRT
    case .rsqrt: GW_RSQRT
    case .reciprocal: GW_RECIP
    case .exp: GW_EXP
    case .exp2: GW_EXP2
    case .log: GW_LOG
    case .tanh: GW_TANH
    case .erf: GW_ERF
    case .sigmoid: GW_SIGMOID
    case .sin: GW_SIN
    case .cos: GW_COS
    case .atan2: GW_ATAN2
    }
  }
}
