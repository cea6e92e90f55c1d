public import Memory
public import Tiles

/// H3 of whole sequences, chunk by chunk: y = q · (K_d ∗ ((K_s ∗ k) · v)) and the states behind the last position.
///
/// A task runs a channel of up to 64 sequences from the first chunk to the last. Within a chunk both convolutions are products with
/// triangular matrices T[s, t] = K[t − s]; what came before counts through the chunk before (the shift's taps reach no further) and
/// through the states s of the modes, y_t += Re Σ_n c_n Ā_n^(t+1) s_n, which stay in registers as in ``DiagonalStates``. Factors of
/// 16-bit numbers are sums of two such numbers, so that only k, v, q and what the gates give are rounded.
/// Floor: k, v, q and y once over the memory bandwidth, 8·B·H·L bytes, 144 µs for 64 sequences of 1,536 in 768 channels at 4.2 TB/s;
/// 2·B·H·L·(6·64 + 10·N) flops, 135 µs at 790 TFLOP/s, beside which a task's elementwise steps do not run.
///
/// Fu et al., 2022, arXiv:2212.14052: the recurrence of its section 3 and state passing, with chunks of 64 for its transforms.
public enum H3Chunks {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Complex modes of a channel, N.
    public var modes: Int
    /// Type of the sequences: float32, or 16 bits, for which factors come as sums of two such numbers.
    public var type: ElementType
    /// Sequences of a task.
    public var rows = 64
    /// Chunks that may be loaded ahead.
    public var stages = 4
    /// How groups of threads share a task.
    public var schedule = Kernel.Schedule()

    /// Sizes with the default tiles.
    public init(modes: Int, type: ElementType) { (self.modes, self.type) = (modes, type) }

    /// Numbers that a factor is the sum of.
    public var parts: Int { type == .float32 ? 1 : 2 }

    /// Columns of a tile of modes.
    var columns: Int { (modes + 15) / 16 * 16 }
  }

  /// Positions of a chunk, and taps of the shift at most.
  public static let chunk = 64

  /// Arguments: keys, values and queries `[B, H, L]`, L a multiple of the chunk, as they lie in any arrays; factors of the sequences'
  /// type: shift `[H, parts, 2 · chunk, chunk]`, `shift[s, t] = K_s[chunk + t − s]` with the skip in K_s[0], near `[H, parts, chunk,
  /// chunk]`, `near[s, t] = K_d[t − s]` likewise, far, of the real and of the imaginary parts of states, `[H, parts, N, chunk]`: the real
  /// part of c Ā^(t+1), and minus the imaginary; powers Ā^(chunk − 1 − s), real and imaginary, `[H, parts, chunk, N]`; then
  /// Ā^chunk, real and imaginary, float32 `[H, N]`; states, real and imaginary, float32 `[B, H, N]`; y `[B, H, L]`.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("h3_chunks_\(shape.modes)_\(shape.type.rawValue)") { k in
      let (batch, channels, length) = (k.extent("B"), k.extent("H"), k.extent("L"))
      let (n, chunk, rows) = (Index(shape.modes), Index(Self.chunk), Index(shape.rows))
      let parts = Index(shape.parts)
      let sequences = ["keys", "values", "queries"].map {
        k.input($0, shape.type, [batch, channels, length])
      }
      let shift = k.input("shift", shape.type, [channels, parts, 2 * chunk, chunk])
      let near = k.input("near", shape.type, [channels, parts, chunk, chunk])
      let far = ["farReal", "farImaginary"].map { k.input($0, shape.type, [channels, parts, n, chunk]) }
      let powers = ["powerReal", "powerImaginary"].map {
        k.input($0, shape.type, [channels, parts, chunk, n])
      }
      let turns = ["turnReal", "turnImaginary"].map { k.input($0, .float32, [channels, n]) }
      let states = ["real", "imaginary"].map { k.output($0, .float32, [batch, channels, n]) }
      let y = k.output("y", shape.type, [batch, channels, length])
      k.grid([channels, batch.ceilDiv(rows)], schedule: shape.schedule) { task in
        let (channel, first) = (task[0], task[1] * rows)
        let valid = (batch - first).min(rows)
        func zeros(_ columns: Int, valid columnsThere: Index) -> Tile {
          k.filled(0, rows: shape.rows, columns: columns, validRows: valid, validColumns: columnsThere)
        }
        /// The parts of a channel's factor.
        func factor(_ tensor: TensorParameter, from row: Index = 0, rows: Int, columns: Int) -> [Tile] {
          (0..<shape.parts).map {
            k.load(
              tensor, at: [channel, Index($0), row, 0], rows: rows, columns: columns,
              validRows: rows == Self.chunk ? chunk : n,
              validColumns: columns == Self.chunk ? chunk : n)
          }
        }
        let side = Self.chunk
        let sums = states.map { _ in zeros(shape.columns, valid: n) }
        let before = factor(shift, rows: side, columns: side)
        let now = factor(shift, from: chunk, rows: side, columns: side)
        let within = factor(near, rows: side, columns: side)
        let results = far.map { factor($0, rows: shape.columns, columns: side) }
        let inputs = powers.map { factor($0, rows: side, columns: shape.columns) }
        let turn = turns.map { k.load($0, at: [channel, 0], columns: shape.columns) }
        let previous = k.cast(zeros(side, valid: chunk), to: shape.type)
        k.pipeline(
          steps: length / chunk, stages: shape.stages,
          load: { step in
            sequences.map {
              k.load(
                $0, at: [first, channel, step * chunk], rows: shape.rows, columns: side, rowAxis: 0,
                validRows: valid, validColumns: chunk)
            }
          },
          compute: { step, tiles in
            let shifted = k.matmul(previous, before[0])
            for part in before.dropFirst() { k.matmul(into: shifted, previous, part) }
            for part in now { k.matmul(into: shifted, tiles[0], part) }
            let x = k.cast(k.map(.multiply, shifted, tiles[1]), to: shape.type)
            k.assign(previous, tiles[0])
            let result = k.matmul(x, within[0])
            for part in within.dropFirst() { k.matmul(into: result, x, part) }
            for (sum, parts) in zip(sums, results) {
              let state = k.cast(sum, to: shape.type)
              for part in parts { k.matmul(into: result, state, part) }
              if shape.parts > 1 {
                k.matmul(into: result, k.cast(k.map(.subtract, sum, state), to: shape.type), parts[0])
              }
            }
            k.store(
              k.map(.multiply, result, tiles[2]), to: y, at: [first, channel, step * chunk], rowAxis: 0)
            let lost = k.map(.negate, k.map(.multiply, turn[1], sums[1]))
            let real = k.map(.fma, turn[0], sums[0], lost)
            k.assign(sums[1], k.map(.fma, turn[0], sums[1], k.map(.multiply, turn[1], sums[0])))
            k.assign(sums[0], real)
            for (sum, parts) in zip(sums, inputs) {
              for part in parts { k.matmul(into: sum, x, part) }
            }
          })
        for (sum, tensor) in zip(sums, states) {
          k.store(sum, to: tensor, at: [first, channel, 0], rowAxis: 0)
        }
      }
    }
  }
}
