internal import Memory
internal import Tensors

/// A mixer whose steps are kernels on memory that stays where it is, for ``ReplayedSteps``.
protocol ReplayableMixer: SequenceMixer {
  /// Whether this form of it has such steps.
  var hasReplayableSteps: Bool { get }
  /// The projection of what steps give, which is made with what follows it.
  var output: AffineLayer { get }

  /// Steps of its own memory.
  func steps(_ shared: StepMemory) throws -> any MixerSteps
}

extension ReplayableMixer {
  var hasReplayableSteps: Bool { true }
}

/// Steps of one mixer.
protocol MixerSteps: AnyObject {
  /// Mixed prompts of sequences from `first` on, `[count, L, D]` → `[count, L, D]`, whose states are kept.
  func begin(_ u: Variable, first: Int) throws -> Variable

  /// What the output projection takes of the next position, of normalised rows `[B, D]`.
  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor
}
