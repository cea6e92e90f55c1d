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
  private let states: DiagonalStates.Shape
  private let begin: any CompiledKernel
  private let chunks: any CompiledKernel
  /// Of ``Kernels/H3Chunks``: what a chunk's keys, and its gated ones, are multiplied with.
  private let factors: [Tensor]
  /// Powers of the poles for the positions of a chunk, and for the chunk.
  private let powers: [Tensor]

  /// Sequences that keep a machine busy: a task of ``Kernels/H3Chunks`` takes as long for one of them as for 64.
  static let leastSequences = 16

  /// - Parameter known: residues and poles, as ``DiagonalFilter/discretised(_:)`` gives them.
  init(_ mixer: H3, modes known: [Variable], _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let (device, taps, modes) = (shared.device, mixer.settings.states, mixer.settings.states / 2)
    let shape = DiagonalStates.Shape(modes: modes, type: device.factors)
    states = shape
    begin = try shared.preparation.kernel("\(shape)") { try DiagonalStates.kernel(shape) }
    let whole = H3Chunks.Shape(modes: modes, type: device.factors)
    chunks = try shared.preparation.kernel("\(whole)") { try H3Chunks.kernel(whole) }
    (factors, powers) = try device.precisely {
      let chunk = shape.chunk
      let turned = try Self.powers(known, Array(1...chunk))
      // What a state gives to positions behind it, and the direct way is the skip's.
      let far = try Variable.pointwise([known[0], known[1]] + turned) { x in
        [x[0] * x[2] - x[1] * x[3], -(x[0] * x[3] + x[1] * x[2])]
      }
      let filter = try DiagonalFilter(discretisation: .bilinear)(mixer.modes, length: chunk)
      let shift = try mixer.shiftFilter(taps: min(taps, chunk))
      let squares = [
        try Self.triangle(shift, skip: mixer.shiftSkip, rows: 2 * chunk, chunk),
        try Self.triangle(filter, skip: mixer.skip, rows: chunk, chunk),
      ]
      // From `[lags, H, N]`.
      let within = try Self.powers(known, (0..<chunk).map { chunk - 1 - $0 })
      let all =
        try squares + far.map { try $0.permuted([1, 2, 0]) } + within.map { try $0.permuted([1, 0, 2]) }
      let numbers = try all.map { try Self.parts($0, shape).dense().value }
      let turn = try Self.powers(known, [chunk]).map { try $0.reshaped([$0.shape[1], modes]).dense().value }
      return (Array(numbers.prefix(4)), Array(numbers.suffix(2)) + turn)
    }
  }

  /// Poles to the power of each lag, real and imaginary, `[lags, H, N]`.
  static func powers(_ known: [Variable], _ lags: [Int]) throws -> [Variable] {
    let lag = try known[2].device.constant(lags.map { Float($0) }, [lags.count, 1, 1])
    return try Variable.pointwise([known[2], known[3], lag]) { x in
      let (size, angle) = ((x[0] * x[2]).exp, x[1] * x[2])
      return [size * angle.cos, size * angle.sin]
    }
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
    // The last row's columns are lags 1 − columns … 0, and the first row's `rows − columns` and more: rows of a line, each begun
    // one place before the last one. Turned round, that is a line whose rows would begin one place further each.
    let line = try all.padded(axis: 1, before: columns - 1, after: rows - taps)
    let rowsBack = try (0..<rows).map { row in
      try line.sliced(axis: 1, rows - 1 - row..<rows - 1 - row + columns).reshaped([h, 1, columns])
    }
    return try .joined(rowsBack, axis: 1)
  }

  /// Numbers `[H, rows, columns]` as sums of numbers of the sequences' type, `[H, parts, rows, columns]`.
  private static func parts(_ numbers: Variable, _ shape: DiagonalStates.Shape) throws -> Variable {
    let extents = [numbers.shape[0], 1] + numbers.shape.dropFirst()
    guard shape.parts > 1 else { return try numbers.reshaped(extents) }
    let first = try numbers.converted(to: shape.type)
    let rest = try (numbers - first.converted(to: numbers.value.type)).converted(to: shape.type)
    return try .joined([first.reshaped(extents), rest.reshaped(extents)], axis: 1)
  }

  /// Mixed prompts `[B, L, D]`, whose states are written.
  ///
  /// - Parameters:
  ///   - state: real and imaginary, `[B, D, N]`.
  ///   - keep: is given the keys, `[B, D, L]`.
  func callAsFunction(_ u: Variable, state: [Tensor], _ keep: (Variable) throws -> Void) throws -> Variable {
    // Zeros before the beginning change nothing, so the last chunk is whole.
    let excess = (states.chunk - u.shape[1] % states.chunk) % states.chunk
    guard u.shape[0] >= Self.leastSequences, mixer.settings.states <= H3Chunks.chunk else {
      return try mixer.mix(u) { keys, shifted, values in
        try keep(keys)
        let x = try (shifted * values).converted(to: states.type).padded(axis: 2, before: excess).dense()
        try begin.run([x.value] + powers + state)
      }
    }
    let all = try mixer.projections.map { try $0.channels(of: u) }
    try keep(all[1])
    let sequences = try all.map { try $0.converted(to: states.type).padded(axis: 2, before: excess) }
    let y = try shared.device.empty(sequences[0].shape, states.type)
    try chunks.run([1, 2, 0].map { sequences[$0].value } + factors + powers + state + [y])
    let mixed = try Variable(y, on: u.device).sliced(axis: 2, excess..<excess + u.shape[1])
    return try mixer.output.positions(of: mixed)
  }
}
