internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  /// Host time to start a kernel whose arguments were seen before: arguments looked up, driver called.
  func launching() throws {
    let small = try executor.tensor(.float32, [8, 16])
    let copy = try executor.compile(
      try Kernel("launch") { k in
        let (x, y) = (k.input("x", .float32, [8, 16]), k.output("y", .float32, [8, 16]))
        k.grid([1]) { _ in k.store(k.load(x, at: [0, 0], rows: 8, columns: 16), to: y, at: [0, 0]) }
      })
    let target = try executor.tensor(.float32, [8, 16])
    try launching("two tensors") { try copy.run([small, target]) }

    let product = try executor.compile(
      try Gemm.kernel(type: .bfloat16, plan: .gpu(rows: 64, columns: 128)))
    let operands = try [[64, 64], [64, 128], [64, 128]].map { try executor.tensor(.bfloat16, $0) }
    try launching("three tensor maps") { try product.run(operands) }
  }

  private func launching(_ title: String, _ call: () throws -> Void) throws {
    guard bench.wants(title) else { return }
    // Few enough for the driver's queue, so that the host never waits for the device.
    let count = 200
    var times: [Double] = []
    for _ in 0..<51 {
      let start = ContinuousClock.now
      for _ in 0..<count { try call() }
      times.append((ContinuousClock.now - start) / .seconds(1) / Double(count))
      try executor.synchronize()
    }
    report(Figure(op: "launch", shape: title, seconds: times.sorted()[25]))
  }
}
