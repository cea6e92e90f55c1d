public import Memory
public import Tiles

/// One position of diagonal state spaces for each sequence: s ← Ā s + x, y = act(Re Σ_n c_n s_n + D x).
///
/// Floor: states read and written over the memory bandwidth, 16·N·B·D bytes.
///
/// Gu et al., 2022, arXiv:2206.11893: S4D as a recurrence.
public enum DiagonalStep {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Channels, D.
    public var width: Int
    /// Complex modes of a channel, N.
    public var modes: Int
    /// What follows.
    public var activation: Activation?
    /// Type of x and y.
    public var type: ElementType
    /// Channels of a task.
    public var rows = 16
    /// Sequences of a task, which share what is known of its channels.
    public var sequences = 4

    /// Sizes of one layer.
    public init(width: Int, modes: Int, activation: Activation?, type: ElementType) {
      (self.width, self.modes, self.activation, self.type) = (width, modes, activation, type)
    }
  }

  /// Arguments: x `[B, D]`; poles Ā and residues c, real and imaginary, float32 `[D, N]` each; skip float32 `[D]`; states, real and
  /// imaginary, float32 `[B, D, N]`, which are updated; y `[B, D]`.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    let last = shape.activation.map { "_\($0.rawValue)" } ?? ""
    return try Kernel("diagonal_step_\(shape.modes)_\(shape.type.rawValue)\(last)") { k in
      let batch = k.extent("B")
      let (d, n) = (Index(shape.width), Index(shape.modes))
      let x = k.input("x", shape.type, [batch, d])
      let modes = ["poleReal", "poleImaginary", "residueReal", "residueImaginary"].map {
        k.input($0, .float32, [d, n])
      }
      let skip = k.input("skip", .float32, [d])
      let states = ["real", "imaginary"].map { k.update($0, .float32, [batch, d, n]) }
      let y = k.output("y", shape.type, [batch, d])
      let (rows, share) = (Index(shape.rows), Index(shape.sequences))
      var schedule = Kernel.Schedule.early
      schedule.prefetched = Set((modes + states).map(\.number))
      k.grid([d.ceilDiv(rows), batch.ceilDiv(share)], schedule: schedule) { task in
        let channel = task[0] * rows
        let known = modes.map { k.load($0, at: [channel, 0], rows: shape.rows, columns: shape.modes) }
        let direct = k.load(skip, at: [channel], rows: shape.rows, rowAxis: 0)
        k.loop((batch - task[1] * share).min(share)) { step in
          let sequence = task[1] * share + step
          let input = k.load(x, at: [sequence, channel], rows: shape.rows, rowAxis: 1, as: .float32)
          let before = states.map {
            k.load($0, at: [sequence, channel, 0], rows: shape.rows, columns: shape.modes)
          }
          let lost = k.map(.negate, k.map(.multiply, known[1], before[1]))
          let real = k.map(.add, k.map(.fma, known[0], before[0], lost), input)
          let imaginary = k.map(.fma, known[0], before[1], k.map(.multiply, known[1], before[0]))
          let sum = k.rowSum(
            k.map(.subtract, k.map(.multiply, known[2], real), k.map(.multiply, known[3], imaginary)))
          k.store(real, to: states[0], at: [sequence, channel, 0])
          k.store(imaginary, to: states[1], at: [sequence, channel, 0])
          let result = k.map(.fma, direct, input, sum)
          k.store(
            shape.activation?.apply(to: result, k) ?? result, to: y, at: [sequence, channel], rowAxis: 1)
        }
      }
    }
  }
}
