public import Memory
public import Tiles

/// The end of a span of ``H3Step``: its inputs go into the states, and these give the next span what they give to it.
///
/// s ← Ā^C s + Σ_j Ā^(C−1−j) x_j, b_t = Re Σ_n c_n Ā_n^(t+1) s_n, a_t = Σ_{l>t} K[l] k_{−l}, with positions counted from the next
/// span's beginning. A task takes a channel of up to 64 sequences, for which all of these are products of matrices; factors of 16 bits
/// come as sums of two such numbers, and so do numbers of float32 that they are multiplied with.
/// Earlier keys lie in a ring of whole spans, the one of these that began c steps after the prompt at place c modulo its length.
/// Floor: states read and written, the ring read, both memories read and written, 16·(N + C) + bytes of a key·(T + C) for each channel
/// and sequence, over the memory bandwidth; once in C steps.
///
/// Fu et al., 2022, arXiv:2212.14052, state passing.
public enum H3Span {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Complex modes of a channel, N.
    public var modes: Int
    /// Taps of the shift state space.
    public var taps: Int
    /// What keys and factors are kept as: float32, or bfloat16, for which factors come as sums of two such numbers. States may be larger than
    /// float16 has room for.
    public var type: ElementType
    /// Sequences of a task.
    public var rows = 64

    /// Sizes with the default tiles.
    public init(modes: Int, taps: Int, type: ElementType) {
      (self.modes, self.taps, self.type) = (modes, taps, type)
    }

    /// Places of a ring, T: a power of two of spans, so that clocks may begin anew at any larger one.
    public var places: Int {
      var places = H3Step.span
      while places < taps { places *= 2 }
      return places
    }

    /// Numbers that a factor is the sum of.
    public var parts: Int { type == .float32 ? 1 : 2 }

    /// Modes that are in registers at a time.
    fileprivate var piece: Int { min(32, (modes + 15) / 16 * 16) }

