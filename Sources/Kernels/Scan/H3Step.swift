public import Memory
public import Tiles

/// One position of H3 for each sequence: the shift state space, the diagonal one, and both gates.
///
/// k̃ = Σ_l K[l] k_{p−l} + D_k k_p, s ← Ā s + k̃ v, y = (Re Σ_n c_n s_n + D k̃ v) q. Earlier keys lie in a ring, position p at
/// place p modulo T, so that one of them is written and none moves; where the position is, is data.
/// Floor: states read and written, rings read, over the memory bandwidth: (16·N + T·bytes of a key)·B·D.
///
/// Fu et al., 2022, arXiv:2212.14052, appendix on recurrent inference.
public enum H3Step {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Channels, D.
    public var width: Int
    /// Places of a ring, T: taps of the shift state space.
    public var taps: Int
    /// Complex modes of a channel, N.
    public var modes: Int
    /// What keys are kept as.
    public var keys: ElementType
    /// Type of the result.
    public var output: ElementType
    /// Channels of a task. Timed on an H200 for 64 and 256 sequences: 8 and 16 took 8 to 14 % longer, as did 2 and 8 sequences.
    public var rows = 32
    /// Sequences of a task, which share what is known of its channels.
    public var sequences = 4

    /// Widths in which rings are read: that of the modes where it divides them, so that no lane is left without numbers.
    var piece: Int { taps % modes == 0 ? modes : taps }

    /// Sizes of one layer.
    public init(width: Int, taps: Int, modes: Int, keys: ElementType, output: ElementType) {
      (self.width, self.taps, self.modes) = (width, taps, modes)
      (self.keys, self.output) = (keys, output)
    }
  }

  /// Places at which a window may begin within a vector of any type.
  public static let starts = 8

  /// Arguments: positions int32 `[B]`; z float32 `[B, 3, D]` (queries, keys, values); the ring `[B, D, T]` of type `keys`, which is
  /// read, and again, which is written; window float32 `[D, ``starts``, 2T]`,
  /// `window[a, i] = K[−(a + i) mod T]`, 0 where that is K[0], so that whole vectors are read wherever a ring begins; newest float32 `[D]`,
  /// K[0] + D_k; poles Ā and residues c, real and imaginary, float32 `[D, N]` each; skip `[D]`; states, real and imaginary, float32
  /// `[B, D, N]`, which are updated; y `[B, D]`.
  ///
  /// The place that is written is read too, by factor 0, so both views of the ring may be one memory.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("h3_step_\(shape.taps)_\(shape.modes)_\(shape.keys.rawValue)") { k in
      let batch = k.extent("B")
      let (d, t, n) = (Index(shape.width), Index(shape.taps), Index(shape.modes))
      let positions = k.input("positions", .int32, [batch])
      let z = k.input("z", .float32, [batch, 3, d])
      let ring = k.input("ring", shape.keys, [batch, d, t])
      let written = k.update("written", shape.keys, [batch, d, t])
      let window = k.input("window", .float32, [d, Index(Self.starts), 2 * t])
      let newest = k.input("newest", .float32, [d])
      let modes = ["poleReal", "poleImaginary", "residueReal", "residueImaginary"].map {
        k.input($0, .float32, [d, n])
      }
      let skip = k.input("skip", .float32, [d])
      let states = ["real", "imaginary"].map { k.update($0, .float32, [batch, d, n]) }
      let y = k.output("y", shape.output, [batch, d])
      let (rows, share) = (Index(shape.rows), Index(shape.sequences))
      var schedule = Kernel.Schedule.early
      // All sequences at once: a task that waits for one after the other would leave half of the memory's rate unused.
      schedule.prefetched = Set((modes + states + [ring]).map(\.number))
      k.grid([d.ceilDiv(rows), batch.ceilDiv(share)], schedule: schedule) { task in
        let channel = task[0] * rows
        func perChannel(_ tensor: TensorParameter, _ at: [Index]) -> Tile {
          k.load(tensor, at: at, rows: shape.rows, columns: 1, rowAxis: at.count - 1)
        }
        let known = modes.map { k.load($0, at: [channel, 0], rows: shape.rows, columns: shape.modes) }
        let (factor, direct) = (perChannel(newest, [channel]), perChannel(skip, [channel]))
        k.loop((batch - task[1] * share).min(share)) { step in
          let sequence = task[1] * share + step
          let slot = Index.element(tensor: positions.number, at: [sequence]) % t
          let start = (t - slot) % t
          let parts = (0..<3).map { perChannel(z, [sequence, Index($0), channel]) }
          // What is kept is what counts, now as later.
          let key = k.map(.multiply, k.cast(parts[1], to: shape.keys), 1.0)
          // Read before the keys are awaited: what takes longest to come is asked for first.
          let before = states.map { tensor in
            k.cast(
              k.load(tensor, at: [sequence, channel, 0], rows: shape.rows, columns: shape.modes), to: .float32
            )
          }
          let piece = Index(shape.piece)
          let products = stride(from: 0, to: shape.taps, by: shape.piece).map { number in
            let past = k.load(
              ring, at: [sequence, channel, Index(number)], rows: shape.rows, columns: shape.piece,
              validColumns: piece, as: .float32)
            let taps = k.load(
              window,
              at: [
                channel, start % Index(Self.starts),
                start / Index(Self.starts) * Index(Self.starts) + Index(number),
              ], rows: shape.rows, columns: shape.piece, rowAxis: 0, validColumns: piece)
            return k.map(.multiply, past, taps)
          }
          let sum = products.dropFirst().reduce(products[0]) { k.map(.add, $0, $1) }
          let shifted = k.map(.fma, factor, key, k.rowSum(sum))
          let x = k.map(.multiply, shifted, parts[2])
          let turned = k.map(.fma, known[0], before[0], k.map(.negate, k.map(.multiply, known[1], before[1])))
          let real = k.map(.add, turned, x)
          let imaginary = k.map(.fma, known[0], before[1], k.map(.multiply, known[1], before[0]))
          let output = k.rowSum(
            k.map(
              .subtract, k.map(.multiply, known[2], real), k.map(.multiply, known[3], imaginary)))
          k.store(real, to: states[0], at: [sequence, channel, 0])
          k.store(imaginary, to: states[1], at: [sequence, channel, 0])
          k.store(key, to: written, at: [sequence, channel, slot], rowAxis: 1)
          k.store(
            k.map(.multiply, k.map(.fma, direct, x, output), parts[0]), to: y, at: [sequence, channel],
            rowAxis: 1)
        }
      }
    }
  }
}
