internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// What steps of H3 keep from span to span, and how one span hands over to the next.
final class H3Spans {
  /// Of keys and of the diagonal state space's inputs, float32 `[B, D, C]`, as ``Kernels/H3Step`` takes them.
  let memories: [Tensor]
  private let shape: H3Span.Shape
  private let device: Device
  private let kernel: any CompiledKernel
  /// Earlier keys, `[B, D, places]`.
  private let ring: Tensor
  /// Real and imaginary, `[B, D, N]`.
  private let states: [Tensor]
  /// Of the ring, of the span, and of inputs that enter states.
  private let entering: [Tensor]
  /// What turns states on by a span.
  private let turns: [Tensor]
  /// What leaves them as they are, for the first span.
  private let noTurns: [Tensor]
  private let leaving: [Tensor]
  /// The clock at the end of the span before the first.
  private let before: Tensor

  /// - Parameters:
  ///   - shift: filter of the shift state space, `[D, taps]`.
  ///   - known: of the diagonal one, as ``DiagonalFilter/discretised(_:)`` gives them.
  ///   - keys: what keys are kept as.
  init(shift: Variable, modes known: [Variable], keys: ElementType, _ shared: StepMemory) throws {
    let (device, executor) = (shared.device, shared.device.executor)
    let (width, taps, modes, span) = (shift.shape[0], shift.shape[1], known[0].shape[2], H3Step.span)
    let shape = H3Span.Shape(modes: modes, taps: taps, type: keys)
    (self.device, self.shape) = (device, shape)
    kernel = try shared.preparation.kernel("\(shape)") { try H3Span.kernel(shape) }
    func memory(_ type: ElementType, _ columns: Int) throws -> Tensor {
      try executor.tensor(type, [shared.batch, width, columns])
    }
    memories = try (0..<2).map { _ in try memory(.float32, span) }
    ring = try memory(keys, shape.places)
    states = try (0..<2).map { _ in try memory(.float32, modes) }
    before = try device.tensor([Int32(shape.places - 1)], [1])
    (entering, turns, leaving) = try device.precisely {
      (
        try Self.products(shift, shape) + DiagonalPowers.entering(known, chunk: span, keys),
        try DiagonalPowers.across(known, chunk: span),
        try DiagonalPowers.leaving(known, chunk: span, keys)
      )
    }
    noTurns = try device.precisely {
      try [Float(1), 0].map {
        try device.constant([Float](repeating: $0, count: width * modes), [width, modes]).value
      }
    }
  }

  /// Factors of the ring and of a span for the span behind it.
  private static func products(_ shift: Variable, _ shape: H3Span.Shape) throws -> [Tensor] {
    let (width, span, places) = (shift.shape[0], H3Step.span, shape.places)
    let line = try shift.padded(axis: 1, before: 0, after: places + span - shift.shape[1]).dense().value
    /// What so many keys give, of which the first lies `lag` positions before the span.
    func rows(_ count: Int, from lag: Int) -> Variable {
      Variable(line.windows(count, of: span, from: lag, step: -1), on: shift.device)
    }
    let nothing = try shift.device.constant(
      [Float](repeating: 0, count: width * span * span), [width, span, span])
    let turn = (places > span ? [rows(places - span, from: places)] : []) + [nothing]
    return try [.joined(turn + turn, axis: 1), rows(span, from: span)].map {
      try DiagonalPowers.parts($0, shape.type).dense().value
    }
  }

  /// States of some sequences.
  func states(of rows: Range<Int>) -> [Tensor] { states.map { $0.sliced(axis: 0, rows) } }

  /// Takes up the last of a prompt's keys `[count, D, L]`; zeros stand for those before the beginning.
  func keep(_ keys: Variable, _ rows: Range<Int>) throws {
    let length = keys.shape[2]
    let rounded = try keys.converted(to: shape.type)
    for (memory, places) in [(ring, shape.places), (memories[0], H3Step.span)] {
      let target = memory.sliced(axis: 0, rows)
      try device.executor.clear(target)
      let count = min(length, places)
      try Variable(target, on: device).store(
        rounded.sliced(axis: 2, length - count..<length).converted(to: memory.type), axis: 2,
        at: places - count)
    }
    try device.executor.clear(memories[1].sliced(axis: 0, rows))
  }

  /// Begins the first span of sequences whose keys and states are known: as if they ended one that changes no state.
  func begin(_ rows: Range<Int>) throws { try run(rows, at: before, noTurns) }

  /// Ends a span.
  ///
  /// - Parameter clock: at its last step.
  func end(at clock: Tensor) throws { try run(0..<ring.shape[0], at: clock, turns) }

  private func run(_ rows: Range<Int>, at clock: Tensor, _ turns: [Tensor]) throws {
    func own(_ tensor: Tensor) -> Tensor { tensor.sliced(axis: 0, rows) }
    let keys = own(ring)
    try kernel.run(
      [clock] + memories.map(own) + [keys, keys] + entering + turns + states(of: rows) + leaving)
  }
}
