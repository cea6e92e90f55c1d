import Memory
import TestSupport
import Tiles
import TilesCPU

/// What a kernel wrote on one executor.
struct Run {
  var executor: String
  var outputs: [[Double]]
}

/// Runs a kernel on every executor, outputs full of NaN before.
///
/// - Parameters:
///   - outputs: type and shape of what follows the inputs.
///   - reference: whether the checked reference with float64 sums runs it too, which is slow.
///   - portable: whether the routines without SIMD do, which are slow as well.
func runs(
  _ kernel: Kernel, _ inputs: [Tensor], outputs: [(type: ElementType, shape: [Int])], integers: [Int] = [],
  reference: Bool = true, portable: Bool = false
) throws -> [Run] {
  try judged(reference: reference, portable: portable).map { name, executor in
    let results = try outputs.map { try poisoned($0.type, $0.shape) }
    try executor.compile(kernel).run(inputs + results, integers: integers)
    return Run(executor: name, outputs: results.map(values))
  }
}

/// The executors that tests run on, by name.
func judged(reference: Bool, portable: Bool = false) -> [(name: String, executor: any Executor)] {
  var result: [(name: String, executor: any Executor)] = []
  if reference { result.append(("reference", ReferenceExecutor<Double>(checked: true))) }
  for executor in executors where portable || executor.microkernelName != "portable" || executors.count < 3 {
    result.append(("\(executor.microkernelName), \(executor.threads) threads", executor))
  }
  return result
}
