internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

extension S4D: ReplayableMixer {
  /// One state space for each channel, one way, and no gate behind the linear layer.
  var hasReplayableSteps: Bool { settings.sets == 1 && !settings.isTwoSided && !settings.isGated }

  func steps(_ shared: StepMemory) throws -> any MixerSteps { try S4DSteps(self, shared) }
}

/// Steps of S4D.
private final class S4DSteps: MixerSteps {
  private let mixer: S4D
  private let shared: StepMemory
  private let step: any CompiledKernel
  private let powers: DiagonalPowers
  /// Poles, residues and skip.
  private let constants: [Tensor]
  /// Real and imaginary, `[B, D, N]`.
  private let state: [Tensor]

  init(_ mixer: S4D, _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let (device, width, modes) = (shared.device, mixer.output.weight.shape[0], mixer.settings.states / 2)
    let shape = DiagonalStep.Shape(width: width, modes: modes, activation: .gelu, type: shared.activation)
    step = try shared.preparation.kernel("\(shape)") { try DiagonalStep.kernel(shape) }
    let known = try device.precisely {
      try DiagonalFilter(discretisation: .zeroOrderHold).discretised(mixer.modes).map {
        try $0.broadcast(to: [1, width, modes]).dense()
      }
    }
    powers = try DiagonalPowers(known, modes: modes, shared)
    constants = try device.precisely {
      try DiagonalPowers.step(known, width: width, modes: modes) + [
        mixer.skip.reshaped([width]).dense().value
      ]
    }
    state = try (0..<2).map { _ in try device.executor.tensor(.float32, [shared.batch, width, modes]) }
  }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = first..<first + u.shape[0]
    try powers.bring(state.map { $0.sliced(axis: 0, rows) }, to: u.permuted([0, 2, 1]))
    return try mixer(u)
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    try step.run([normed] + constants + state + [mixed])
    return mixed
  }
}
