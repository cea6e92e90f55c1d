internal import Kernels
internal import Memory
internal import Tiles

/// What an executor has prepared for a network so far: kernels by what they do, weights by where they came from, so
/// that layers of equal size share the one and tied layers the other.
final class Preparation {
  let executor: any Executor
  private var kernels: [String: any CompiledKernel] = [:]
  private var weights: [WeightKey: (source: Tensor, placed: Tensor)] = [:]

  /// Where a weight came from and what became of it; the source is kept, so that no other takes its place in memory.
  private struct WeightKey: Hashable {
    let storage: ObjectIdentifier
    let offset: Int
    let shape: [Int]
    let strides: [Int]
    let type: ElementType
    let isPadded: Bool

    init(_ tensor: Tensor, as type: ElementType, isPadded: Bool) {
      storage = ObjectIdentifier(tensor.storage)
      (offset, shape, strides) = (tensor.byteOffset, tensor.shape, tensor.strides)
      self.type = type
      self.isPadded = isPadded
    }
  }

  private var constants: [String: Tensor] = [:]
  private var scratch: [Int: TensorStorage] = [:]

  init(_ executor: any Executor) { self.executor = executor }

  /// The kernel known by that description, recorded and compiled on first use.
  func kernel(_ description: String, _ record: () throws -> Kernel) throws -> any CompiledKernel {
    if let known = kernels[description] { return known }
    let compiled = try executor.compile(try record())
    kernels[description] = compiled
    return compiled
  }

  /// Numbers that kernels need besides weights, known by that description, made and placed on first use.
  func constant(_ description: String, _ make: () throws -> Tensor) throws -> Tensor {
    if let known = constants[description] { return known }
    let made = try placed(make())
    constants[description] = made
    return made
  }

  /// A weight where kernels use it: as it lies where they use host memory, a dense copy otherwise.
  func placed(_ weight: Tensor) throws -> Tensor {
    guard !executor.sharesHostMemory else { return weight }
    return try once(weight, as: weight.type) { source in
      let placed = try executor.place(source)
      return placed.isDense ? placed : try converted(placed, to: placed.type)
    }
  }

  /// A matrix `[out, in]` rounded to bfloat16, dense.
  func rounded(_ weight: Tensor) throws -> Tensor {
    guard weight.type != .bfloat16 || !weight.isDense else { return try placed(weight) }
    return try once(weight, as: .bfloat16) { try converted(executor.place($0), to: .bfloat16) }
  }

  /// A matrix of blocks `[out, in]` as it lies in its file, but for rows that start on whole pieces of 16 bytes.
  func packed(_ weight: Tensor) throws -> Tensor {
    let (rows, columns, type) = (weight.shape[0], weight.shape[1], weight.type)
    var stride = columns
    while stride / type.blockElements * type.blockBytes % 16 != 0 { stride += type.blockElements }
    guard stride > columns, !executor.sharesHostMemory else { return try placed(weight) }
    return try once(weight, as: type, isPadded: true) { source in
      // On the host, so that the device is asked for one copy and not for one a row.
      let padded = try Tensor(zeros: type, [rows, stride]).sliced(axis: 1, 0..<columns)
      let rows = try executor.fetch(source)
      padded.forEachRun(from: rows) { from, to, bytes in
        unsafe (padded.address + to).copyMemory(from: rows.address + from, byteCount: bytes)
      }
      return try executor.place(padded)
    }
  }

  /// Memory that holds nothing from one kernel's end to the start of the next but one; all who ask for a size share it.
  func scratch(byteCount: Int) throws -> TensorStorage {
    if let known = scratch[byteCount] { return known }
    let storage = try executor.allocate(byteCount: byteCount)
    scratch[byteCount] = storage
    return storage
  }

  private func once(
    _ weight: Tensor, as type: ElementType, isPadded: Bool = false, _ prepare: (Tensor) throws -> Tensor
  ) throws -> Tensor {
    let key = WeightKey(weight, as: type, isPadded: isPadded)
    if let known = weights[key] { return known.placed }
    let placed = try prepare(weight)
    weights[key] = (weight, placed)
    return placed
  }

  /// Done by a kernel: what a device is given is then no larger than the file's numbers.
  private func converted(_ matrix: Tensor, to type: ElementType) throws -> Tensor {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let result = try executor.tensor(type, [rows, columns])
    let kernel = try kernel("convert \(columns) \(matrix.type) \(type)") {
      try Conversion.kernel(columns: columns, from: matrix.type, to: type)
    }
    try kernel.run([matrix, result])
    return result
  }
}
