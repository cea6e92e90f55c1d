internal import ArgumentParser
internal import Kernels
internal import TilesCUDA

/// The kernels as they are printed, compiled and judged.
struct KernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "List, show, compile, check and tune the catalogue of kernels.",
    discussion: """
        godwit kernels show gemm_bfloat16_gpu
        godwit kernels compile --target sm_90a --nvrtc .nvrtc attention
        godwit kernels check --device cuda attention
        godwit kernels tune --weight q4_0 8x4096x14336
      A name stands for every entry that contains it.
      """,
    subcommands: [
      KernelsListCommand.self, KernelsShowCommand.self, KernelsCompileCommand.self, KernelsCheckCommand.self,
      KernelsTuneCommand.self,
    ])

  /// The target of that name.
  static func target(_ name: String) throws -> CUDATarget {
    guard let target = CUDATarget(rawValue: name) else {
      throw ValidationError("\(name) is no target; known are \(targetNames).")
    }
    return target
  }

  static let targetNames = CUDATarget.allCases.map(\.rawValue).joined(separator: ", ")

  /// The entries asked for; at least one.
  static func entries(_ names: [String]) throws -> [CatalogueEntry] {
    let entries = KernelCatalogue.entries(matching: names)
    guard !entries.isEmpty else {
      throw CommandFailure(
        "no kernel is named like \(names.joined(separator: " or ")). See `godwit kernels list`.")
    }
    return entries
  }
}

/// Names of the catalogue.
struct KernelsListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "Names and cases.")

  @Argument(help: "Parts of names; all by default.")
  var names: [String] = []

  func run() throws {
    for entry in try KernelsCommand.entries(names) {
      Output.write("\(entry.name): \(entry.cases.map(\.title).joined(separator: "; "))\n")
    }
  }
}

/// A kernel's source.
struct KernelsShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "The CUDA source of a kernel, with its plan.")

  @Argument(help: "A name of the catalogue.")
  var name: String

  @Option(help: "What to print for: \(KernelsCommand.targetNames).", transform: KernelsCommand.target)
  var target = CUDATarget.sm_90a

  func run() throws {
    let entries = try KernelsCommand.entries([name])
    guard let entry = entries.first(where: { $0.name == name }) ?? (entries.count == 1 ? entries[0] : nil)
    else {
      throw CommandFailure(
        "\(name) may be \(entries.map(\.name).joined(separator: ", ")). Give the whole name.")
    }
    let program = try Emitter.emit(try entry.make(), target: target)
    let plan = program.plan.map { "// \($0)\n" }.joined()
    Output.write(program.source.hasPrefix(plan) ? program.source : plan + program.source)
  }
}
