public import Memory
public import Tiles

/// One position of H3 for each sequence: the projections to queries, keys and values, the shift state space, the diagonal one, and both
/// gates.
///
/// Positions are taken up in parts of ``part`` and spans of ``span``. What all earlier parts give to a position is known when its part
/// begins (``H3Part``, ``H3Span``); a step adds what came since, so that states are read and written once a span, and inputs once a part:
/// k̃ = a_f + Σ_j K[f−j] k_j + (K[0] + D_k) k_f, x_f = k̃ v, y = (b_f + Σ_j h[f−j] x_j + (h[0] + D) x_f) q, with j over the positions of the
/// part before this one, f.
/// Each half of it has a memory of one number a position: k_j or x_j where they are known, a_j or b_j where they are not yet.
/// A task takes some channels of up to ``rows`` sequences: what came before is read while products are made, and what the
/// projections give to its channels never leaves registers.
/// Floor: weights, 6·D² bytes, up to P numbers of both memories read and one of each written, 8·(P + 1)·B·D, rows and results, 4·B·D, over
/// the memory bandwidth.
///
/// Fu et al., 2022, arXiv:2212.14052: the recurrence of its section 3, with the spans of its state passing.
public enum H3Step {
  /// Positions of a span, C.
  public static let span = 16
  /// Positions of a part of a span, P.
  public static let part = 4
  /// Sequences of a task.
  static let rows = 64

  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Channels, D.
    public var width: Int
    /// What rows, weights and results are, and what keys are rounded to, as they are kept.
    public var type: ElementType
    /// Channels of a task.
    public var channels: Int
    /// Steps along the width that may be loaded ahead.
    public var stages: Int

    /// Sizes of one layer.
    ///
    /// - Parameters:
    ///   - type: float32 or bfloat16.
    ///   - cores: that channels are dealt out to.
    public init(width: Int, type: ElementType, cores: Int) {
      (self.width, self.type) = (width, type)
      channels = min(Self.mostChannels, 8 * max(1, (width + 8 * cores - 1) / (8 * cores)))
      stages = max(1, min(12, Self.stageBytes / (2 * Self.step * (H3Step.rows + 3 * channels))))
    }

    /// Channels there is room for, of whole tasks: those past the width have weights and taps of 0.
    public var paddedWidth: Int { (width + channels - 1) / channels * channels }

    /// Channels of which there are registers for all numbers of a part.
    private static let mostChannels = 16
    /// Numbers along the width that a step takes: 128 bytes of 16-bit numbers, as wide as bulk copies and matrix units share a pattern.
    static let step = 64
    /// Shared memory that stages may take.
    private static let stageBytes = 180 << 10
  }

  /// Arguments: clock int32 `[1]`, the steps before this one; rows x `[B, width]`; weights `[3·D, width]` and biases float32 `[3·D]` of
  /// queries, keys and values, those of a task's channels behind each other (``Shape/channels``); then for the keys and for the inputs of
  /// the diagonal state space a memory float32 `[D, C, B]`, of which one place is changed, taps float32 `[2P, D]`, and the factor of the
  /// number itself, `[D]`; y `[B, D]`. D is ``Shape/paddedWidth``.
  ///
  /// Row i of the taps is the filter's number P − i for 0 < i < P, 1 at P, and 0 elsewhere, so that P rows of them, which begin as many rows
  /// before P as there are positions of the part before this one, have all factors of the part in them.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("h3_step_\(shape.channels)_\(shape.type.rawValue)") { k in
      let batch = k.extent("B")
      let (d, channels) = (Index(shape.paddedWidth), Index(shape.channels))
      let (c, part) = (Index(Self.span), Index(Self.part))
      let clock = k.input("clock", .int32, [1])
      let x = k.input("x", shape.type, [batch, Index(shape.width)])
      let w = k.input("W", shape.type, [3 * d, Index(shape.width)])
      let bias = k.input("bias", .float32, [3 * d])
      func half(_ name: String) -> (memory: TensorParameter, taps: TensorParameter, own: TensorParameter) {
        (
          k.update(name, .float32, [d, c, batch]), k.input("\(name)Taps", .float32, [2 * part, d]),
          k.input("\(name)Own", .float32, [d])
        )
      }
      let halves = ["keys", "inputs"].map(half)
      let y = k.output("y", shape.type, [batch, d])
      var schedule = Kernel.Schedule.early
      schedule.prefetched = [w.number]
      k.grid([d / channels, batch.ceilDiv(Index(Self.rows))], schedule: schedule) { task in
        let (channel, row) = (task[0] * channels, task[1] * Index(Self.rows))
        let valid = (batch - row).min(Index(Self.rows))
        let place = Index.element(tensor: clock.number, at: [0]) % c
        func zeros(_ columns: Int) -> Tile {
          k.filled(0, rows: Self.rows, columns: columns, validRows: valid, validColumns: Index(columns))
        }
        /// Numbers of channels, for each row: in registers, so that they are on their way while products are made.
        func perChannel(_ tensor: TensorParameter, _ at: [Index], count: Int = shape.channels) -> Tile {
          let copies = zeros(count)
          k.assign(copies, k.load(tensor, at: at, columns: count, validColumns: Index(count)))
          return copies
        }
        // Asked for together, and used once the products are there.
        let known = halves.map { half in
          (0..<Self.part).map { number in
            (
              number: k.load(
                half.memory, at: [channel, place / part * part + Index(number), row], rows: Self.rows,
                columns: shape.channels,
                rowAxis: 2, columnAxis: 0, validRows: valid, validColumns: channels),
              tap: perChannel(half.taps, [part - place % part + Index(number), channel])
            )
          }
        }
        let own = halves.map { perChannel($0.own, [channel]) }
        let (first, step) = (3 * channel, Index(Shape.step))
        let biases = perChannel(bias, [first], count: 3 * shape.channels)
        let projected = zeros(3 * shape.channels)
        k.pipeline(
          steps: Index(shape.width).ceilDiv(step), stages: shape.stages,
          load: { number in
            [
              k.load(x, at: [row, number * step], rows: Self.rows, columns: Shape.step),
              k.load(
                w, at: [first, number * step], rows: 3 * shape.channels, columns: Shape.step,
                validRows: 3 * channels),
            ]
          },
          compute: { _, tiles in k.matmul(into: projected, tiles[0], tiles[1], transposesRight: true) })
        let z = k.map(.add, projected, biases)
        func projection(_ number: Int) -> Tile {
          k.columns(of: z, from: number * shape.channels, count: shape.channels)
        }
        let (query, key, value) = (projection(0), projection(1), projection(2))
        /// The sum at this position, to which a number of its own belongs.
        func sum(_ half: Int, _ number: Tile) -> Tile {
          known[half].reduce(k.map(.multiply, number, own[half])) { k.map(.fma, $1.number, $1.tap, $0) }
        }
        // What is kept is what counts, now as later.
        let kept = k.map(.multiply, k.cast(key, to: shape.type), 1.0)
        let input = k.map(.multiply, sum(0, kept), value)
        k.store(k.map(.multiply, sum(1, input), query), to: y, at: [row, channel])
        for (half, number) in zip(halves, [kept, input]) {
          k.store(number, to: half.memory, at: [channel, place, row], rowAxis: 2, columnAxis: 0)
        }
      }
    }
  }
}
