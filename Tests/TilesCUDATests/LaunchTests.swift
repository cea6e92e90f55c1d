import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

/// A kernel that copies a matrix, printed as nothing.
func copyProgram(
  order: Kernel.TaskOrder = .rowMajor, maps: [CUDAProgram.TensorMap] = [], grid: CUDAProgram.Grid = .tasks
) throws -> CUDAProgram {
  let kernel = try Kernel("copy") { k in
    let (m, n) = (k.extent("M"), k.extent("N"))
    let offset = k.argument("offset")
    let x = k.input("x", .float32, [m, n])
    let y = k.output("y", .float32, [m, n])
    k.grid([m.ceilDiv(2), n.ceilDiv(32)], order: order) { task in
      let at = [task[0] * 2 + offset, task[1] * 32]
      k.store(k.load(x, at: at, rows: 2, columns: 32), to: y, at: at)
    }
  }
  return CUDAProgram(
    kernel: kernel, entry: "copy", source: "", target: .sm_90a, threads: 128, sharedBytes: 0, grid: grid,
    tensorMaps: maps)
}

/// Storage at a made-up address of a device.
final class FakeStorage: TensorStorage, @unchecked Sendable {
  init(at address: UInt, byteCount: Int, isOnHost: Bool = false) {
    super.init(
      baseAddress: UnsafeMutableRawPointer(bitPattern: address)!, byteCount: byteCount, isOnHost: isOnHost)
  }
}

func fakeTensor(
  at address: UInt = 1 << 40, _ shape: [Int], strides: [Int]? = nil, type: ElementType = .float32
) throws -> Tensor {
  let dense = try Tensor(FakeStorage(at: address, byteCount: 1 << 40), type: type, shape: shape)
  guard let strides else { return dense }
  return Tensor(unchecked: dense.storage, byteOffset: 0, type: type, shape: shape, strides: strides)
}

@Suite struct ArgumentBlobTests {
  @Test func everyPartIsAtItsPlace() throws {
    let program = try copyProgram(maps: [CUDAProgram.TensorMap(tensor: 0, box: [2, 32], swizzle: 128)])
    let (x, y) = (
      try fakeTensor(at: 0x1_0000, [3, 40]), try fakeTensor(at: 0x2_0000, [3, 40], strides: [64, 1])
    )
    let map = (0..<16).map { UInt64($0) << 32 | 7 }
    let bytes = program.argumentBytes(
      maps: [map], tensors: [x, y], order: 0x3_0000, parameters: [3, 40, -5], tasks: 4)
    #expect(bytes.count == program.argumentBytes && bytes.count % 64 == 0)
    func word<Number: FixedWidthInteger>(_ offset: Int, as _: Number.Type) -> Number {
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }
    #expect((0..<16).map { word(8 * $0, as: UInt64.self) } == map)
    #expect(word(program.addressOffset, as: UInt64.self) == 0x1_0000)
    #expect(word(program.addressOffset + 8, as: UInt64.self) == 0x2_0000)
    #expect(word(program.orderOffset, as: UInt64.self) == 0x3_0000)
    #expect((0..<4).map { word(program.strideOffset + 8 * $0, as: Int64.self) } == [40, 1, 64, 1])
    #expect((0..<3).map { word(program.parameterOffset + 4 * $0, as: Int32.self) } == [3, 40, -5])
    #expect(word(program.taskCountOffset, as: Int32.self) == 4)
    #expect(bytes[(program.taskCountOffset + 4)...].allSatisfy { $0 == 0 })
  }

  @Test func persistentGridsAreNoLargerThanTheDevice() throws {
    let program = try copyProgram(grid: .persistent(perMultiprocessor: 2))
    #expect(program.blocks(tasks: 1000, multiprocessors: 132) == 264)
    #expect(program.blocks(tasks: 7, multiprocessors: 132) == 7)
    #expect(try copyProgram().blocks(tasks: 1000, multiprocessors: 132) == 1000)
  }
}

@Suite struct BindingTests {
  func bind(_ tensors: [Tensor], _ integers: [Int]) throws -> [Int] {
    let kernel = try copyProgram().kernel
    let binding = ArgumentBinding(name: kernel.name, tensors: kernel.tensors, arguments: kernel.arguments)
    var parameters = [Int](repeating: 0, count: kernel.parameters.count)
    try binding.bind(tensors, integers, into: &parameters)
    try DeviceArguments.check(kernel, tensors, parameters)
    return parameters
  }

