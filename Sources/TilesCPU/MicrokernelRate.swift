internal import CMicrokernels
public import Memory
internal import Synchronization

extension CPUExecutor {
  /// Runs the bare float32 microkernel on every thread over blocks that stay in cache, and returns how many floating
  /// point operations were done: what a matrix product would reach if its operands cost nothing to bring.
  ///
  /// - Parameter rounds: blocks of 96 × 128 × 256 for each thread, 6.3 Mflop each; some hundreds drown the start.
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

  /// C `[M, N]` = A `[M, K]` · B `[K, N]` in float32 by plain loops over the routines that a recorded product ends up
  /// in, with blocks of the same sizes: what it costs without a program that is interpreted.
  ///
  /// - Parameter block: rows, columns and inner extent of a task's blocks.
  /// - Precondition: dense float32 tensors that fit together.
  public func runProductLoop(
    _ a: Tensor, _ b: Tensor, into c: Tensor, block: (rows: Int, columns: Int, inner: Int)
  ) {
    let (m, n, k) = (a.shape[0], b.shape[1], a.shape[1])
    precondition(b.shape[0] == k && c.shape == [m, n], "the sides do not fit")
    let across = (n + block.columns - 1) / block.columns
    let tasks = (m + block.rows - 1) / block.rows * across
    let room = (block.columns + 15) / 16 * 16 * block.inner
    turn.withLock { _ in
      pool.run { number in
        let worker = workers.workers[number]
        var space = [Float](
          repeating: 0, count: room + Worker.rowBlock * (block.inner + Worker.copyPadding))
        unsafe space.withUnsafeMutableBufferPointer { space in
          guard let packed = space.baseAddress else { return }
          for task in stride(from: number, to: tasks, by: threads) {
            let (row, column) = (task / across * block.rows, task % across * block.columns)
            let (rows, columns) = (min(block.rows, m - row), min(block.columns, n - column))
            for first in stride(from: 0, to: k, by: block.inner) {
              let inner = min(block.inner, k - first)
              let (right, to) = unsafe (
                b.address + (first * n + column) * 4,
                (c.address + (row * n + column) * 4).assumingMemoryBound(to: Float.self)
              )
              unsafe microkernels.packColumns(GW_F32, inner, columns, right, n * 4, packed)
              unsafe worker.multiply(
                rows, columns, inner,
                a: LeftOperand(base: a.address + (row * k + first) * 4, row: k, column: 1),
                b: (UnsafePointer(packed), 16, 16 * inner), c: (to, n), first > 0 ? 1 : 0,
                copy: packed + room)
            }
          }
        }
      }
    }
  }
}
