internal import Kernels
internal import Tensors

extension Hyena: DecodableMixer {
  var roundsByCapacity: Bool { true }

  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    var histories: [ConvolutionHistory] = []
    let filters = try u.device.precisely { try filter(length: capacity) }
      .reshaped([u.shape[2], order - 1, capacity])
    let z = try input.channels(of: u)
    let mixed = try mix(z) { step, input in
      let taps = try filters.sliced(axis: 1, step..<step + 1).reshaped([u.shape[2], capacity])
      histories.append(try ConvolutionHistory(filter: taps, after: input, capacity: capacity))
    }
    return (mixed, try HyenaDecoder(self, histories, after: z))
  }
}

/// Hyena position by position: the last positions for the short filter, all of them for each long one.
private final class HyenaDecoder: MixerDecoder {
  private let mixer: Hyena
  private let histories: [ConvolutionHistory]
  private let short: RecentPositions

  /// - Parameter z: what the short filter took, `[B, (O + 1) · D, L]`.
  init(_ mixer: Hyena, _ histories: [ConvolutionHistory], after z: Variable) throws {
    self.mixer = mixer
    self.histories = histories
    short = try RecentPositions(
      taps: mixer.shortFilter.reshaped([z.shape[1], mixer.shortTaps]), after: z)
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