    /// How groups of threads share a task: four tasks a core where there are registers and room for what they multiply with.
    fileprivate var schedule: Kernel.Schedule {
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: modes <= piece && places <= 64 ? 4 : 1)
      // Addresses that the compiler knew to stay would fill the registers.
      schedule.bringsOperands = places > 128
      return schedule
    }
  }

  /// States, which are taps and twice the modes, of which a task has room for all that it multiplies with.
  public static let mostStates = 256

  /// Arguments: clock int32 `[1]`, the steps before the span's last; memories of keys and of inputs, float32 `[D, C, B]`, as ``H3Step``
  /// leaves and takes them; the ring `[B, D, T]` of the factors' type, which is read, and again, where the span is written; factors of
  /// the ring, `[D, parts, 2T, C]`, `older[a, t] = K[t + T − a mod T]`, 0 where the span's own place is, a mod T ≥ T − C, and of the span,
  /// `[D, parts, C, C]`, `newer[j, t] = K[t + C − j]`; powers Ā^(C−1−j), real and imaginary, `[D, parts, C, N]`; Ā^C, real and
  /// imaginary, float32 `[D, N]`; states, likewise, float32 `[B, D, N]`; what states give, real and imaginary parts,
  /// `[D, parts, N, C]`: the real part of c Ā^(t+1), and minus the imaginary.
  ///
  /// The place that is written is read too, by factor 0, so both views of the ring may be one memory.
  public static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("h3_span_\(shape.taps)_\(shape.modes)_\(shape.type.rawValue)") { k in
      let (batch, d) = (k.extent("B"), k.extent("D"))
      let (n, t, c) = (Index(shape.modes), Index(shape.places), Index(H3Step.span))
      let (parts, rows, span) = (Index(shape.parts), Index(shape.rows), H3Step.span)
      let clock = k.input("clock", .int32, [1])
      let memories = ["keys", "inputs"].map { k.update($0, .float32, [d, c, batch]) }
      let ring = k.input("ring", shape.type, [batch, d, t])
      let written = k.update("written", shape.type, [batch, d, t])
      let older = k.input("older", shape.type, [d, parts, 2 * t, c])
      let newer = k.input("newer", shape.type, [d, parts, c, c])
      let powers = ["powerReal", "powerImaginary"].map { k.input($0, shape.type, [d, parts, c, n]) }
      let turns = ["turnReal", "turnImaginary"].map { k.input($0, .float32, [d, n]) }
      let states = ["real", "imaginary"].map { k.update($0, .float32, [batch, d, n]) }
      let far = ["farReal", "farImaginary"].map { k.input($0, shape.type, [d, parts, n, c]) }
      k.grid([d, batch.ceilDiv(rows)], schedule: shape.schedule) { task in
        let (channel, first) = (task[0], task[1] * rows)
        let valid = (batch - first).min(rows)
        let place = Index.element(tensor: clock.number, at: [0]) / c * c % t
        /// The sequences' rows of a channel.
        func load(
          _ tensor: TensorParameter, from column: Int = 0, _ columns: Int, valid validColumns: Index
        ) -> Tile {
          k.load(
            tensor, at: [first, channel, Index(column)], rows: shape.rows, columns: columns, rowAxis: 0,
            validRows: valid,
            validColumns: validColumns)
        }
        /// The parts of a channel's factor.
        func factor(
          _ tensor: TensorParameter, from row: Index = 0, _ column: Index = 0,
          rows: (tile: Int, valid: Index),
          columns: (tile: Int, valid: Index)
        ) -> [Tile] {
          (0..<shape.parts).map {
            k.load(
              tensor, at: [channel, Index($0), row, column], rows: rows.tile, columns: columns.tile,
              validRows: rows.valid, validColumns: columns.valid)
          }
        }
        func zeros(_ columns: Int, valid columnsThere: Index) -> Tile {
          k.filled(0, rows: shape.rows, columns: columns, validRows: valid, validColumns: columnsThere)
        }
        /// Adds the product of float32 numbers and a factor.
        func add(_ numbers: Tile, times parts: [Tile], to sum: Tile) {
          let near = k.cast(numbers, to: shape.type)
          for part in parts { k.matmul(into: sum, near, part) }
          guard shape.parts > 1 else { return }
          k.matmul(into: sum, k.cast(k.map(.subtract, numbers, near), to: shape.type), parts[0])
        }
        let ofSpan = (tile: span, valid: c)
        // Asked for together.
        let past = load(ring, shape.places, valid: t)
        func known(_ memory: TensorParameter) -> Tile {
          k.load(
            memory, at: [channel, 0, first], rows: shape.rows, columns: span, rowAxis: 2, columnAxis: 1,
            validRows: valid, validColumns: c)
        }
        let (keysKnown, inputs) = (known(memories[0]), known(memories[1]))
        func kept(from start: Int) -> [Tile] {
          states.map { load($0, from: start, shape.piece, valid: (n - Index(start)).min(Index(shape.piece))) }
        }
        let earliest = kept(from: 0)
        // Rounded already.
        let keys = k.cast(keysKnown, to: shape.type)
        let shifted = zeros(span, valid: c)
        let turned = (2 * t - place - c) % t
        for part in factor(older, from: turned, rows: (shape.places, t), columns: ofSpan) {
          k.matmul(into: shifted, past, part)
        }
        for part in factor(newer, rows: ofSpan, columns: ofSpan) { k.matmul(into: shifted, keys, part) }
        k.store(keys, to: written, at: [first, channel, place], rowAxis: 0)
        k.store(shifted, to: memories[0], at: [channel, 0, first], rowAxis: 2, columnAxis: 1)
        let given = zeros(span, valid: c)
        func takeUp(_ number: Int, _ before: [Tile]) {
          let start = Index(number)
          let ofModes = (tile: shape.piece, valid: (n - start).min(Index(shape.piece)))
          let turn = turns.map {
            k.load($0, at: [channel, start], columns: shape.piece, validColumns: ofModes.valid)
          }
          let sums = states.map { _ in zeros(shape.piece, valid: ofModes.valid) }
          let lost = k.map(.negate, k.map(.multiply, turn[1], before[1]))
          k.assign(sums[0], k.map(.fma, turn[0], before[0], lost))
          k.assign(sums[1], k.map(.fma, turn[0], before[1], k.map(.multiply, turn[1], before[0])))
          for (sum, power) in zip(sums, powers) {
            add(inputs, times: factor(power, from: 0, start, rows: ofSpan, columns: ofModes), to: sum)
          }
          for (sum, (state, tensor)) in zip(sums, zip(states, far)) {
            k.store(sum, to: state, at: [first, channel, start], rowAxis: 0)
            add(sum, times: factor(tensor, from: start, rows: ofModes, columns: ofSpan), to: given)
          }
        }
        for number in stride(from: 0, to: shape.modes, by: shape.piece) {
          guard number > 0 else {
            takeUp(number, earliest)
            continue
          }
          // One piece after the other: at once they would fill the registers, so each has a condition, which holds.
          k.when(Index(number), lessThan: batch + n) { takeUp(number, kept(from: number)) }
        }
        k.store(given, to: memories[1], at: [channel, 0, first], rowAxis: 2, columnAxis: 1)
      }
    }
  }
}
