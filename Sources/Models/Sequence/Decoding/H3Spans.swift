internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// What a network's steps of H3 keep from span to span, and how spans and their parts hand over to the next: all layers at once, whose
/// channels lie behind each other, so that one kernel keeps a GPU busy to its end.
final class H3Spans {
  private let shape: H3Span.Shape
  private let kernel: any CompiledKernel
  private let partKernel: any CompiledKernel
  private var layers: [H3SpanLayer]
  /// As a layer's, of all.
  private let memories: [Tensor]
  private let ring: Tensor
  private let states: [Tensor]
  /// Of keys and of inputs, `[D, C]`, what ``Kernels/H3Part`` takes.
  private let filters: [Tensor]
  /// Of the ring, of the span, and of inputs that enter states.
  private let entering: [Tensor]
  /// What turns states on by a span.
  private let turns: [Tensor]
  /// What leaves them as they are, for the first span.
  private let noTurns: [Tensor]
  private let leaving: [Tensor]
  /// The clock at the end of the span before the first.
  private let before: Tensor

  /// - Parameter mixers: of a network's layers, in order; all of the same sizes.
  init?(_ mixers: [H3], _ shared: StepMemory) throws {
    guard let first = mixers.first else { return nil }
    let (device, executor) = (shared.device, shared.device.executor)
    let span = H3Step.span
    let step = H3Step.Shape(
      width: first.output.weight.shape[0], type: shared.activation, cores: executor.cores)
    let known = try device.precisely { try mixers.map { try H3Filters($0) } }
    let modes = known[0].modes[0].shape[2]
    let shape = H3Span.Shape(modes: modes, taps: known[0].shift.shape[1], type: step.type)
    self.shape = shape
    kernel = try shared.preparation.kernel("\(shape)") { try H3Span.kernel(shape) }
    partKernel = try shared.preparation.kernel("part of a span") { try H3Part.kernel() }
    /// What layers have, with channels for whole tasks, one layer behind the other.
    func all(_ make: (H3Filters) throws -> [Tensor]) throws -> [Tensor] {
      let each = try device.precisely { try known.map(make) }
      return try each[0].indices.map { number in
        try Variable.joined(
          each.map {
            try Variable($0[number], on: device).padded(axis: 0, after: step.paddedWidth - step.width)
          }, axis: 0
        ).value
      }
    }
    filters = try all { layer in
      try [layer.shift.sliced(axis: 1, 0..<min(span, shape.taps)), layer.filter].map {
        try $0.padded(axis: 1, after: span - $0.shape[1]).dense().value
      }
    }
    entering = try all {
      try Self.products($0.shift, shape) + DiagonalPowers.entering($0.modes, chunk: span, step.type)
    }
    turns = try all { try DiagonalPowers.across($0.modes, chunk: span) }
    leaving = try all { try DiagonalPowers.leaving($0.modes, chunk: span, step.type) }
    let channels = mixers.count * step.paddedWidth
    noTurns = try [Float(1), 0].map {
      try device.constant([$0], [1, 1]).broadcast(to: [channels, modes]).dense().value
    }
    before = try device.tensor([Int32(shape.places - 1)], [1])
    let memories = try (0..<2).map { _ in try executor.tensor(.float32, [channels, span, shared.batch]) }
    let ring = try executor.tensor(step.type, [shared.batch, channels, shape.places])
    let states = try (0..<2).map { _ in try executor.tensor(.float32, [shared.batch, channels, modes]) }
    (self.memories, self.ring, self.states) = (memories, ring, states)
    layers = known.enumerated().map { number, filters in
      let start = number * step.paddedWidth
      let (own, there) = (start..<start + step.paddedWidth, start..<start + step.width)
      return H3SpanLayer(
        filters: filters, step: step, memories: memories.map { $0.sliced(axis: 0, own) },
        ring: ring.sliced(axis: 1, there), states: states.map { $0.sliced(axis: 1, there) }, device: device)
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

  /// The first of the layers that nobody has taken yet.
  func takeLayer() -> H3SpanLayer { layers.removeFirst() }

  /// Begins the first span of sequences whose keys and states are known: as if they ended one that changes no state.
  func begin() throws { try run(at: before, noTurns) }

  /// Ends a part or a span, or nothing.
  ///
  /// - Parameter clock: at its last step.
  func end(_ end: SpanEnd, at clock: Tensor) throws {
    switch end {
    case .nothing: break
    case .part: try partKernel.run([clock] + memories + memories + filters)
    case .span: try run(at: clock, turns)
    }
  }

  private func run(at clock: Tensor, _ turns: [Tensor]) throws {
    try kernel.run([clock] + memories + [ring, ring] + entering + turns + states + leaving)
  }
}

/// What of a span of ``Kernels/H3Step`` ends with a step.
enum SpanEnd: Hashable {
  case nothing
  /// A part, and no span.
  case part
  case span

  /// - Parameter step: number of the step, the first behind the prompts being 0.
  init(ofStep step: Int) {
    func ends(_ length: Int) -> Bool { step % length == length - 1 }
    self = ends(H3Step.span) ? .span : ends(H3Step.part) ? .part : .nothing
  }
}
