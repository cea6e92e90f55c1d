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
    /// Channels of a task.
    public var rows = 16
    /// Sequences of a task, which share what is known of its channels.
    public var sequences = 4
    /// Sequences of a task that are read before the first of them is computed: 1 where few are in hand.
    public var together = 1

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
    try Kernel("h3_step_\(shape.taps)_\(shape.modes)_\(shape.keys.rawValue)_\(shape.together)") { k in
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
        let own = (batch - task[1] * share).min(share)
        let together = max(1, shape.together)
        k.loop(own.ceilDiv(Index(together))) { step in
          // Behind the last sequence that one is read again, and not used.
          let sequences = (0..<together).map {
            task[1] * share + (step * Index(together) + Index($0)).min(own - 1)
          }
          let read = sequences.map { Read($0, k, shape, channel, z, states, ring) }
          func finish(_ sequence: Index, _ read: Read) {
            let slot = Index.element(tensor: positions.number, at: [sequence]) % t
            let start = (t - slot) % t
            let products = read.past.enumerated().map { number, past in
              let taps = k.load(
                window,
                at: [
                  channel, start % Index(Self.starts),
                  start / Index(Self.starts) * Index(Self.starts) + Index(number * shape.piece),
                ], rows: shape.rows, columns: shape.piece, rowAxis: 0, validColumns: Index(shape.piece))
              return k.map(.multiply, past, taps)
            }
            let sum = products.dropFirst().reduce(products[0]) { k.map(.add, $0, $1) }
            let shifted = k.map(.fma, factor, read.key, k.rowSum(sum))
            let x = k.map(.multiply, shifted, read.value)
            let before = read.states
            let turned = k.map(
              .fma, known[0], before[0], k.map(.negate, k.map(.multiply, known[1], before[1])))
            let real = k.map(.add, turned, x)
            let imaginary = k.map(.fma, known[0], before[1], k.map(.multiply, known[1], before[0]))
            let output = k.rowSum(
              k.map(
                .subtract, k.map(.multiply, known[2], real), k.map(.multiply, known[3], imaginary)))
            k.store(real, to: states[0], at: [sequence, channel, 0])
            k.store(imaginary, to: states[1], at: [sequence, channel, 0])
            k.store(read.key, to: written, at: [sequence, channel, slot], rowAxis: 1)
            k.store(
              k.map(.multiply, k.map(.fma, direct, x, output), read.query), to: y, at: [sequence, channel],
              rowAxis: 1)
          }
          for number in 0..<together {
            if number == 0 {
              finish(sequences[0], read[0])
            } else {
              k.when(step * Index(together) + Index(number), lessThan: own) {
                finish(sequences[number], read[number])
              }
            }
          }
        }
      }
    }
  }

  /// What a sequence's position takes from memory, asked for in the order in which it takes long to come.
  private struct Read {
    let states: [Tile]
    /// Earlier keys, in pieces of the ring.
    let past: [Tile]
    let query: Tile
    /// As it is kept, for what is kept is what counts, now as later.
    let key: Tile
    let value: Tile

    init(
      _ sequence: Index, _ k: Recorder, _ shape: Shape, _ channel: Index, _ z: TensorParameter,
      _ states: [TensorParameter], _ ring: TensorParameter
    ) {
      self.states = states.map {
        k.cast(
          k.load($0, at: [sequence, channel, 0], rows: shape.rows, columns: shape.modes), to: .float32)
      }
      past = stride(from: 0, to: shape.taps, by: shape.piece).map {
        k.cast(
          k.load(
            ring, at: [sequence, channel, Index($0)], rows: shape.rows, columns: shape.piece,
            validColumns: Index(shape.piece)), to: .float32)
      }
      let parts = (0..<3).map {
        k.load(z, at: [sequence, Index($0), channel], rows: shape.rows, columns: 1, rowAxis: 2)
      }
      (query, value) = (parts[0], parts[2])
      key = k.map(.multiply, k.cast(parts[1], to: shape.keys), 1.0)
    }
  }
}
