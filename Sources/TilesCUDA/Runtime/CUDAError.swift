/// What can go wrong with a GPU, its driver and its compiler.
public enum CUDAError: Error, Equatable {
  case libraryMissing(library: String, reason: String)
  case symbolMissing(detail: String)
  case driverTooOld(found: Int, needed: Int)
  case noDevice
  case noSuchDevice(number: Int, count: Int)
  case deviceTooOld(name: String, capability: Int)
  case outOfMemory(requested: Int, used: Int, cap: Int)
  case driver(call: String, name: String, reason: String)
  case launch(kernel: String, reason: String)
  case compilation(kernel: String, log: String)
  case layout(reason: String)
}

extension CUDAError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .libraryMissing("libcuda.so.1", let reason):
      "no NVIDIA driver: \(reason). Install the driver, or use --device cpu."
    case .libraryMissing(let library, let reason):
      "\(library) cannot be opened: \(reason). Install CUDA's NVRTC (Scripts/setup-nvrtc does) or name its path."
    case .symbolMissing(let detail):
      "\(detail): that version is too old. Install the one of CUDA 12 or later."
    case .driverTooOld(let found, let needed):
      "the NVIDIA driver is made for CUDA \(Self.version(found)), CUDA \(Self.version(needed)) is needed. "
        + "Update the driver."
    case .noDevice: "the NVIDIA driver finds no GPU. See what nvidia-smi says, or use --device cpu."
    case .noSuchDevice(let number, let count):
      "there is no GPU number \(number): \(count) \(count == 1 ? "is" : "are") there, counted from 0."
    case .deviceTooOld(let name, let capability):
      "\(name) has compute capability \(capability / 10).\(capability % 10), 8.0 is needed. Use --device cpu."
    case .outOfMemory(let requested, let used, let cap):
      "\(requested) bytes of GPU memory are asked for, \(used) of \(cap) are in use. "
        + "Raise --gpu-memory, or lower the cache budget or the batch size."
    case .driver(let call, let name, let reason): "\(call) failed with \(name): \(reason)."
    case .launch(let kernel, let reason): "kernel \(kernel) failed on the GPU: \(reason)."
    case .compilation(let kernel, let log):
      "kernel \(kernel) does not compile:\n\(log.split(separator: "\n").prefix(12).joined(separator: "\n"))"
    case .layout(let reason): "\(reason)."
    }
  }

  /// `12040` as `12.4`.
  private static func version(_ number: Int) -> String { "\(number / 1000).\(number % 1000 / 10)" }
}
