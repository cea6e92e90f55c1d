internal import Kernels
internal import Tensors

extension H3: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard settings.headWidth == 1 else {
      throw ModelError.unsupported(feature: "continuing H3 with heads of \(settings.headWidth) channels")
    }
    var decoder: H3Decoder?
    let mixed = try mix(u) { decoder = try H3Decoder(self, keys: $0, input: $1 * $2) }
    guard let decoder else { preconditionFailure("nothing was mixed") }
    return (mixed, decoder)
  }
}

/// H3 as a recurrence: the last keys for the shift, a state for the diagonal state space.
private final class H3Decoder: MixerDecoder {
  private let mixer: H3
  private let shift: RecentPositions
  private let recurrence: DiagonalRecurrence

  /// - Parameters:
  ///   - keys: of the prompt, `[B, D, L]`.
  ///   - input: what the diagonal state space took.
  init(_ mixer: H3, keys: Variable, input: Variable) throws {
    self.mixer = mixer
    let filter = try keys.device.precisely { try mixer.shiftFilter(taps: mixer.settings.states) }
    shift = try RecentPositions(taps: filter.reversed(axis: 1), after: keys)
    recurrence = try keys.device.precisely {
      let recurrence = try DiagonalRecurrence(DiagonalFilter(discretisation: .bilinear), mixer.modes)
      try recurrence.begin(input)
      return recurrence
    }
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width) = (u.shape[0], u.shape[2])
    let row = try u.reshaped([batch, width])
    let (q, k, v) = (
      try mixer.projections[0](row), try mixer.projections[1](row), try mixer.projections[2](row)
    )
    let shifted = try shift.step(k).map(k, mixer.shiftSkip) { $0 + $1 * $2 }
    let x = try shifted * v
    let y = try recurrence.step(x)
    let mixed = try Variable.pointwise([y, x, mixer.skip, q]) { [($0[0] + $0[1] * $0[2]) * $0[3]] }[0]
    return try mixer.output(mixed).reshaped(u.shape)
  }
}
