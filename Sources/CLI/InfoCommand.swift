internal import ArgumentParser
internal import TilesCPU

/// What this machine is and what runs on it.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "The machine, the back ends and the microkernels chosen.")

  @Option(help: "NVRTC, which compiles kernels for GPUs, or the folder it is in.")
  var nvrtc: String?

  @Flag(help: "Print a JSON line.")
  var json = false

  func run() throws {
    // One thread: the name of the microkernels does not depend on more.
    let executor = try CPUExecutor(threads: 1)
    let cpu = (try? Files.text("/proc/cpuinfo"))?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }?.split(separator: ":").last.map { $0.drop { $0 == " " } }
    let gpu = GPUReport(compiler: nvrtc)
    if json {
      Output.json([
        "version": JSONField(Godwit.configuration.version), "commit": JSONField(builtCommit),
        "cpu": JSONField(String(cpu ?? "unknown")),
        "cores": JSONField(Machine.cores), "back_ends": gpu.isUsable ? "cpu, cuda" : "cpu",
        "microkernels": JSONField(executor.microkernelName), "cache_folder": JSONField(Files.cacheFolder),
        "gpu": (try? gpu.device.get()).map { JSONField($0.name) },
        "gpu_memory": (try? gpu.device.get()).map { JSONField($0.total) },
        "gpu_memory_free": (try? gpu.device.get()).map { JSONField($0.free) },
        "driver_cuda": (try? gpu.device.get()).map { JSONField($0.driver) },
        "nvrtc": (try? gpu.compiler.get()).map { JSONField($0) },
        "gpu_missing": gpu.missing.isEmpty ? nil : JSONField(gpu.missing.joined(separator: " ")),
      ])
    } else {
      Output.write(
        """
        godwit        \(Godwit.configuration.version)
        processor     \(cpu ?? "unknown"), \(Machine.cores) cores
        back ends     \(gpu.isUsable ? "cpu, cuda" : "cpu")
        microkernels  \(executor.microkernelName)
        models        \(Files.cacheFolder)
        \(gpu.lines)

        """)
    }
  }
}
