public import Memory
public import Tiles

/// One position of H3 for each sequence: the shift state space, the diagonal one, and both gates.
///
/// Positions are taken up in spans of ``span``. What all earlier spans give to a position is known when its span begins
/// (``H3Span``); a step adds what came since, so that states are read and written once a span: with f positions before this one,
/// k̃ = a_f + Σ_{j<f} K[f−j] k_j + (K[0] + D_k) k_f, x_f = k̃ v, y = (b_f + Σ_{j<f} h[f−j] x_j + (h[0] + D) x_f) q.
/// Each half of it has a memory of one number a position: k_j or x_j where they are known, a_j or b_j where they are not yet.
/// Floor: both memories read and written, 16·C·B·D bytes, the step's rows and results, 14·B·D, over the memory bandwidth.
///
/// Fu et al., 2022, arXiv:2212.14052: the recurrence of its section 3, with the spans of its state passing.
public enum H3Step {
  /// Positions of a span, C.
  public static let span = 16

  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Channels, D.
    public var width: Int
    /// What keys are rounded to, as they are kept.
    public var keys: ElementType
    /// Type of the result.
    public var output: ElementType
    /// Channels of a task.
    public var rows = 32
    /// Sequences of a task, which share what is known of its channels.
    public var sequences = 4

    /// Sizes of one layer.
    public init(width: Int, keys: ElementType, output: ElementType) {
      (self.width, self.keys, self.output) = (width, keys, output)
    }
  }

  /// Arguments: clock int32 `[1]`, the steps before this one; z float32 `[B, 3, D]` (queries, keys, values); then for the keys and for
  /// the inputs x of the diagonal state space a memory float32 `[B, D, C]`, of which one place is changed, taps float32 `[D, 2C]`, and the
  /// factor of the number itself, `[D]`; y `[B, D]`.
  ///
  /// `taps[i]` is the filter's number C − i for 0 < i < C, 1 at C, and 0 elsewhere, so that a row of C of them that begins at C − f has all
  /// factors of a memory in it.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("h3_step_\(shape.keys.rawValue)_\(shape.output.rawValue)") { k in
      let batch = k.extent("B")
      let (d, c) = (Index(shape.width), Index(Self.span))
      let clock = k.input("clock", .int32, [1])
      let z = k.input("z", .float32, [batch, 3, d])
      func half(_ name: String) -> (memory: TensorParameter, taps: TensorParameter, own: TensorParameter) {
        (
          k.update(name, .float32, [batch, d, c]), k.input("\(name)Taps", .float32, [d, 2 * c]),
          k.input("\(name)Own", .float32, [d])
        )
      }
      let halves = ["keys", "inputs"].map(half)
      let y = k.output("y", shape.output, [batch, d])
      let (rows, share) = (Index(shape.rows), Index(shape.sequences))
      var schedule = Kernel.Schedule.early
      schedule.prefetched = Set(halves.flatMap { [$0.memory.number, $0.own.number] })
      k.grid([d.ceilDiv(rows), batch.ceilDiv(share)], schedule: schedule) { task in
        let channel = task[0] * rows
        let place = Index.element(tensor: clock.number, at: [0]) % c
        func perChannel(_ tensor: TensorParameter, _ at: [Index]) -> Tile {
          k.load(tensor, at: at, rows: shape.rows, columns: 1, rowAxis: at.count - 1)
        }
        let known = halves.map { half in
          (
            taps: k.load(
              half.taps, at: [channel, c - place], rows: shape.rows, columns: Self.span, validColumns: c),
            own: perChannel(half.own, [channel])
          )
        }
        k.loop((batch - task[1] * share).min(share)) { step in
          let sequence = task[1] * share + step
          // Before the rows that are awaited: what takes longest to come is asked for first.
          let past = halves.map { half in
            k.load(
              half.memory, at: [sequence, channel, 0], rows: shape.rows, columns: Self.span, validColumns: c)
          }
          let parts = (0..<3).map { perChannel(z, [sequence, Index($0), channel]) }
          /// The sum at this position, to which a number of its own belongs.
          func sum(_ half: Int, _ own: Tile) -> Tile {
            k.map(.fma, known[half].own, own, k.rowSum(k.map(.multiply, past[half], known[half].taps)))
          }
          // What is kept is what counts, now as later.
          let key = k.map(.multiply, k.cast(parts[1], to: shape.keys), 1.0)
          let x = k.map(.multiply, sum(0, key), parts[2])
          let result = k.map(.multiply, sum(1, x), parts[0])
          // Rows go back whole, so that a lane writes what it read itself, whatever comes first.
          for (half, (before, number)) in zip(halves, zip(past, [key, x])) {
            let column = MapValue.column(offset: 0)
            let from = k.map(.selectGreaterEqual, column, place, number, before)
            k.store(
              k.map(.selectGreaterEqual, column, place + 1, before, from), to: half.memory,
              at: [sequence, channel, 0])
          }
          k.store(result, to: y, at: [sequence, channel], rowAxis: 1)
        }
      }
    }
  }
}
