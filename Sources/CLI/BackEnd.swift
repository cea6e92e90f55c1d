internal import Memory
internal import Tiles
internal import TilesCPU
internal import TilesCUDA

/// What runs a model.
enum BackEnd {
  case cores(CPUExecutor)
  case gpu(CUDAExecutor)

  /// The machine as models see it.
  var executor: any Executor {
    switch self {
    case .cores(let executor): executor
    case .gpu(let executor): executor
    }
  }

  /// The cores, where they run the model.
  var cores: CPUExecutor? { if case .cores(let executor) = self { executor } else { nil } }

  /// What it is, for people.
  var name: String {
    switch self {
    case .cores(let executor): "cpu, \(executor.threads) threads, \(executor.microkernelName)"
    case .gpu(let executor): "cuda, \(executor.device.name)"
    }
  }

  /// Memory besides weights and cache that a GPU has to have: a step's numbers.
  private static let stepBytes = 512 << 20

  /// A GPU with room for so many bytes.
  ///
  /// - Parameters:
  ///   - needed: bytes of weights and cache; `nil` where the caller takes what there is.
  ///   - cap: most bytes to take.
  ///   - compiler: NVRTC or the folder it is in; `nil` to look where systems keep it.
  /// - Throws: `CUDAError` that says what is missing.
  static func gpu(needed: Int?, cap: Int?, compiler: String?) throws -> BackEnd {
    let executor = try CUDAExecutor(
      memoryCap: cap, cacheFolder: Files.cacheFolder + "/cuda", compilerPath: compiler)
    if let needed, needed + stepBytes > executor.memory.cap {
      throw CommandFailure(
        "weights, cache and a step need \(needed + stepBytes) bytes, \(executor.device.name) has "
          + "\(executor.memory.cap) for them.")
    }
    return .gpu(executor)
  }
}

/// What this machine's GPU is, or what is missing to use it.
struct GPUReport {
  /// Name, memory and driver of the first GPU, or why there is none.
  let device: Result<(name: String, free: Int, total: Int, driver: String), any Error>
  /// Version of the compiler, or why there is none.
  let compiler: Result<String, any Error>

  /// Asks driver and compiler.
  init(compiler path: String? = nil) {
    device = Result {
      let device = try CUDADevice()
      let (free, total) = try device.memoryInfo()
      let version = device.driverVersion
      return (device.name, free, total, "\(version / 1000).\(version % 1000 / 10)")
    }
    compiler = Result { try NVRTC(path: path).versionText }
  }

  /// What is missing, and the remedy.
  var missing: [String] {
    var found: [String] = []
    if case .failure(let error) = device { found.append("\(error)") }
    if case .failure(let error) = compiler { found.append("\(error)") }
    return found
  }

  /// Lines for people.
  var lines: String {
    let gpu =
      switch device {
      case .success(let found):
        "\(found.name), \(found.total >> 20) MiB of memory, \(found.free >> 20) MiB free, "
          + "driver for CUDA \(found.driver)"
      case .failure(let error): "\(error)"
      }
    let version =
      switch compiler {
      case .success(let version): version
      case .failure(let error): "\(error)"
      }
    return "gpu           \(gpu)\nnvrtc         \(version)"
  }

  /// Whether models can run on it.
  var isUsable: Bool { (try? device.get()) != nil && (try? compiler.get()) != nil }
}
