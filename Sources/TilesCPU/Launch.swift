internal import CMicrokernels
internal import Synchronization

/// A tensor argument as the workers address it.
@safe struct TensorBinding: BitwiseCopyable {
  var base: UnsafeMutableRawPointer
  var blockElements: Int
  var blockBytes: Int
}

/// Everything a worker reads while a kernel runs: pointers into the program and the bound arguments.
@safe struct Launch: BitwiseCopyable {
  var instructions: UnsafePointer<Instruction>
  var prologue: Int
  var taskStart: Int
  var integers: UnsafePointer<Int>
  var integerCount: Int
  var tensors: UnsafePointer<TensorBinding>
  var owned: UnsafePointer<OwnedTile>
  var ownedCount: Int
  var matmuls: UnsafePointer<MatmulPlan>
  var maps: UnsafePointer<MapPlan>
  var windows: UnsafePointer<WindowPlan>
  var ops: UnsafePointer<gw_map_op>
  var operands: UnsafePointer<MapOperandPlan>
  var gridRegisters: UnsafePointer<Int>
  var taskRegisters: UnsafePointer<Int>
  var axisCount: Int
  var workspaceOffset: Int
}

/// A tile with memory of its own in each worker's arena.
struct OwnedTile: BitwiseCopyable {
  var tile: Int
  var offset: Int
  var rowStride: Int
}
