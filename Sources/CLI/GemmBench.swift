internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCPU

/// Float32 matrix products at the shapes that other libraries are timed at.
struct GemmBench {
  private let bench: BenchCommand

  init(_ bench: BenchCommand) { self.bench = bench }

  func run() throws {
    let executor = try CPUExecutor(threads: bench.threadCount)
    let shapes = [
      (64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048), (1, 1536, 576), (32, 1536, 576),
      (512, 1536, 576),
    ]
    for (m, n, k) in shapes where bench.wants("M=\(m) N=\(n) K=\(k)") {
      let plan = Gemm.Plan.cpu(rows: m, columns: n, threads: bench.threadCount)
      let kernel = try executor.compile(try Gemm.kernel(plan: plan))
      let block = (rows: plan.rows, columns: plan.columns, inner: plan.inner)
      let (a, b) = (try random([m, k], 1), try random([k, n], 2))
      let c = try Tensor(zeros: .float32, [m, n])
      let flops = 2 * Double(m) * Double(n) * Double(k)
      // Short calls are timed many at once, so that the clock's own cost does not show.
      let calls = max(1, Int(2e8 / flops))
      // The bare microkernel runs between the repeats, so that both see the same clock and the same neighbours.
      var (times, bare, loop): ([Double], [Double], [Double]) = ([], [], [])
      for _ in 0...max(10, bench.repeats) {
        let start = ContinuousClock.now
        for _ in 0..<calls { try kernel.run([a, b, c]) }
        times.append(seconds(since: start) / Double(calls))
        let middle = ContinuousClock.now
        let done = executor.runMicrokernel(rounds: 320 / bench.threadCount + 1)
        bare.append(seconds(since: middle) / Double(done))
        let last = ContinuousClock.now
        for _ in 0..<calls { executor.runProductLoop(a, b, into: c, block: block) }
        loop.append(seconds(since: last) / Double(calls))
      }
      let time = median(times.dropFirst())
      let shape = "M=\(m) N=\(n) K=\(k)"
      bench.report("gemm", shape, milliseconds: time * 1e3, rate: ("gflops", flops / time / 1e9))
      let floor = median(bare.dropFirst()) * flops
      bench.report(
        "gemm", shape, milliseconds: floor * 1e3, rate: ("gflops", flops / floor / 1e9), peer: "microkernel")
      let plain = median(loop.dropFirst())
      bench.report(
        "gemm", shape, milliseconds: plain * 1e3, rate: ("gflops", flops / plain / 1e9), peer: "loop")
    }
  }

  private func median(_ times: ArraySlice<Double>) -> Double { times.sorted()[times.count / 2] }

  /// Numbers in −1…1.
  private func random(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
    let tensor = try Tensor(zeros: .float32, shape)
    var state = seed
    tensor.withMutableElements(as: Float.self) { span in
      for index in span.indices {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        span[index] = Float(Int32(truncatingIfNeeded: state >> 32)) / 2_147_483_648
      }
    }
    return tensor
  }
}
