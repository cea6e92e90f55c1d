public import Memory
public import Tiles

/// States of diagonal state spaces after whole sequences: s = Σ_t Ā^(L−1−t) x_t, as a sum of products of matrices.
///
/// Sequences are taken up in chunks: the state is turned by Ā to the power of a chunk's length, and the chunk's numbers times powers of
/// Ā are added. A task runs a channel of up to 64 sequences from the first chunk to the last, its states in registers.
/// Floor: x once over the memory bandwidth, and 8·B·H·L·N flops.
///
/// Fu et al., 2022, arXiv:2212.14052, state passing.
public enum DiagonalStates {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Complex modes of a channel, N.
    public var modes: Int
    /// Type of the sequences: float32, or 16 bits, for which powers come as sums of two such numbers.
    public var type: ElementType
    /// Positions of a chunk.
    public var chunk = 64
    /// Sequences of a task.
    public var rows = 64
    /// Chunks that may be loaded ahead.
    public var stages = 3
    /// How groups of threads share a task.
    public var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)

    /// Sizes with the default tiles.
    public init(modes: Int, type: ElementType) { (self.modes, self.type) = (modes, type) }

    /// Numbers that a power is the sum of.
    public var parts: Int { type == .float32 ? 1 : 2 }

    /// Columns of a tile of modes.
    var columns: Int { (modes + 15) / 16 * 16 }
  }

  /// Arguments: x `[B, H, L]`, L a multiple of the chunk; powers Ā^(chunk − 1 − i), real and imaginary, `[H, parts, chunk, N]` of the
  /// sequences' type; Ā^chunk, real and imaginary, float32 `[H, N]`; states, real and imaginary, float32 `[B, H, N]`.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("diagonal_states_\(shape.modes)_\(shape.type.rawValue)") { k in
      let (batch, channels, length) = (k.extent("B"), k.extent("H"), k.extent("L"))
      let (n, chunk, rows) = (Index(shape.modes), Index(shape.chunk), Index(shape.rows))
      let x = k.input("x", shape.type, [batch, channels, length])
      let powers = ["powerReal", "powerImaginary"].map {
        k.input($0, shape.type, [channels, Index(shape.parts), chunk, n])
      }
      let turns = ["turnReal", "turnImaginary"].map { k.input($0, .float32, [channels, n]) }
      let states = ["real", "imaginary"].map { k.output($0, .float32, [batch, channels, n]) }
      k.grid([channels, batch.ceilDiv(rows)], schedule: shape.schedule) { task in
        let (channel, first) = (task[0], task[1] * rows)
        let valid = (batch - first).min(rows)
        let sums = states.map { _ in
          k.filled(0, rows: shape.rows, columns: shape.columns, validRows: valid, validColumns: n)
        }
        let factors = powers.map { tensor in
          (0..<shape.parts).map {
            k.load(tensor, at: [channel, Index($0), 0, 0], rows: shape.chunk, columns: shape.columns)
          }
        }
        let turn = turns.map { k.load($0, at: [channel, 0], columns: shape.columns) }
        k.pipeline(
          steps: length / chunk, stages: shape.stages,
          load: { step in
            [
              k.load(
                x, at: [first, channel, step * chunk], rows: shape.rows, columns: shape.chunk, rowAxis: 0,
                validRows: valid, validColumns: chunk)
            ]
          },
          compute: { _, tiles in
            let lost = k.map(.negate, k.map(.multiply, turn[1], sums[1]))
            let real = k.map(.fma, turn[0], sums[0], lost)
            k.assign(sums[1], k.map(.fma, turn[0], sums[1], k.map(.multiply, turn[1], sums[0])))
            k.assign(sums[0], real)
            for (sum, parts) in zip(sums, factors) {
              for part in parts { k.matmul(into: sum, tiles[0], part) }
            }
          })
        for (sum, tensor) in zip(sums, states) {
          k.store(sum, to: tensor, at: [first, channel, 0], rowAxis: 0)
        }
      }
    }
  }
}
