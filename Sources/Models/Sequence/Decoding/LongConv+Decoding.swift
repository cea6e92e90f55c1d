internal import Kernels
internal import Tensors

extension LongConv: DecodableMixer {
  var roundsByCapacity: Bool { true }

  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard settings.ends == .causal, transforms == nil else {
      throw ModelError.unsupported(
        feature: transforms == nil
          ? "continuing what sees later positions" : "continuing convolutions by learned transforms")
    }
    return (try self(u), try LongConvDecoder(self, after: u, capacity: capacity))
  }
}

/// LongConv position by position.
private final class LongConvDecoder: MixerDecoder {
  private let mixer: LongConv
  private let history: ConvolutionHistory

  init(_ mixer: LongConv, after u: Variable, capacity: Int) throws {
    self.mixer = mixer
    let filter = try u.device.precisely { try mixer.filters(capacity, u.shape[2]).0 }
    let channels = try u.channels(times: mixer.settings.filter.sets, isRounded: false)
    history = try ConvolutionHistory(filter: filter, after: channels, capacity: capacity)
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width, sets) = (u.shape[0], u.shape[2], mixer.settings.filter.sets)
    let x = try u.reshaped([batch, 1, width]).channels(times: sets, isRounded: false).reshaped([
      batch, sets * width,
    ])
    let y = try history.step(x).map(x, mixer.skip.reshaped([sets * width])) { $0 + $1 * $2 }
    return try mixer.output(y.activated(.gelu)).gated().reshaped(u.shape)
  }
}
