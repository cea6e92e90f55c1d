internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// Prompts of H3, and the states that they leave.
///
/// Many sequences go through all of H3 in one kernel, chunk by chunk (``Kernels/H3Chunks``); few are convolved, whose work is shared out
/// along the sequences too.
struct H3Prompt {
  private let mixer: H3
  private let shared: StepMemory
  private let powers: DiagonalPowers
  /// Where there are enough sequences.
  private let chunks: Chunks?

  /// ``Kernels/H3Chunks``.
  private struct Chunks {
    let kernel: any CompiledKernel
    /// What a chunk's keys, and its gated ones, are multiplied with.
    let factors: [Tensor]
  }

  /// Sequences that keep a machine busy: a task of ``Kernels/H3Chunks`` takes as long for one of them as for 64.
  static let leastSequences = 16

  /// - Parameter known: residues and poles, as ``DiagonalFilter/discretised(_:)`` gives them.
  init(_ mixer: H3, modes known: [Variable], _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    powers = try DiagonalPowers(known, modes: mixer.settings.states / 2, shared)
    let suits = shared.batch >= Self.leastSequences && mixer.settings.states <= H3Chunks.chunk
    chunks = suits ? try Self.chunks(mixer, known, shared) : nil
  }

  private static func chunks(_ mixer: H3, _ known: [Variable], _ shared: StepMemory) throws -> Chunks {
    let (states, chunk) = (mixer.settings.states, H3Chunks.chunk)
    let shape = H3Chunks.Shape(modes: states / 2, type: shared.device.factors)
    let factors = try shared.device.precisely {
      let filter = try DiagonalFilter(discretisation: .bilinear)(mixer.modes, length: chunk)
      let shift = try mixer.shiftFilter(taps: states)
      let squares = [
        try triangle(shift, skip: mixer.shiftSkip, rows: 2 * chunk, chunk),
        try triangle(filter, skip: mixer.skip, rows: chunk, chunk),
      ]
      return try squares.map { try DiagonalPowers.parts($0, shape.type).dense().value }
        + DiagonalPowers.leaving(known, chunk: chunk, shape.type)
    }
    return Chunks(
      kernel: try shared.preparation.kernel("\(shape)") { try H3Chunks.kernel(shape) }, factors: factors)
  }

  /// T[s, t] = K[t − s + rows − columns], 0 where there is no such tap, `[H, rows, columns]`.
  ///
  /// - Parameters:
  ///   - filter: K, `[H, up to `columns` taps]`.
  ///   - skip: `[H]`, added to the first of them.
  private static func triangle(
    _ filter: Variable, skip: Variable, rows: Int, _ columns: Int
  ) throws -> Variable {
    let (h, taps) = (filter.shape[0], filter.shape[1])
    let first = try filter.sliced(axis: 1, 0..<1) + skip.reshaped([h, 1])
    let all = taps > 1 ? try Variable.joined([first, filter.sliced(axis: 1, 1..<taps)], axis: 1) : first
    // Lags 1 − columns and more, in a line: each row begins a place before the one above it.
    let line = try all.padded(axis: 1, before: columns - 1, after: rows - taps)
    return Variable(
      try line.dense().value.windows(rows, of: columns, from: rows - 1, step: -1), on: filter.device)
  }

  /// Mixed prompts `[B, L, D]`, whose states are written.
  ///
  /// - Parameters:
  ///   - state: real and imaginary, `[B, D, N]`.
  ///   - keep: is given the keys, `[B, D, L]`.
  func callAsFunction(_ u: Variable, state: [Tensor], _ keep: (Variable) throws -> Void) throws -> Variable {
    guard let chunks, u.shape[0] >= Self.leastSequences else {
      return try mixer.mix(u) { keys, shifted, values in
        try keep(keys)
        try powers.bring(state, to: shifted * values)
      }
    }
    let all = try mixer.projections.map { try $0.channels(of: u) }
    try keep(all[1])
    let (excess, type) = (powers.excess(u.shape[1]), powers.shape.type)
    let sequences = try all.map { try $0.converted(to: type).padded(axis: 2, before: excess) }
    let y = try shared.device.empty(sequences[0].shape, type)
    try chunks.kernel.run(
      [1, 2, 0].map { sequences[$0].value } + chunks.factors + powers.tensors + state + [y])
    let mixed = try Variable(y, on: u.device).sliced(axis: 2, excess..<excess + u.shape[1])
    return try mixer.output.positions(of: mixed)
  }
}
