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

  /// The executor that the options ask for; `auto` falls back to the CPU and never fails for want of a GPU.
  func executor() throws -> any Executor {
    switch device {
    case .cpu: try cpu()
    case .cuda: try gpu()
    case .auto: if let executor = try? gpu() { executor } else { try cpu() }
    }
  }

  /// The GPU, or what is missing for it.
  func gpu() throws -> CUDAExecutor {
    let executor = try CUDAExecutor(
      memoryCap: gpuMemory?.bytes, cacheFolder: Files.cacheFolder + "/cuda", compilerPath: nvrtc)
    let kept = PlanFile(folder: Files.planFolder).load(for: executor.machine)
    if let note = kept.note { Output.note("note: \(note)\n") }
    executor.use(kept.plans)
    return executor
  }

  /// The cores of this machine.
  func cpu() throws -> CPUExecutor { try CPUExecutor(threads: threads ?? Machine.cores) }
}
