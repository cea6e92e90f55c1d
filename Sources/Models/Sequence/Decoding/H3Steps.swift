internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

extension H3: ReplayableMixer {
  var hasReplayableSteps: Bool { settings.headWidth == 1 }

  func steps(_ shared: StepMemory) throws -> any MixerSteps { try H3Steps(self, shared) }
}

/// Steps of H3.
private final class H3Steps: MixerSteps {
  private let mixer: H3
  private let shared: StepMemory
  private let projection: LinearLayer
  private let step: any CompiledKernel
  private let prompt: H3Prompt
  /// What a step takes behind the ring: window, newest, poles, residues, skip.
  private let constants: [Tensor]
  /// Earlier keys, `[B, D, taps]`.
  private let ring: Tensor
  /// Real and imaginary, `[B, D, N]`.
  private let state: [Tensor]

  init(_ mixer: H3, _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let (device, taps, modes) = (shared.device, mixer.settings.states, mixer.settings.states / 2)
    let width = mixer.output.weight.shape[0]
    let joint = try (
      weight: Variable.joined(mixer.projections.map(\.weight), axis: 0),
      bias: Variable.joined(mixer.projections.compactMap(\.bias), axis: 0)
    )
    projection = try shared.linear(joint.weight, joint.bias)
    let keys = projection.arithmetic == .sixteenBit ? device.factors : .float32
    let shape = H3Step.Shape(
      width: width, taps: taps, modes: modes, keys: keys, output: shared.activation)
    step = try shared.preparation.kernel("\(shape)") { try H3Step.kernel(shape) }
    ring = try device.executor.tensor(keys, [shared.batch, width, taps])
    state = try (0..<2).map { _ in try device.executor.tensor(.float32, [shared.batch, width, modes]) }
    let modesKnown: [Variable]
    (constants, modesKnown) = try device.precisely {
      let known = try DiagonalFilter(discretisation: .bilinear).discretised(mixer.modes)
      let filter = try mixer.shiftFilter(taps: taps)
      let nothing = try device.constant([Float](repeating: 0, count: width), [width, 1])
      let earlier = try filter.sliced(axis: 1, 1..<taps).reversed(axis: 1)
      // As often as the last start needs.
      let turns = (H3Step.starts - 1 + taps - 1) / taps + 2
      let line = try Variable.joined((0..<turns).flatMap { _ in [nothing, earlier] }, axis: 1)
      let window = try Variable.joined(
        (0..<H3Step.starts).map {
          try line.sliced(axis: 1, $0..<$0 + 2 * taps).reshaped([width, 1, 2 * taps])
        },
        axis: 1)
      let newest = try filter.sliced(axis: 1, 0..<1).reshaped([width]) + mixer.shiftSkip
      return (
        try [window, newest].map { try $0.dense().value }
          + DiagonalPowers.step(known, width: width, modes: modes) + [mixer.skip.dense().value],
        known
      )
    }
    prompt = try H3Prompt(mixer, modes: modesKnown, shared)
  }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = first..<first + u.shape[0]
    return try prompt(u, state: state.map { $0.sliced(axis: 0, rows) }) { try keepKeys($0, rows) }
  }

  /// The last keys where their positions modulo the ring's places are; zeros stand for those before the beginning.
  private func keepKeys(_ keys: Variable, _ rows: Range<Int>) throws {
    let (length, taps) = (keys.shape[2], mixer.settings.states)
    let target = ring.sliced(axis: 0, rows)
    try shared.device.executor.clear(target)
    let places = Variable(target, on: shared.device)
    var position = max(0, length - taps)
    while position < length {
      let slot = position % taps
      let end = min(length, position + taps - slot)
      try places.store(keys.sliced(axis: 2, position..<end), axis: 2, at: slot)
      position = end
    }
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    let (batch, width) = (normed.shape[0], normed.shape[1])
    let z = try shared.workspace.tensor("projected", .float32, [batch, 3 * width])
    try projection(normed, into: z)
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    try step.run(
      [input.positions, z.reshaped([batch, 3, width]), ring, ring] + constants + state + [mixed])
    return mixed
  }
}
