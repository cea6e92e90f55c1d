internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

extension H3: ReplayableMixer {
  /// States enter products of matrices, which float16 has no room for.
  var hasReplayableSteps: Bool {
    settings.headWidth == 1 && settings.states <= H3Span.mostStates
      && output.weight.device.factors != .float16
  }

  func steps(_ shared: StepMemory) throws -> any MixerSteps { try H3Steps(self, shared) }
}

/// Steps of H3.
private final class H3Steps: MixerSteps {
  let hasSpans = true
  private let shared: StepMemory
  private let projection: LinearLayer
  private let step: any CompiledKernel
  private let prompt: H3Prompt
  private let spans: H3Spans
  /// Of keys and of the diagonal state space's inputs: what the span of steps is known by, its taps, and the number's own.
  private let halves: [Tensor]

  init(_ mixer: H3, _ shared: StepMemory) throws {
    self.shared = shared
    let (device, width) = (shared.device, mixer.output.weight.shape[0])
    let joint = try (
      weight: Variable.joined(mixer.projections.map(\.weight), axis: 0),
      bias: Variable.joined(mixer.projections.compactMap(\.bias), axis: 0)
    )
    projection = try shared.linear(joint.weight, joint.bias)
    let keys = projection.arithmetic == .sixteenBit ? device.factors : .float32
    let shape = H3Step.Shape(width: width, keys: keys, output: shared.activation)
    step = try shared.preparation.kernel("\(shape)") { try H3Step.kernel(shape) }
    let diagonal = DiagonalFilter(discretisation: .bilinear)
    let known = try device.precisely { try diagonal.discretised(mixer.modes) }
    prompt = try H3Prompt(mixer, modes: known, shared)
    let shift = try device.precisely { try mixer.shiftFilter(taps: mixer.settings.states) }
    let spans = try H3Spans(shift: shift, modes: known, keys: keys, shared)
    self.spans = spans
    halves = try device.precisely {
      try Self.taps(shift, skip: mixer.shiftSkip, spans.memories[0])
        + Self.taps(diagonal(mixer.modes, length: H3Step.span), skip: mixer.skip, spans.memories[1])
    }
  }

  /// A memory, and of its filter `[D, taps]` what ``Kernels/H3Step`` takes with it.
  private static func taps(_ filter: Variable, skip: Variable, _ memory: Tensor) throws -> [Tensor] {
    let (width, span) = (filter.shape[0], H3Step.span)
    let count = min(span, filter.shape[1])
    func same(_ number: Float, _ columns: Int) throws -> Variable {
      try filter.device.constant([Float](repeating: number, count: width * columns), [width, columns])
    }
    let earlier = try count > 1 ? [filter.sliced(axis: 1, 1..<count).reversed(axis: 1)] : []
    let line = try Variable.joined(
      [same(0, span - count + 1)] + earlier + [same(1, 1), same(0, span - 1)], axis: 1)
    let own = try filter.sliced(axis: 1, 0..<1).reshaped([width]) + skip
    return [memory, try line.dense().value, try own.dense().value]
  }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = first..<first + u.shape[0]
    let mixed = try prompt(u, state: spans.states(of: rows)) { try spans.keep($0, rows) }
    try spans.begin(rows)
    return mixed
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    let (batch, width) = (normed.shape[0], normed.shape[1])
    let z = try shared.workspace.tensor("projected", .float32, [batch, 3 * width])
    try projection(normed, into: z)
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    try step.run([input.clock, z.reshaped([batch, 3, width])] + halves + [mixed])
    if input.endsSpan { try spans.end(at: input.clock) }
    return mixed
  }
}
