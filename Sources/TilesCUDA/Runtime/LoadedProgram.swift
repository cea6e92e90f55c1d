internal import CCUDA
internal import Memory
internal import Tiles

/// A program whose machine code the device has.
///
/// `@unchecked Sendable`: nothing changes after `init`.
@safe final class LoadedProgram: @unchecked Sendable {
  let program: CUDAProgram
  let report: CompileReport
  let function: gw_function_t
  private let device: CUDADevice
  private let module: gw_module_t

  /// - Throws: ``CUDAError/driver(call:name:reason:)``; ``CUDAError/launch(kernel:reason:)`` where the device has less
  ///   shared memory than the program needs.
  init(_ program: CUDAProgram, image: [UInt8], report: CompileReport, device: CUDADevice) throws(CUDAError) {
    guard program.sharedBytes <= device.sharedBytesPerBlock else {
      throw .launch(
        kernel: program.kernel.name,
        reason: "it needs \(program.sharedBytes) bytes of shared memory, a block of \(device.name) has "
          + "\(device.sharedBytesPerBlock). Use smaller tiles or fewer stages")
    }
    try device.activate()
    let driver = device.driver
    var module: gw_module_t?
    let loaded = unsafe image.withUnsafeBytes { bytes in
      unsafe bytes.baseAddress.map { unsafe driver.table.pointee.module_load(&module, $0) } ?? 200
    }
    try driver.check("cuModuleLoadData", loaded)
    guard let module = unsafe module else {
      throw .driver(call: "cuModuleLoadData", name: "no module", reason: program.kernel.name)
    }
    var function: gw_function_t?
    let found = unsafe driver.table.pointee.module_function(&function, module, program.entry)
    guard found == 0, let function = unsafe function else {
      unsafe _ = driver.table.pointee.module_unload(module)
      throw driver.failure("cuModuleGetFunction(\(program.entry))", found)
    }
    // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES; without it 48 KiB are the limit.
    let set = unsafe driver.table.pointee.function_set(function, 8, Int32(program.sharedBytes))
    if set != 0 {
      unsafe _ = driver.table.pointee.module_unload(module)
      throw driver.failure("cuFuncSetAttribute(\(program.entry))", set)
    }
    self.program = program
    self.report = report
    self.device = device
    unsafe self.module = module
    unsafe self.function = function
  }

  deinit {
    unsafe _ = device.driver.table.pointee.module_unload(module)
  }
}

/// A program with its arguments: all that the driver needs to be told.
///
/// `@unchecked Sendable`: nothing changes after `init`.
@safe final class PreparedLaunch: @unchecked Sendable {
  let program: LoadedProgram
  /// 0 where there is nothing to do.
  let blocks: Int
  /// The argument, aligned as tensor maps ask for.
  let argument: UnsafeMutableRawPointer
  /// Bytes of tensors that it reads, and that it writes.
  let (reads, writes): ([Range<UInt64>], [Range<UInt64>])
  /// Keeps the order of tasks alive.
  private let order: DeviceStorage?

  init(
    program: LoadedProgram, blocks: Int, argument bytes: [UInt8], tensors: [Tensor], order: DeviceStorage?
  ) {
    (reads, writes) = AccessOrder.bytes(of: tensors, program.program.kernel)
    self.program = program
    self.blocks = blocks
    self.order = order
    unsafe argument = .allocate(byteCount: max(64, bytes.count), alignment: 64)
    unsafe argument.copyMemory(from: bytes, byteCount: bytes.count)
  }

  deinit { unsafe argument.deallocate() }
}
