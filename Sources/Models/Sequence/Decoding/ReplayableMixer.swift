internal import Kernels
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

/// What of a span of ``Kernels/H3Step`` ends with a step, behind which mixers that have spans do more than at other positions.
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

/// Steps of one mixer.
protocol MixerSteps: AnyObject {
  /// Whether it does more at a ``SpanEnd``.
  var hasSpans: Bool { get }

  /// Mixed prompts of sequences from `first` on, `[count, L, D]` → `[count, L, D]`, whose states are kept.
  func begin(_ u: Variable, first: Int) throws -> Variable

  /// What the output projection takes of the next position, of normalised rows `[B, D]`.
  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor
}

extension MixerSteps {
  var hasSpans: Bool { false }
}
