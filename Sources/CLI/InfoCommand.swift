internal import ArgumentParser
internal import TilesCPU
internal import TilesCUDA

/// What this machine is and what runs on it.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "The machine, the back ends and the microkernels chosen.")

  @Flag(help: "Print a JSON line.")
  var json = false

  @Option(help: "CUDA's run-time compiler, the library or its folder.")
  var nvrtc: String?

  func run() throws {
    // One thread: the name of the microkernels does not depend on more.
    let executor = try CPUExecutor(threads: 1)
    let cpu = (try? Files.text("/proc/cpuinfo"))?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }?.split(separator: ":").last.map { $0.drop { $0 == " " } }
    let (gpus, compiler) = (gpus, compiler)
    let backEnds = gpus.isReady && compiler.isReady ? "cpu, cuda" : "cpu"
    if json {
      Output.json([
        "version": JSONField(Godwit.configuration.version), "commit": JSONField(builtCommit),
        "cpu": JSONField(String(cpu ?? "unknown")),
        "cores": JSONField(Machine.cores), "back_ends": JSONField(backEnds),
        "microkernels": JSONField(executor.microkernelName), "cache_folder": JSONField(Files.cacheFolder),
        "gpu": JSONField(gpus.lines.joined(separator: "; ")), "nvrtc": JSONField(compiler.text),
      ])
    } else {
      Output.write(
        """
        godwit        \(Godwit.configuration.version)
        processor     \(cpu ?? "unknown"), \(Machine.cores) cores
        back ends     \(backEnds)
        microkernels  \(executor.microkernelName)
        gpu           \(gpus.lines.joined(separator: "\n              "))
        nvrtc         \(compiler.text)
        models        \(Files.cacheFolder)

        """)
    }
  }

  /// A line for each GPU, or what is missing.
  private var gpus: (isReady: Bool, lines: [String]) {
    do {
      let count = try CUDADevice.count()
      guard count > 0 else { throw CUDAError.noDevice }
      return (true, try (0..<count).map { try line(CUDADevice(number: $0)) })
    } catch {
      return (false, ["\(error)"])
    }
  }

  private func line(_ device: CUDADevice) throws -> String {
    let memory = try device.memoryInfo()
    let gibibytes = { (bytes: Int) in Output.fixed(Double(bytes) / Double(1 << 30), 1) }
    return
      "\(device.number): \(device.name), \(gibibytes(memory.free)) of \(gibibytes(memory.total)) GiB free, "
      + "\(device.multiprocessors) multiprocessors, compute capability "
      + "\(device.capability / 10).\(device.capability % 10), driver for CUDA "
      + "\(device.driverVersion / 1000).\(device.driverVersion % 1000 / 10)"
  }

  /// The compiler's version, or what is missing.
  private var compiler: (isReady: Bool, text: String) {
    do { return (true, try NVRTC(path: nvrtc).versionText) } catch { return (false, "\(error)") }
  }
}
