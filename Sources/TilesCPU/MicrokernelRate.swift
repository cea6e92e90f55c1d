internal import Synchronization

extension CPUExecutor {
  /// Runs the bare float32 microkernel on every thread over blocks that stay in cache, and returns how many floating
  /// point operations were done: the rate that a matrix product cannot pass on this machine.
  ///
  /// - Parameter rounds: blocks of 96 × 128 × 256 for each thread.
  public func runMicrokernel(rounds: Int) -> Int {
    let (m, n, k) = (96, 128, 256)
    turn.withLock { _ in
      pool.run { _ in
        let (a, b) = ([Float](repeating: 0, count: m * k), [Float](repeating: 0, count: n * k))
        var c = [Float](repeating: 0, count: m * n)
        unsafe c.withUnsafeMutableBufferPointer { c in
          for _ in 0..<max(0, rounds) {
            unsafe microkernels.matmul(m, n, k, a, k, 1, b, 16, 16 * k, c.baseAddress, n, 1)
          }
        }
      }
    }
    return 2 * m * n * k * max(0, rounds) * threads
  }
}
