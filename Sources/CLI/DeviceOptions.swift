internal import ArgumentParser
internal import Tiles
internal import TilesCPU
internal import TilesCUDA

/// Options that choose the machine kernels run on; the one place that makes an executor from them.
struct DeviceOptions: ParsableArguments {
  @Option(name: [.short, .long], help: "Threads to use; by default all cores.")
  var threads: Int?

  @Option(help: "What kernels run on: cpu, cuda, or auto, which takes the fastest there is.")
  var device = Device.auto

  @Option(
    name: .customLong("gpu-memory"),
    help:
      "Most bytes that tensors may take on a GPU, for example 16GiB; by default nine tenths of what is free.")
  var gpuMemory: ByteCount?

  @Option(help: "CUDA's run-time compiler, the library or its folder; by default where systems keep it.")
  var nvrtc: String?

  /// Back ends of this program.
  enum Device: String, ExpressibleByArgument, CaseIterable { case auto, cpu, cuda }

  mutating func validate() throws {
    if let threads, !(1...256).contains(threads) {
      throw ValidationError("--threads is \(threads); use 1 to 256.")
    }
    guard device == .cpu else { return }
    for (name, isGiven) in [("--gpu-memory", gpuMemory != nil), ("--nvrtc", nvrtc != nil)] where isGiven {
      throw ValidationError(
        "\(name) means nothing with --device cpu, which uses no GPU. Leave one of them out.")
    }
  }

  /// The executor that the options ask for; `auto` falls back to the CPU and never fails for want of a GPU.
  func executor() throws -> any Executor {
    switch device {
    case .cpu: try cpu()
    case .cuda: try gpu()
    case .auto: if let executor = try? gpu() { executor } else { try cpu() }
    }
  }

  /// Executors for work beside each other, of shares of what the options ask for: the GPUs there are in turn, or so many threads each.
  func executors(_ count: Int) throws -> [any Executor] {
    guard count > 1 else { return [try executor()] }
    switch device {
    case .cpu: return try cpus(count)
    case .cuda: return try gpus(count)
    case .auto: return if let executors = try? gpus(count) { executors } else { try cpus(count) }
    }
  }

  private func cpus(_ count: Int) throws -> [any Executor] {
    let share = max(1, (threads ?? Machine.cores) / count)
    return try (0..<count).map { _ in try CPUExecutor(threads: share) }
  }

  private func gpus(_ count: Int) throws -> [any Executor] {
    let places = try (0..<max(1, min(count, CUDADevice.count()))).map { try CUDADevice(number: $0) }
    let caps = try places.enumerated().map { place, device in
      // Runs on this one.
      let runs = (count - place + places.count - 1) / places.count
      return try (gpuMemory?.bytes ?? device.memoryInfo().free / 10 * 9) / runs
    }
    return try (0..<count).map { try gpu(places[$0 % places.count], memoryCap: caps[$0 % places.count]) }
  }

  /// The GPU, or what is missing for it.
  func gpu() throws -> CUDAExecutor { try gpu(nil, memoryCap: gpuMemory?.bytes) }

  private func gpu(_ device: CUDADevice?, memoryCap: Int?) throws -> CUDAExecutor {
    let executor = try CUDAExecutor(
      device: device, memoryCap: memoryCap, cacheFolder: Files.moduleFolder, compilerPath: nvrtc)
    let kept = PlanFile(folder: Files.planFolder).load(for: executor.machine)
    if let note = kept.note { Output.note("note: \(note)\n") }
    executor.use(kept.plans)
    return executor
  }

  /// Compiles for the first GPU, or for an H100 where there is none.
  func compilingExecutor() throws -> CompilingExecutor {
    let device = try? CUDADevice()
    return try CompilingExecutor(
      target: device?.target ?? .sm_90a, multiprocessors: device?.multiprocessors ?? 132,
      cacheFolder: Files.moduleFolder, compilerPath: nvrtc)
  }

  /// The cores of this machine.
  func cpu() throws -> CPUExecutor { try CPUExecutor(threads: threads ?? Machine.cores) }
}
