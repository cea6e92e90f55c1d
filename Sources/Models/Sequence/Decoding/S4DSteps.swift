internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// Steps of S4D as kernels on memory that stays where it is.
final class S4DSteps {
  private let mixer: S4D
  private let shared: StepMemory
  private let step: any CompiledKernel
  private let powers: DiagonalPowers
  /// Poles, residues and skip.
  private let constants: [Tensor]
  /// Real and imaginary, `[B, D, N]`.
  private let state: [Tensor]

  /// Whether there is such a form: one state space for each channel, one way, and no gate behind the linear layer.
  static func suits(_ mixer: S4D) -> Bool {
    mixer.settings.sets == 1 && !mixer.settings.isTwoSided && !mixer.settings.isGated
  }

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

  /// Mixed prompts of sequences from `first` on, whose states are kept.
  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = first..<first + u.shape[0]
    try powers.bring(state.map { $0.sliced(axis: 0, rows) }, to: u.permuted([0, 2, 1]))
    return try mixer(u)
  }

  /// What the output projection takes of the next position, of normalised rows `[B, D]`.
  func step(_ normed: Tensor) throws -> Tensor {
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    try step.run([normed] + constants + state + [mixed])
    return mixed
  }
}
