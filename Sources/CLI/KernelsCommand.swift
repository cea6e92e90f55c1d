internal import ArgumentParser
internal import Kernels
internal import Tiles
internal import TilesCUDA

/// What the catalogued kernels become on a GPU.
struct KernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "List, print, compile and check the kernels for GPUs.",
    discussion: """
        godwit kernels show attention_causal_128 --target sm_90a
        godwit kernels compile --nvrtc .nvrtc
        godwit kernels check
      """, subcommands: [List.self, Show.self, Compile.self, Check.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Names of the catalogued kernels.")

    func run() throws { for entry in KernelCatalogue.all { Output.write("\(entry.name)\n") } }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The CUDA source of a kernel, with its storage plan.")

    @Argument(help: "A name that `kernels list` prints.")
    var name: String

    @Option(help: "sm_90a or sm_80.")
    var target = TargetName.sm_90a

    func run() throws {
      guard let entry = KernelCatalogue.all.first(where: { $0.name == name }) else {
        throw CommandFailure("no kernel is named \(name). `godwit kernels list` prints the names.")
      }
      let program = try Emitter.emit(try entry.make(), target: target.target)
      Output.write(program.plan.map { "// \($0)\n" }.joined() + program.source)
    }
  }

  struct Compile: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compile kernels without a GPU; fails on spills, serialised products and too many registers.")

    @Argument(help: "Names, or parts of them; all by default.")
    var names: [String] = []

    @Option(help: "sm_90a or sm_80; both by default.")
    var target: TargetName?

    @Option(help: "NVRTC, or the folder it is in.")
    var nvrtc: String?

    @Flag(help: "Print JSON lines.")
    var json = false

    func run() throws {
      let compiler = try NVRTC(path: nvrtc)
      var failures = 0
      for target in target.map({ [$0.target] }) ?? CUDATarget.allCases {
        for entry in KernelCatalogue.all where names.isEmpty || names.contains(where: entry.name.contains) {
          failures += compile(entry, target, compiler)
        }
      }
      guard failures == 0 else { throw CommandFailure("\(failures) kernels failed.") }
    }

    /// 1 where something is wrong.
    private func compile(_ entry: CatalogueEntry, _ target: CUDATarget, _ compiler: NVRTC) -> Int {
      do {
        let program = try Emitter.emit(try entry.make(), target: target)
        let output = try compiler.compile(program.source, name: program.entry, target: target)
        let report = CompileReport(log: output.log)
        // Where roles exchange registers, so many blocks must fit; elsewhere more of them are merely welcome.
        let share =
          if case .persistent(let count) = program.grid, !program.tensorMaps.isEmpty { count } else { 1 }
        let problems = report.problems(threads: program.threads, blocks: share)
        if json {
          Output.json([
            "kernel": JSONField(entry.name), "target": JSONField(target.rawValue),
            "registers": JSONField(report.registers), "stack": JSONField(report.stackBytes),
            "spills": JSONField(report.spillBytes), "shared": JSONField(program.sharedBytes),
            "threads": JSONField(program.threads), "cubin": JSONField(output.image.count),
            "problems": JSONField(problems.joined(separator: "; ")),
          ])
        } else {
          Output.write(
            "\(target.rawValue)  \(entry.name): \(report.registers) registers, \(report.spillBytes) bytes spilled, "
              + "\(program.sharedBytes) bytes shared, \(program.threads) threads"
              + (problems.isEmpty ? "\n" : "  FAILED: \(problems.joined(separator: "; "))\n"))
        }
        return problems.isEmpty ? 0 : 1
      } catch {
        Output.write("\(target.rawValue)  \(entry.name)  FAILED: \(error)\n")
        return 1
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run kernels on the GPU against the float64 reference.")

    @Argument(help: "Names, or parts of them; all by default.")
    var names: [String] = []

    @Flag(help: "Use the plain form of every kernel.")
    var simple = false

    func run() throws {
      let executor = try CUDAExecutor(cacheFolder: nil)
      var (checked, failures) = (0, 0)
      for entry in KernelCatalogue.all where names.isEmpty || names.contains(where: entry.name.contains) {
        for number in entry.cases.indices {
          checked += 1
          let verdict = KernelCheck(entry, entry.cases[number], executor, isSimple: simple).verdict()
          if verdict.failed { failures += 1 }
          Output.write("\(entry.name) \(entry.cases[number].extents): \(verdict.text)\n")
        }
      }
      Output.write("\(checked) cases, \(failures) failed\n")
      guard failures == 0 else { throw CommandFailure("\(failures) cases failed.") }
    }
  }
}

/// Targets as the command line names them.
enum TargetName: String, ExpressibleByArgument, CaseIterable {
  case sm_90a, sm_80

  var target: CUDATarget { self == .sm_90a ? .sm_90a : .sm_80 }
}
