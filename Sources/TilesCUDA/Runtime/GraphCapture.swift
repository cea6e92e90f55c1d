internal import CCUDA
internal import Tiles

/// Work on its way into a graph: what waits for what.
struct GraphCapture: Sendable {
  /// `nil` where each waits for the one before it.
  private var order: AccessOrder?
  /// Handles of the graph's nodes, in the order of the work; none where that is not asked for.
  private var nodes: [UInt] = []
  /// What the driver said when it first refused something: nothing is added after that.
  private var failure: gw_result = 0

  /// - Parameter concurrently: whether work waits only for what it has to.
  init(concurrently: Bool) { order = concurrently ? AccessOrder() : nil }

  /// Adds the next piece of work.
  ///
  /// - Parameters:
  ///   - earlier: all before it.
  ///   - call: asks the driver for it; told whether it waits for one kernel and nothing else.
  /// - Returns: what the driver said.
  mutating func add(
    _ work: CUDAWork, behind earlier: [CUDAWork], in stream: CUDAStream,
    _ call: (_ followsKernel: Bool) -> gw_result
  ) -> gw_result {
    guard failure == 0 else { return failure }
    failure = start(work, behind: earlier, in: stream, call)
    return failure
  }

  private mutating func start(
    _ work: CUDAWork, behind earlier: [CUDAWork], in stream: CUDAStream,
    _ call: (_ followsKernel: Bool) -> gw_result
  ) -> gw_result {
    guard let nearest = order?.add(reads: work.reads, writes: work.writes) else {
      return call(earlier.last?.isKernel ?? false)
    }
    let waiting = wait(for: nearest, in: stream)
    guard waiting == 0 else { return waiting }
    let code = call(nearest.count == 1 && earlier[nearest[0]].isKernel)
    guard code == 0 else { return code }
    var node: gw_graph_node_t?
    let found = unsafe gw_cuda_capture_last(stream.device.driver.table, stream.handle, &node)
    nodes.append(UInt(bitPattern: node))
    return found
  }

  /// Brings the ends of all branches together.
  func join(in stream: CUDAStream) throws(CUDAError) {
    guard let order, order.count > 0 else { return }
    let code = failure == 0 ? wait(for: order.ends, in: stream) : failure
    try stream.device.driver.check("cuStreamUpdateCaptureDependencies", code)
  }

  private func wait(for numbers: [Int], in stream: CUDAStream) -> gw_result {
    let handles = unsafe numbers.compactMap { unsafe gw_graph_node_t(bitPattern: nodes[$0]) }
    return unsafe handles.withUnsafeBufferPointer { handles in
      unsafe gw_cuda_capture_after(
        stream.device.driver.table, stream.handle, handles.baseAddress, handles.count)
    }
  }
}
