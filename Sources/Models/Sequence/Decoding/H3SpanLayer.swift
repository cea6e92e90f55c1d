internal import Kernels
internal import Memory
internal import Tensors

/// Filters of a layer of H3, as its steps take them.
struct H3Filters {
  /// Residues and poles of the diagonal state space, as ``DiagonalFilter/discretised(_:)`` gives them.
  let modes: [Variable]
  /// First numbers of its filter, one for each position of a span, `[D, C]`.
  let filter: Variable
  /// Filter of the shift state space, `[D, taps]`.
  let shift: Variable

  init(_ mixer: H3) throws {
    let diagonal = DiagonalFilter(discretisation: .bilinear)
    modes = try diagonal.discretised(mixer.modes)
    filter = try diagonal(mixer.modes, length: H3Step.span)
    shift = try mixer.shiftFilter(taps: mixer.settings.states)
  }
}

/// A layer's part of ``H3Spans``.
struct H3SpanLayer {
  let filters: H3Filters
  let step: H3Step.Shape
  /// Of keys and of the diagonal state space's inputs, float32 `[D, C, B]`, as ``Kernels/H3Step`` takes them: with as many channels.
  let memories: [Tensor]
  /// Earlier keys, `[B, D, places]`.
  let ring: Tensor
  /// Real and imaginary, `[B, D, N]`.
  let states: [Tensor]
  let device: Device

  /// States of some sequences.
  func states(of rows: Range<Int>) -> [Tensor] { states.map { $0.sliced(axis: 0, rows) } }

  /// Takes up the last of a prompt's keys `[count, D, L]`; zeros stand for those before the beginning.
  func keep(_ keys: Variable, _ rows: Range<Int>) throws {
    let length = keys.shape[2]
    let rounded = try keys.converted(to: ring.type)
    for target in [ring, sequences(memories[0])] {
      let places = target.shape[2]
      let count = min(length, places)
      let last = try rounded.sliced(axis: 2, length - count..<length).converted(to: target.type)
      try Variable(target.sliced(axis: 0, rows), on: device).store(
        last.padded(axis: 2, before: places - count), axis: 2, at: 0)
    }
    let inputs = sequences(memories[1]).sliced(axis: 0, rows)
    let nothing = try device.constant([0], [1, 1, 1]).broadcast(to: inputs.shape)
    try Variable(inputs, on: device).store(nothing, axis: 2, at: 0)
  }

  /// A memory sequence by sequence, `[B, D, C]`.
  private func sequences(_ memory: Tensor) -> Tensor {
    memory.sliced(axis: 0, 0..<step.width).permuted([2, 0, 1])
  }
}