  @Test func extentsAndArgumentsGetTheirValues() throws {
    let x = try fakeTensor([3, 40])
    #expect(try bind([x, x], [5]) == [3, 40, 5])
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let x = try fakeTensor([3, 40])
    #expect(message { _ = try bind([x], [0]) } == "kernel copy takes 2 arguments, 1 were given.")
    #expect(message { _ = try bind([x, x], []) } == "kernel copy takes 1 arguments, 0 were given.")
    #expect(
      message { _ = try bind([x, try fakeTensor([3, 40], type: .float16)], [0]) }
        == "kernel copy: y must be float32, it is float16. Convert it first.")
    #expect(
      message { _ = try bind([x, try fakeTensor([120])], [0]) }
        == "kernel copy: y must have shape [p0, p1], it has [120].")
    #expect(
      message { _ = try bind([x, try fakeTensor([3, 41])], [0]) }
        == "kernel copy: y must have shape [3, 40], it has [3, 41].")
  }

  @Test func hostMemoryIsRefused() throws {
    let x = try Tensor(zeros: .float32, [3, 40])
    #expect(
      message { _ = try bind([x, x], [0]) }
        == "kernel copy: x: it lies in host memory. Place it with the executor first.")
  }

  @Test func coordinatesHave32Bits() throws {
    let long = try fakeTensor([1 << 31, 1])
    #expect(message { _ = try bind([long, long], [0]) }.contains("axis 0 has 2147483648 elements"))
    let x = try fakeTensor([3, 40])
    #expect(
      message { _ = try bind([x, x], [1 << 40]) }
        == "kernel copy: offset is 1099511627776, a GPU counts to 2147483647.")
    let kernel = try copyProgram().kernel
    #expect(throws: ExecutionError.self) { try DeviceArguments.taskCount(kernel, [1 << 20, 1 << 20]) }
    #expect(try DeviceArguments.taskCount(kernel, [0, 5]) == 0)
    #expect(try DeviceArguments.taskCount(kernel, [-1, 5]) == 0)
  }
}

@Suite struct TaskOrderTests {
  @Test func longestTasksComeFirst() {
    let order = Kernel.TaskOrder.longestFirst(cost: .task(0) * 2 + .task(1))
    #expect(order.deviceTasks(grid: [2, 3], parameters: [], blocks: 6) == [5, 4, 2, 3, 1, 0])
  }

  @Test func costsOnTheDeviceMeanRowMajor() {
    let order = Kernel.TaskOrder.longestFirst(cost: .element(tensor: 0, at: [.task(0)]))
    #expect(order.deviceTasks(grid: [4], parameters: [], blocks: 4) == nil)
    #expect(Kernel.TaskOrder.rowMajor.deviceTasks(grid: [4], parameters: [], blocks: 4) == nil)
  }

  @Test func superRowsAreSweptTogether() {
    #expect(
      Kernel.TaskOrder.superRows(2).deviceTasks(grid: [3, 2], parameters: [], blocks: 6) == [
        0, 2, 1, 3, 4, 5,
      ])
  }

  /// Blocks that take every so-many-th entry get about the same to do, and every task is done once.
  @Test(arguments: [1, 2, 3, 7, 16]) func tasksAreDealtEvenly(blocks: Int) throws {
    let order = Kernel.TaskOrder.longestFirst(cost: .task(0) * .task(0))
    let count = 40
    let dealt = try #require(order.deviceTasks(grid: [count], parameters: [], blocks: blocks))
    #expect(dealt.filter { $0 >= 0 }.sorted() == (0..<Int32(count)).map { $0 })
    var loads = [Int](repeating: 0, count: blocks)
    for (place, task) in dealt.enumerated() where task >= 0 { loads[place % blocks] += Int(task * task) }
    // Graham, 1969: at most 4/3 of the best.
    let best = max(Double((count - 1) * (count - 1)), Double(loads.reduce(0, +)) / Double(blocks))
    #expect(Double(loads.max() ?? 0) <= best * 4 / 3)
  }
}

