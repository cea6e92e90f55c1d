internal import ArgumentParser
internal import TilesCPU

/// What this machine is and what runs on it.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "The machine, the back ends and the microkernels chosen.")

  @Flag(help: "Print a JSON line.")
  var json = false

  func run() throws {
    // One thread: the name of the microkernels does not depend on more.
    let executor = try CPUExecutor(threads: 1)
    let cpu = (try? Files.text("/proc/cpuinfo"))?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }?.split(separator: ":").last.map { $0.drop { $0 == " " } }
    if json {
      Output.json([
        "version": JSONField(Godwit.configuration.version), "commit": JSONField(builtCommit),
        "cpu": JSONField(String(cpu ?? "unknown")),
        "cores": JSONField(Machine.cores), "back_ends": "cpu",
        "microkernels": JSONField(executor.microkernelName), "cache_folder": JSONField(Files.cacheFolder),
      ])
    } else {
      Output.write(
        """
        godwit        \(Godwit.configuration.version)
        processor     \(cpu ?? "unknown"), \(Machine.cores) cores
        back ends     cpu
        microkernels  \(executor.microkernelName)
        models        \(Files.cacheFolder)

        """)
    }
  }
}
