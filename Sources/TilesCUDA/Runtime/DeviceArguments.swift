internal import Memory
internal import Tiles

/// What a launch on a GPU asks of its arguments beyond what every executor does.
enum DeviceArguments {
  /// - Throws: ``ExecutionError/argumentLayout(kernel:tensor:reason:)`` for host memory and for extents that 32-bit
  ///   coordinates cannot count; ``ExecutionError/invalid(kernel:reason:)`` for such integers.
  static func check(_ kernel: Kernel, _ tensors: [Tensor], _ parameters: [Int]) throws(ExecutionError) {
    for (parameter, tensor) in zip(kernel.tensors, tensors) {
      guard !tensor.storage.isOnHost || tensor.storage is PinnedBuffer else {
        throw .argumentLayout(
          kernel: kernel.name, tensor: parameter.name,
          reason: "it lies in host memory. Place it with the executor first")
      }
      if let axis = tensor.shape.firstIndex(where: { $0 > Int(Int32.max) }) {
        throw .argumentLayout(
          kernel: kernel.name, tensor: parameter.name,
          reason: "axis \(axis) has \(tensor.shape[axis]) elements, a GPU counts to \(Int32.max). Split it")
      }
    }
    for (name, value) in zip(kernel.parameters, parameters) where Int32(exactly: value) == nil {
      throw .invalid(kernel: kernel.name, reason: "\(name) is \(value), a GPU counts to \(Int32.max).")
    }
  }

  /// Tasks of the grid.
  ///
  /// - Throws: ``ExecutionError/invalid(kernel:reason:)`` for more than 32 bits count.
  static func taskCount(_ kernel: Kernel, _ grid: [Int]) throws(ExecutionError) -> Int {
    var count = 1
    for extent in grid {
      let (product, overflow) = count.multipliedReportingOverflow(by: max(0, extent))
      guard !overflow, product <= Int(Int32.max) else {
        throw .invalid(kernel: kernel.name, reason: "a grid of \(grid) has more than \(Int32.max) tasks.")
      }
      count = product
    }
    return count
  }

  /// Tensor maps of a program for the tensors it is given.
  ///
  /// - Throws: ``ExecutionError/argumentLayout(kernel:tensor:reason:)`` for a tensor that bulk copies cannot address, or of which threads
  ///   cannot read two numbers, or a row of a folded sequence 16 bytes, at a time.
  static func tensorMaps(
    _ program: CUDAProgram, _ tensors: [Tensor]
  ) throws(ExecutionError) -> [TensorMapRequest] {
    for number in program.pairedReads {
      guard let reason = obstacleToPairs(tensors[number]) else { continue }
      throw .argumentLayout(
        kernel: program.kernel.name, tensor: program.kernel.tensors[number].name, reason: reason)
    }
    for number in program.folds {
      let tensor = tensors[number]
      let past = unsafe UInt(bitPattern: tensor.address) % 16
      guard !tensor.isDense || past != 0 else { continue }
      throw .argumentLayout(
        kernel: program.kernel.name, tensor: program.kernel.tensors[number].name,
        reason: past == 0 ? "it is not dense" : "it starts \(past) bytes past a multiple of 16")
    }
    var requests: [TensorMapRequest] = []
    for map in program.tensorMaps {
      do throws(CUDAError) {
        requests.append(try TensorMapRequest(map, tensors[map.tensor]))
      } catch {
        let reason = if case .layout(let reason) = error { reason } else { "\(error)" }
        throw .argumentLayout(
          kernel: program.kernel.name, tensor: program.kernel.tensors[map.tensor].name, reason: reason)
      }
    }
    return requests
  }

  /// Why pairs of neighbours along the last axis do not lie on multiples of their size; `nil` where they do.
  private static func obstacleToPairs(_ tensor: Tensor) -> String? {
    let bytes = 2 * tensor.type.blockBytes
    let address = unsafe UInt(bitPattern: tensor.address)
    guard address % UInt(bytes) == 0 else {
      return "it starts \(address % UInt(bytes)) bytes past a multiple of \(bytes)"
    }
    for (axis, extent) in tensor.shape.enumerated() where extent > 1 {
      let (stride, isLast) = (tensor.strides[axis], axis == tensor.shape.count - 1)
      guard isLast ? stride == 1 : stride % 2 == 0 else {
        return "axis \(axis) has stride \(stride), which is not \(isLast ? "1" : "even")"
      }
    }
    return nil
  }

  /// The program for tensors that the fastest one cannot address; `nil` where there is none.
  static func plainForm(of kernel: Kernel, _ target: CUDATarget) -> CUDAProgram? {
    guard let program = try? SimpleLowering.emit(kernel, target: target), program.tensorMaps.isEmpty else {
      return nil
    }
    return program
  }
}
