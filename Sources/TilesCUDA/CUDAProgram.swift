package import Tiles

/// Instruction sets that the emitter prints for.
public enum CUDATarget: String, Sendable, Hashable, CaseIterable {
  /// Hopper with wgmma, bulk tensor copies and register reallocation.
  case sm_90a
  /// Ampere and later: mma.sync and cp.async.
  case sm_80

  /// Shared memory a block may have, in bytes.
  public var sharedBytesPerBlock: Int { self == .sm_90a ? 232_448 : 166_912 }
}

/// A kernel as CUDA source, with all that a launch needs to know.
///
/// The entry takes one parameter by value, `Arguments`, whose layout is fixed by ``argumentBytes`` and its parts, in
/// this order: tensor maps (128 bytes each), addresses of the tensors (8 bytes each), address of the task order (8
/// bytes; null for row-major), strides of all tensors' axes in elements (8 bytes each), the kernel's integer parameters
/// (4 bytes each), the number of tasks (4 bytes), rounded up to whole 64 bytes.
package struct CUDAProgram: Sendable {
  /// How many blocks a launch has.
  package enum Grid: Sendable, Hashable {
    /// One for each task.
    case tasks
    /// So many for each multiprocessor; each takes every gridDim-th task.
    case persistent(perMultiprocessor: Int)
  }

  /// A descriptor for bulk tensor copies, encoded when tensors are bound.
  package struct TensorMap: Sendable, Hashable {
    /// Which of the kernel's tensors.
    package var tensor: Int
    /// Extent of the box along each axis of the tensor, in blocks along the last where its type has such.
    package var box: [Int]
    /// Bytes of a swizzle span: 32, 64 or 128; 0 for none.
    package var swizzle: Int

    package init(tensor: Int, box: [Int], swizzle: Int) {
      self.tensor = tensor
      self.box = box
      self.swizzle = swizzle
    }
  }

  /// What it was printed from.
  package var kernel: Kernel
  /// Name of the `extern "C" __global__` function.
  package var entry: String
  /// One whole translation unit without includes.
  package var source: String
  /// What it was printed for.
  package var target: CUDATarget
  /// Threads of a block.
  package var threads: Int
  /// Dynamic shared memory of a block, in bytes.
  package var sharedBytes: Int
  /// How many blocks there are.
  package var grid: Grid
  /// Descriptors at the head of the arguments.
  package var tensorMaps: [TensorMap]
  /// Tensors of which threads read two numbers at a time: the last axis is contiguous, and every pair lies on a multiple of its size.
  package var pairedReads: [Int]
  /// Tensors whose sequences are folded in rows: dense, from a multiple of 16 bytes on.
  package var folds: [Int]
  /// Lines for people: shared memory, registers of each role, stages.
  package var plan: [String]

  package init(
    kernel: Kernel, entry: String, source: String, target: CUDATarget, threads: Int, sharedBytes: Int,
    grid: Grid,
    tensorMaps: [TensorMap] = [], pairedReads: [Int] = [], folds: [Int] = [], plan: [String] = []
  ) {
    self.kernel = kernel
    self.entry = entry
    self.source = source
    self.target = target
    self.threads = threads
    self.sharedBytes = sharedBytes
    self.grid = grid
    self.tensorMaps = tensorMaps
    self.pairedReads = pairedReads
    self.folds = folds
    self.plan = plan
  }

  /// Where the addresses start.
  package var addressOffset: Int { 128 * tensorMaps.count }
  /// Where the address of the task order lies.
  package var orderOffset: Int { addressOffset + 8 * kernel.tensors.count }
  /// Where the strides start.
  package var strideOffset: Int { orderOffset + 8 }
  /// Where the integer parameters start.
  package var parameterOffset: Int { strideOffset + 8 * kernel.tensors.reduce(0) { $0 + $1.extents.count } }
  /// Where the number of tasks lies.
  package var taskCountOffset: Int { parameterOffset + 4 * kernel.parameters.count }
  /// Bytes of all arguments.
  package var argumentBytes: Int { (taskCountOffset + 4 + 63) / 64 * 64 }
}
