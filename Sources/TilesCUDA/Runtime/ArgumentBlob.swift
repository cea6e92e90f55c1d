package import Memory
internal import Tiles

extension CUDAProgram {
  /// The bytes of the program's one parameter.
  ///
  /// - Parameters:
  ///   - maps: 16 words for each tensor map.
  ///   - tensors: as bound.
  ///   - order: address of the task order; 0 for row-major.
  ///   - parameters: values of the kernel's integer parameters, each within 32 bits.
  ///   - tasks: tasks of the grid.
  package func argumentBytes(
    maps: [[UInt64]], tensors: [Tensor], order: UInt64, parameters: [Int], tasks: Int
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(argumentBytes)
    func append(_ value: some FixedWidthInteger) {
      for shift in stride(from: 0, to: value.bitWidth, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: value >> shift))
      }
    }
    for map in maps { for word in map { append(word) } }
    for tensor in tensors { append(unsafe UInt64(UInt(bitPattern: tensor.address))) }
    append(order)
    for tensor in tensors { for stride in tensor.strides { append(Int64(stride)) } }
    for number in kernel.parameters.indices { append(Int32(truncatingIfNeeded: parameters[number])) }
    append(Int32(truncatingIfNeeded: tasks))
    bytes.append(contentsOf: repeatElement(0, count: argumentBytes - bytes.count))
    return bytes
  }

  /// How many blocks run `tasks` tasks.
  package func blocks(tasks: Int, multiprocessors: Int) -> Int {
    switch grid {
    case .tasks: tasks
    case .persistent(let each): min(tasks, each * multiprocessors)
    }
  }
}
