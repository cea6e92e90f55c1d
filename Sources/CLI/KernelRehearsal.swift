internal import ArgumentParser
internal import Tiles
internal import TilesCUDA

/// Work that a GPU does for the first time: its kernels are compiled beforehand, on all cores. Otherwise each would be compiled, and
/// waited for, when it is first started.
struct KernelRehearsal {
  let options: DeviceOptions
  /// All that its kernels depend on, beside the program and the machine.
  let work: String

  /// Compiles what was not compiled before, if it is for a GPU.
  ///
  /// What goes wrong is not said here: the work itself will say it.
  ///
  /// - Parameter body: does the work where nothing runs.
  func run(before executor: any Executor, _ body: (CompilingExecutor) throws -> Void) {
    guard let gpu = executor as? CUDAExecutor else { return }
    let name = "\(Godwit.configuration.version) \(gpu.machine) \(gpu.cores) \(work)"
    let mark = CompiledWork(name, cacheFolder: Files.moduleFolder)
    guard !mark.isKnown else { return }
    Output.hint("kernels are compiled")
    defer { Output.hint("") }
    do {
      let compiling = try options.compilingExecutor()
      try body(compiling)
      _ = try compiling.finish()
      try mark.remember()
    } catch {}
  }
}
