internal import Kernels
internal import Tensors

extension S4D: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard settings.sets == 1, !settings.isTwoSided else {
      throw ModelError.unsupported(feature: "continuing sequences with several state spaces for each channel")
    }
    return (try self(u), try S4DDecoder(self, after: u))
  }
}

/// S4D as a recurrence.
private final class S4DDecoder: MixerDecoder {
  private let mixer: S4D
  private let recurrence: DiagonalRecurrence

  init(_ mixer: S4D, after u: Variable) throws {
    self.mixer = mixer
    recurrence = try u.device.precisely {
      let recurrence = try DiagonalRecurrence(DiagonalFilter(discretisation: .zeroOrderHold), mixer.modes)
      try recurrence.begin(u.permuted([0, 2, 1]))
      return recurrence
    }
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width) = (u.shape[0], u.shape[2])
    let x = try u.reshaped([batch, width])
    let y = try recurrence.step(x).map(x, mixer.skip.reshaped([width])) { $0 + $1 * $2 }
    let mixed = try mixer.output(y.activated(.gelu))
    return try (mixer.settings.isGated ? mixed.gated() : mixed).reshaped(u.shape)
  }
}
