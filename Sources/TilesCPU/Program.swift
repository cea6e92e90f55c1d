internal import CMicrokernels
internal import Tiles

/// A tile program lowered for the CPU: flat arrays of plain values, nothing to allocate, retain or look up while it runs.
struct Program {
  let name: String
  let tensors: [TensorParameter]
  let order: Kernel.TaskOrder
  /// Integer registers that the caller passes.
  let arguments: [Int]
  let parameterCount: Int
  let parameterNames: [String]
  var instructions: [Instruction] = []
  /// First instruction of the part that runs once a worker and launch, and of the part that runs for each task.
  var prologue = 0
  var taskStart = 0
  /// Initial integer registers: parameters, then constants and strides as they were asked for.
  var integers: [Int] = []
  /// Registers filled with a tensor's stride at launch.
  var strides: [(register: Int, tensor: Int, axis: Int)] = []
  /// Axes that must have stride 1, because a routine writes along them.
  var contiguousAxes: [(tensor: Int, axis: Int)] = []
  /// Registers of the grid's extents and of the task coordinates.
  var gridRegisters: [Int] = []
  var taskRegisters: [Int] = []
  var gridExtents: [Index] = []
  /// Tiles with memory of their own: register, arena offset, row stride.
  var owned: [OwnedTile] = []
  var tileCount = 0
  var arenaBytes = 0
  /// Bytes for packed operands, behind the arena.
  var workspaceBytes = 0
  var matmuls: [MatmulPlan] = []
  var maps: [MapPlan] = []
  var windows: [WindowPlan] = []
  var ops: [gw_map_op] = []
  var operands: [MapOperandPlan] = []
  /// Most operands of one elementwise program.
  var operandScratch = 0
}
