internal import CCUDA
public import Tiles

/// Kernels that are started as one: what the driver checks and lays out for each is done once.
///
/// `@unchecked Sendable`: nothing changes after `init`.
@safe public final class CUDAGraph: KernelRecord, @unchecked Sendable {
  private let stream: CUDAStream
  private let executable: gw_graph_exec_t
  /// What is in it: machine code and orders of tasks that it refers to among other things.
  private let work: [CUDAWork]

  /// Adopts and consumes `graph`.
  init(_ graph: gw_graph_t, _ work: [CUDAWork], stream: CUDAStream) throws(CUDAError) {
    let driver = stream.device.driver
    var executable: gw_graph_exec_t?
    let code = unsafe driver.table.pointee.graph_instantiate(&executable, graph, 0)
    unsafe _ = driver.table.pointee.graph_destroy(graph)
    try driver.check("cuGraphInstantiate", code)
    guard let executable = unsafe executable else {
      throw .driver(call: "cuGraphInstantiate", name: "no graph", reason: stream.device.name)
    }
    unsafe self.executable = executable
    self.work = work
    self.stream = stream
  }

  deinit { unsafe _ = stream.device.driver.table.pointee.graph_exec_destroy(executable) }

  /// Kernels in it.
  public var kernelCount: Int {
    work.count { $0.isKernel }
  }

  /// Whether it does what was observed.
  public func isSame(as log: any WorkLog) -> Bool { (log as? CUDAWorkLog)?.work == work }

  /// Starts its kernels; see ``launch()``.
  public func run() throws { try launch() }

  /// Starts its kernels, behind all that was asked of the executor before; does not wait.
  public func launch() throws(CUDAError) {
    try stream.device.activate()
    try stream.device.driver.check(
      "cuGraphLaunch", unsafe stream.device.driver.table.pointee.graph_launch(executable, stream.handle))
  }
}
