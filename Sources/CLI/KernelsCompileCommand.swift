internal import ArgumentParser
internal import Kernels
internal import TilesCUDA

/// Compiles the catalogue without a GPU, and fails where machine code is not what was meant.
struct KernelsCompileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compile", abstract: "Compile kernels and print registers, stack and spills.",
    discussion: """
      Fails where a kernel does not compile, spills registers, uses a stack, has its wgmma serialised or its setmaxnreg
      ignored, or takes more registers than a thread's share. Needs NVRTC, but no GPU.
      """)

  @Argument(help: "Parts of names; all by default.")
  var names: [String] = []

  @Option(help: "What to compile for: \(KernelsCommand.targetNames).", transform: KernelsCommand.target)
  var target = CUDATarget.sm_90a

  @Option(help: "CUDA's run-time compiler, the library or its folder.")
  var nvrtc: String?

  @Flag(help: "Print JSON lines.")
  var json = false

  func run() throws {
    let compiler = try NVRTC(path: nvrtc)
    let entries = try KernelsCommand.entries(names)
    var failures = 0
    for entry in entries where !compiles(entry, compiler) { failures += 1 }
    guard failures == 0 else {
      throw CommandFailure("\(failures) of \(entries.count) kernels are not as they should be.")
    }
    if !json {
      Output.write(
        "\(entries.count) kernels compiled for \(target.rawValue) by NVRTC \(compiler.versionText)\n")
    }
  }

  /// Whether a kernel compiles without problems.
  private func compiles(_ entry: CatalogueEntry, _ compiler: NVRTC) -> Bool {
    if entry.isLarge, target == .sm_80 {
      if !json { Output.write("\(entry.name): its tiles are sized for sm_90a, not compiled for sm_80\n") }
      return true
    }
    let start = ContinuousClock.now
    do {
      let program = try Emitter.emit(try entry.make(), target: target)
      let output = try compiler.compile(program.source, name: program.entry, target: target)
      let report = CompileReport(log: output.log)
      let problems = report.problems(threads: program.threads)
      show(entry.name, program, report, problems, milliseconds: seconds(since: start) * 1e3)
      return problems.isEmpty
    } catch {
      if json {
        Output.json([
          "kernel": JSONField(entry.name), "target": JSONField(target.rawValue),
          "error": JSONField("\(error)"),
        ])
      } else {
        Output.write("\(entry.name): FAILED: \(error)\n")
      }
      return false
    }
  }

  private func show(
    _ name: String, _ program: CUDAProgram, _ report: CompileReport, _ problems: [String],
    milliseconds: Double
  ) {
    guard json else {
      let verdict = problems.isEmpty ? "" : "  FAILED: " + problems.joined(separator: "; ")
      return Output.write(
        "\(name): \(program.threads) threads, \(report.registers) registers, \(report.stackBytes) B stack, "
          + "\(report.spillBytes) B spilled, \(program.sharedBytes) B shared, \(Output.fixed(milliseconds, 0)) ms"
          + "\(verdict)\n")
    }
    Output.json([
      "kernel": JSONField(name), "target": JSONField(target.rawValue), "threads": JSONField(program.threads),
      "registers": JSONField(report.registers), "stack": JSONField(report.stackBytes),
      "spilled": JSONField(report.spillBytes), "shared": JSONField(program.sharedBytes),
      "ms": JSONField(milliseconds, decimals: 0),
      "problems": problems.isEmpty ? nil : JSONField(problems.joined(separator: "; ")),
    ])
  }
}
