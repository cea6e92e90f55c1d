internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// Steps of H3 as kernels on memory that stays where it is.
final class H3Steps {
  private let mixer: H3
  private let shared: StepMemory
  private let projection: LinearLayer
  private let output: LinearLayer
  private let step: any CompiledKernel
  private let states: DiagonalStates.Shape
  private let begin: any CompiledKernel
  /// Powers of the poles for the positions of a chunk, and for the chunk.
  private let powers: [Tensor]
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
    output = try shared.linear(mixer.output.weight, mixer.output.bias, addsResidual: true)
    let keys = projection.arithmetic == .sixteenBit ? device.factors : .float32
    let shape = H3Step.Shape(
      width: width, taps: taps, modes: modes, keys: keys, output: output.arithmetic.activation)
    step = try shared.preparation.kernel("\(shape)") { try H3Step.kernel(shape) }
    let states = DiagonalStates.Shape(modes: modes, type: device.factors)
    self.states = states
    begin = try shared.preparation.kernel("\(states)") { try DiagonalStates.kernel(states) }
    ring = try device.executor.tensor(keys, [shared.batch, width, taps])
    state = try (0..<2).map { _ in try device.executor.tensor(.float32, [shared.batch, width, modes]) }
    let chunk = states.chunk
    (constants, powers) = try device.precisely {
      let known = try DiagonalFilter(discretisation: .bilinear).discretised(mixer.modes)
      func power(_ lags: [Int]) throws -> [Variable] {
        let lag = try device.constant(lags.map { Float($0) }, [lags.count, 1, 1])
        return try Variable.pointwise([known[2], known[3], lag]) { x in
          let (size, angle) = ((x[0] * x[2]).exp, x[1] * x[2])
          return [size * angle.cos, size * angle.sin]
        }
      }
      func whole(_ variable: Variable) throws -> Tensor { try variable.dense().value }
      func flat(_ variables: [Variable]) throws -> [Tensor] {
        try variables.map { try whole($0.reshaped([width, modes])) }
      }
      let filter = try mixer.shiftFilter(taps: taps)
      let nothing = try device.constant([Float](repeating: 0, count: width), [width, 1])
      let earlier = try filter.sliced(axis: 1, 1..<taps).reversed(axis: 1)
      let window = try Variable.joined([nothing, earlier, nothing, earlier], axis: 1)
      let newest = try filter.sliced(axis: 1, 0..<1).reshaped([width]) + mixer.shiftSkip
      let within = try power((0..<chunk).map { chunk - 1 - $0 }).map { try $0.permuted([1, 0, 2]) }
      return (
        try [whole(window), whole(newest)] + flat(power([1])) + flat([known[0], known[1]])
          + [whole(mixer.skip)],
        try within.map { try whole(Self.parts($0, states)) } + flat(power([chunk]))
      )
    }
  }

  /// Numbers `[H, chunk, N]` as sums of numbers of the sequences' type, `[H, parts, chunk, N]`.
  private static func parts(_ numbers: Variable, _ shape: DiagonalStates.Shape) throws -> Variable {
    let extents = [numbers.shape[0], 1] + numbers.shape.dropFirst()
    guard shape.parts > 1 else { return try numbers.reshaped(extents) }
    let first = try numbers.converted(to: shape.type)
    let rest = try (numbers - first.converted(to: numbers.value.type)).converted(to: shape.type)
    return try .joined([first.reshaped(extents), rest.reshaped(extents)], axis: 1)
  }

  /// Mixed prompts of sequences from `first` on, whose states are kept.
  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = first..<first + u.shape[0]
    return try mixer.mix(u) { keys, shifted, values in
      try keepKeys(keys, rows)
      let excess = (states.chunk - u.shape[1] % states.chunk) % states.chunk
      let x = try (shifted * values).converted(to: states.type).padded(axis: 2, before: excess).dense()
      try begin.run([x.value] + powers + state.map { $0.sliced(axis: 0, rows) })
    }
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

  /// y = x + the mixed next position, of normalised rows `[B, D]`.
  func step(_ normed: Tensor, residual x: Tensor, into y: Tensor, _ input: StepInput) throws {
    let (batch, width) = (x.shape[0], x.shape[1])
    let z = try shared.workspace.tensor("projected", .float32, [batch, 3 * width])
    try projection(normed, into: z)
    let mixed = try shared.workspace.tensor("mixed", output.arithmetic.activation, x.shape)
    try step.run(
      [input.positions, z.reshaped([batch, 3, width]), ring, ring] + constants + state + [mixed])
    try output(mixed, residual: x, into: y)
  }
}
