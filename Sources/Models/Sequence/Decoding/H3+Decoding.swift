internal import Kernels
internal import Tensors

extension H3: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard settings.headWidth == 1 else {
      throw ModelError.unsupported(feature: "continuing H3 with heads of \(settings.headWidth) channels")
    }
    return (try self(u), try H3Decoder(self, after: u))
  }
}

/// H3 as a recurrence: the last keys for the shift, a state for the diagonal state space.
private final class H3Decoder: MixerDecoder {
  private let mixer: H3
  private let shift: RecentPositions
  private let recurrence: DiagonalRecurrence

  init(_ mixer: H3, after u: Variable) throws {
    self.mixer = mixer
    let (k, v) = (try mixer.projections[1].channels(of: u), try mixer.projections[2].channels(of: u))
    let taps = min(max(u.shape[1], mixer.settings.states), mixer.settings.states)
    let filter = try u.device.precisely { try mixer.shiftFilter(taps: taps) }
    shift = try RecentPositions(taps: filter.reversed(axis: 1), after: k)
    recurrence = try u.device.precisely {
      try DiagonalRecurrence(DiagonalFilter(discretisation: .bilinear), mixer.modes)
    }
    let known = min(u.shape[1], taps)
    let shifted = try k.convolved(filter.sliced(axis: 1, 0..<known), skip: mixer.shiftSkip)
    try u.device.precisely { try recurrence.begin(shifted * v) }
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
