internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// What steps of H3 keep from span to span, and how spans and their parts hand over to the next.
final class H3Spans {
  /// Of keys and of the diagonal state space's inputs, float32 `[D, C, B]`, as ``Kernels/H3Step`` takes them: with as many channels.
  let memories: [Tensor]
  private let shape: H3Span.Shape
  private let device: Device
  private let kernel: any CompiledKernel
  private let partKernel: any CompiledKernel
  /// Of keys and of inputs, `[D, C]`, what ``Kernels/H3Part`` takes.
  private let filters: [Tensor]
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
  ///   - filter: of the diagonal one, `[D, C]`.
  ///   - step: which kernel takes a step.
  init(
    shift: Variable, modes known: [Variable], filter: Variable, step: H3Step.Shape, _ shared: StepMemory
  ) throws {
    let (device, executor) = (shared.device, shared.device.executor)
    let (width, taps, modes, span) = (shift.shape[0], shift.shape[1], known[0].shape[2], H3Step.span)
    let shape = H3Span.Shape(modes: modes, taps: taps, type: step.type)
    (self.device, self.shape) = (device, shape)
    kernel = try shared.preparation.kernel("\(shape)") { try H3Span.kernel(shape) }
    partKernel = try shared.preparation.kernel("part of a span") { try H3Part.kernel() }
    filters = try device.precisely {
      try [shift.sliced(axis: 1, 0..<min(span, taps)), filter].map {
        try $0.padded(axis: 1, after: span - $0.shape[1]).dense().value
      }
    }
    func memory(_ type: ElementType, _ columns: Int) throws -> Tensor {
      try executor.tensor(type, [shared.batch, width, columns])
    }
    memories = try (0..<2).map { _ in
      try executor.tensor(.float32, [step.paddedWidth, span, shared.batch])
    }
    ring = try memory(step.type, shape.places)
    states = try (0..<2).map { _ in try memory(.float32, modes) }
    before = try device.tensor([Int32(shape.places - 1)], [1])
    (entering, turns, leaving) = try device.precisely {
      (
        try Self.products(shift, shape) + DiagonalPowers.entering(known, chunk: span, step.type),
        try DiagonalPowers.across(known, chunk: span),
        try DiagonalPowers.leaving(known, chunk: span, step.type)
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

  /// The channels that there are of a memory, `[D, C, B]`.
  private func channels(_ memory: Tensor) -> Tensor { memory.sliced(axis: 0, 0..<ring.shape[1]) }

  /// The same, sequence by sequence, `[B, D, C]`.
  private func sequences(_ memory: Tensor) -> Tensor { channels(memory).permuted([2, 0, 1]) }

  /// Begins the first span of sequences whose keys and states are known: as if they ended one that changes no state.
  func begin(_ rows: Range<Int>) throws { try run(rows, at: before, noTurns) }

  /// Ends a part that is not a span's last.
  ///
  /// - Parameter clock: at its last step.
  func endPart(at clock: Tensor) throws {
    let memories = memories.map(channels)
    try partKernel.run([clock] + memories + memories + filters)
  }

  /// Ends a span.
  ///
  /// - Parameter clock: at its last step.
  func end(at clock: Tensor) throws { try run(0..<ring.shape[0], at: clock, turns) }

  private func run(_ rows: Range<Int>, at clock: Tensor, _ turns: [Tensor]) throws {
    let keys = ring.sliced(axis: 0, rows)
    try kernel.run(
      [clock] + memories.map { channels($0).sliced(axis: 2, rows) } + [keys, keys] + entering + turns
        + states(of: rows) + leaving)
  }
}