@Suite struct TensorMapTests {
  let map = CUDAProgram.TensorMap(tensor: 0, box: [64, 64], swizzle: 128)

  func problem(_ tensor: Tensor, _ map: CUDAProgram.TensorMap? = nil) -> String {
    message { _ = try TensorMapRequest(map ?? self.map, tensor) }
  }

  @Test func axesGoInnermostFirst() throws {
    let request = try TensorMapRequest(
      CUDAProgram.TensorMap(tensor: 0, box: [1, 64, 32], swizzle: 64),
      try fakeTensor([5, 7, 40], strides: [512, 48, 1], type: .bfloat16))
    #expect(request.extents == [40, 7, 5])
    #expect(request.strides == [96, 1024])
    #expect(request.box == [32, 64, 1])
    #expect((request.type, request.swizzle) == (9, 2))
  }

  @Test func whatBulkCopiesCannotAddressIsRefused() throws {
    #expect(problem(try fakeTensor([128, 64], type: .bfloat16)) == "")
    #expect(
      problem(try fakeTensor(at: (1 << 40) + 8, [128, 64], type: .bfloat16))
        == "it starts 8 bytes past a multiple of 16.")
    #expect(
      problem(try fakeTensor([128, 63], type: .bfloat16))
        == "axis 0 has a stride of 126 bytes, no multiple of 16.")
    #expect(
      problem(try fakeTensor([128, 64], strides: [1, 128], type: .bfloat16))
        == "its last axis has stride 128, not 1.")
    #expect(problem(try fakeTensor([0, 64], type: .bfloat16)) == "it has no elements: shape [0, 64].")
    #expect(problem(try fakeTensor([4, 256], type: .q6_K)) == "q6_K cannot be copied in boxes.")
    #expect(problem(try fakeTensor([4, 4, 64], type: .bfloat16)).contains("does not fit 3 axes"))
    #expect(problem(try fakeTensor([128, 64])) == "boxes of [64, 64] cannot be copied.")
    let tall = CUDAProgram.TensorMap(tensor: 0, box: [257, 64], swizzle: 128)
    #expect(problem(try fakeTensor([512, 64], type: .bfloat16), tall) != "")
  }

  /// Blocks of 18 bytes as pairs of bytes, rows on whole pieces of 16.
  @Test func blocksGoAsPairsOfBytes() throws {
    let box = CUDAProgram.TensorMap(tensor: 0, box: [64, 8], swizzle: 0)
    let request = try TensorMapRequest(box, try fakeTensor([72, 576], strides: [768, 1], type: .q4_0))
    #expect(request.extents == [576 / 32 * 9, 72])
    #expect(request.strides == [768 / 32 * 18])
    #expect(request.box == [72, 64])
    #expect((request.type, request.swizzle) == (1, 0))
    #expect(
      problem(try fakeTensor([72, 576], type: .q4_0), box)
        == "axis 0 has a stride of 324 bytes, no multiple of 16.")
    let wide = CUDAProgram.TensorMap(tensor: 0, box: [64, 32], swizzle: 0)
    #expect(problem(try fakeTensor([72, 1024], type: .q8_0), wide) == "boxes of [64, 32] cannot be copied.")
  }

  /// An axis that is never stepped along may have any stride.
  @Test func axesOfOneElementMayHaveAnyStride() throws {
    let request = try TensorMapRequest(map, try fakeTensor([1, 63], strides: [63, 1], type: .bfloat16))
    #expect(request.strides == [128])
    #expect(problem(try fakeTensor([64, 1], strides: [8, 5], type: .bfloat16)) == "")
  }

  @Test func refusalsNameTheTensor() throws {
    let program = try copyProgram(maps: [CUDAProgram.TensorMap(tensor: 1, box: [2, 32], swizzle: 128)])
    let (x, y) = (try fakeTensor([3, 40]), try fakeTensor([3, 41]))
    #expect(
      message { _ = try DeviceArguments.tensorMaps(program, [x, y]) }
        == "kernel copy: y: axis 0 has a stride of 164 bytes, no multiple of 16.")
    #expect(try DeviceArguments.tensorMaps(program, [x, x]).count == 1)
  }
}
