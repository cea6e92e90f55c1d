internal import ArgumentParser
internal import Kernels
internal import Tiles
internal import TilesCUDA

/// Judges the catalogue's kernels on a device against the reference with float64 sums.
struct KernelsCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Run kernels on small inputs and compare them with their definition.")

  @Argument(help: "Parts of names; all by default.")
  var names: [String] = []

  @Flag(help: "On a GPU, use the plain form of every kernel.")
  var simple = false

  @OptionGroup var machine: DeviceOptions

  func run() throws {
    let executor = try machine.executor()
    guard !simple || executor is CUDAExecutor else {
      throw ValidationError("--simple is for GPUs. Say --device cuda to hear what is missing.")
    }
    let entries = try KernelsCommand.entries(names)
    var (cases, failures) = (0, 0)
    for entry in entries {
      let (count, failed) = check(entry, executor)
      cases += count
      failures += failed
    }
    guard failures == 0 else { throw CommandFailure("\(failures) of \(cases) cases failed.") }
    let place = (executor as? CUDAExecutor)?.device.name ?? "the CPU"
    Output.write("\(cases) cases of \(entries.count) kernels agree with float64 sums on \(place)\n")
  }

  private func compile(_ kernel: Kernel, _ executor: any Executor) throws -> any CompiledKernel {
    guard simple, let gpu = executor as? CUDAExecutor else { return try executor.compile(kernel) }
    return try gpu.kernel(try SimpleLowering.emit(kernel, target: gpu.device.target))
  }

  /// Cases run, and how many of them failed.
  private func check(_ entry: CatalogueEntry, _ executor: any Executor) -> (Int, Int) {
    do {
      let kernel = try entry.make()
      let compiled = try compile(kernel, executor)
      var failures = 0
      for given in entry.cases {
        do {
          let findings = try entry.check(kernel, compiled, given, on: executor)
          let isRight = findings.allSatisfy { $0.error <= 1 }
          let errors = findings.map { "\($0.tensor) \(Output.fixed($0.error, 3))" }.joined(separator: ", ")
          Output.write("\(isRight ? "ok    " : "WRONG ") \(entry.name)  \(given.title)  \(errors)\n")
          failures += isRight ? 0 : 1
        } catch {
          Output.write("FAILED \(entry.name)  \(given.title)  \(error)\n")
          failures += 1
        }
      }
      return (entry.cases.count, failures)
    } catch {
      Output.write("FAILED \(entry.name)  \(error)\n")
      return (entry.cases.count, entry.cases.count)
    }
  }
}
