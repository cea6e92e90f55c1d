internal import ArgumentParser
internal import Kernels
internal import Memory
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
    // Compiling for a GPU, and float64 sums, take one core and most of the time; a CPU's kernels take all cores themselves.
    let failed =
      executor.sharesHostMemory
      ? entries.map { check($0, executor) }
      : concurrentMap(entries.count) { check(entries[$0], executor) }
    let (cases, failures) = (entries.map(\.cases.count).reduce(0, +), failed.reduce(0, +))
    guard failures == 0 else { throw CommandFailure("\(failures) of \(cases) cases failed.") }
    let place = (executor as? CUDAExecutor)?.device.name ?? "the CPU"
    Output.write("\(cases) cases of \(entries.count) kernels agree with float64 sums on \(place)\n")
  }

  private func compile(_ kernel: Kernel, _ executor: any Executor) throws -> any CompiledKernel {
    guard simple, let gpu = executor as? CUDAExecutor else { return try executor.compile(kernel) }
    return try gpu.kernel(try SimpleLowering.emit(kernel, target: gpu.device.target))
  }

  /// How many of a kernel's cases failed; what came of them is printed in one piece.
  private func check(_ entry: CatalogueEntry, _ executor: any Executor) -> Int {
    var (failures, lines) = (0, "")
    do {
      let kernel = try entry.make()
      let compiled = try compile(kernel, executor)
      for given in entry.cases {
        do {
          let findings = try entry.check(kernel, compiled, given, on: executor)
          let isRight = findings.allSatisfy { $0.error <= 1 }
          let errors = findings.map { "\($0.tensor) \(Output.fixed($0.error, 3))" }.joined(separator: ", ")
          lines += "\(isRight ? "ok    " : "WRONG ") \(entry.name)  \(given.title)  \(errors)\n"
          failures += isRight ? 0 : 1
        } catch {
          lines += "FAILED \(entry.name)  \(given.title)  \(error)\n"
          failures += 1
        }
      }
    } catch {
      lines += "FAILED \(entry.name)  \(error)\n"
      failures = entry.cases.count
    }
    Output.write(lines)
    return failures
  }
}
