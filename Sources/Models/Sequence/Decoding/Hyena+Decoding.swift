internal import Kernels
internal import Tensors

extension Hyena: DecodableMixer {
  var roundsByCapacity: Bool { true }

  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    var histories: [ConvolutionHistory] = []
    let filters = try u.device.precisely { try filter(length: capacity) }
      .reshaped([u.shape[2], order - 1, capacity])
    let mixed = try mix(u) { step, input in
      let taps = try filters.sliced(axis: 1, step..<step + 1).reshaped([u.shape[2], capacity])
      histories.append(try ConvolutionHistory(filter: taps, after: input, capacity: capacity))
    }
    return (mixed, try HyenaDecoder(self, histories, after: u))
  }
}

/// Hyena position by position: the last positions for the short filter, all of them for each long one.
private final class HyenaDecoder: MixerDecoder {
  private let mixer: Hyena
  private let histories: [ConvolutionHistory]
  private let short: RecentPositions

  init(_ mixer: Hyena, _ histories: [ConvolutionHistory], after u: Variable) throws {
    self.mixer = mixer
    self.histories = histories
    let channels = (mixer.order + 1) * u.shape[2]
    short = try RecentPositions(
      taps: mixer.shortFilter.reshaped([channels, mixer.shortTaps]), after: mixer.input.channels(of: u))
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width, order) = (u.shape[0], u.shape[2], mixer.order)
    let z = try short.step(mixer.input(u.reshaped([batch, width]))) + mixer.shortBias
    let parts = try z.split(axis: 1, order + 1)
    let skips = try mixer.skip.reshaped([width, order - 1])
    var v = parts[order]
    for step in 0..<order - 1 {
      let input = try parts[order - 1 - step] * v
      let factor = try skips.sliced(axis: 1, step..<step + 1).reshaped([width])
      v = try histories[step].step(input).map(input, factor) { $0 + $1 * $2 }
    }
    return try mixer.output(parts[0] * v).reshaped(u.shape)
  }
}
