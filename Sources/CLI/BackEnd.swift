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

  /// A GPU that has room for so many bytes of weights and cache.
  ///
  /// - Throws: `CommandFailure` with the numbers where it has not.
  static func gpu(_ executor: CUDAExecutor, needed: Int) throws -> BackEnd {
    guard needed + stepBytes <= executor.memory.cap else {
      throw CommandFailure(
        "weights, cache and a step need \(needed + stepBytes) bytes, \(executor.device.name) has "
          + "\(executor.memory.cap) for them.")
    }
    return .gpu(executor)
  }
}
