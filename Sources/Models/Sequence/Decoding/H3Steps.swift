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
  private let shared: StepMemory
  private let step: any CompiledKernel
  private let shape: H3Step.Shape
  /// Weights and biases of queries, keys and values.
  private let projection: [Tensor]
  private let prompt: H3Prompt
  private let layer: H3SpanLayer
  /// Of keys and of the diagonal state space's inputs: what the span of steps is known by, its taps, and the number's own.
  private let halves: [Tensor]

  init(_ mixer: H3, _ shared: StepMemory) throws {
    self.shared = shared
    guard let layer = shared.spans?.takeLayer() else { preconditionFailure("steps of H3 without its spans") }
    self.layer = layer
    let (filters, shape) = (layer.filters, layer.step)
    self.shape = shape
    step = try shared.preparation.kernel("\(shape)") { try H3Step.kernel(shape) }
    let weight = try Self.dealt(mixer.projections.map(\.weight), shape).value
    projection = [
      try shape.type == .float32 ? weight : shared.preparation.rounded(weight),
      try Self.dealt(mixer.projections.compactMap(\.bias), shape).value,
    ]
    prompt = try H3Prompt(mixer, modes: filters.modes, shared)
    halves = try shared.device.precisely {
      try Self.taps(filters.shift, skip: mixer.shiftSkip, layer.memories[0], shape)
        + Self.taps(filters.filter, skip: mixer.skip, layer.memories[1], shape)
    }
  }

  /// Parts `[D, …]` dealt out to tasks: of each task's channels the first part, then the others.
  private static func dealt(_ parts: [Variable], _ shape: H3Step.Shape) throws -> Variable {
    let (width, rest) = (shape.paddedWidth, Array(parts[0].shape.dropFirst()))
    let dealt = try parts.map {
      try $0.padded(axis: 0, after: width - shape.width).reshaped(
        [width / shape.channels, shape.channels] + rest)
    }
    return try Variable.joined(dealt, axis: 1).reshaped([parts.count * width] + rest)
  }

  /// A memory, and of its filter `[D, taps]` what ``Kernels/H3Step`` takes with it.
  private static func taps(
    _ filter: Variable, skip: Variable, _ memory: Tensor, _ shape: H3Step.Shape
  ) throws -> [Tensor] {
    let (width, part) = (filter.shape[0], H3Step.part)
    let count = min(part, filter.shape[1])
    func same(_ number: Float, _ columns: Int) throws -> Variable {
      try filter.device.constant([Float](repeating: number, count: width * columns), [width, columns])
    }
    let earlier = try count > 1 ? [filter.sliced(axis: 1, 1..<count).reversed(axis: 1)] : []
    let line = try Variable.joined(
      [same(0, part - count + 1)] + earlier + [same(1, 1), same(0, part - 1)], axis: 1)
    let own = try filter.sliced(axis: 1, 0..<1).reshaped([width]) + skip
    let excess = shape.paddedWidth - width
    return [
      memory, try line.padded(axis: 0, after: excess).permuted([1, 0]).dense().value,
      try own.padded(axis: 0, after: excess).dense().value,
    ]
  }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = first..<first + u.shape[0]
    return try prompt(u, state: layer.states(of: rows)) { try layer.keep($0, rows) }
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    let mixed = try shared.workspace.tensor("mixed", shared.activation, [normed.shape[0], shape.paddedWidth])
    try step.run([input.clock, normed] + projection + halves + [mixed])
    return mixed.sliced(axis: 1, 0..<shape.width)
  }
}
