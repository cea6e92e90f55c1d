internal import Kernels
internal import Tensors

extension MonarchMixer: DecodableMixer {
  var roundsByCapacity: Bool { true }

  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    guard settings.isCausal else {
      throw ModelError.unsupported(feature: "continuing what sees later positions")
    }
    return (try self(u), try MonarchMixerDecoder(self, after: u, capacity: capacity))
  }
}

/// Monarch Mixer position by position: the last positions for the short filter, all of them for the long ones.
private final class MonarchMixerDecoder: MixerDecoder {
  private let mixer: MonarchMixer
  private let short: RecentPositions
  private let gated: ConvolutionHistory
  private let direct: ConvolutionHistory?

  init(_ mixer: MonarchMixer, after u: Variable, capacity: Int) throws {
    self.mixer = mixer
    let (u, d) = (try mixer.norm.map { try $0(u) } ?? u, u.shape[2])
    func history(_ convolution: MonarchMixer.Convolution, _ x: Variable) throws -> ConvolutionHistory {
      let filter = try u.device.precisely { try convolution.filter(length: capacity) }
      return try ConvolutionHistory(filter: filter, after: x, capacity: capacity)
    }
    let z = try mixer.input.channels(of: u)
    short = try RecentPositions(
      taps: mixer.shortFilter.reshaped([3 * d, MonarchMixer.shortTaps]), after: z)
    let parts = try z.shortConvolved(
      mixer.shortFilter.reshaped([3 * d, MonarchMixer.shortTaps]), bias: mixer.shortBias
    ).split(axis: 1, 3)
    gated = try history(mixer.convolution, parts[0] * parts[2])
    direct = try mixer.residual.map { try history($0, u.permuted([0, 2, 1])) }
  }

  func step(_ u: Variable) throws -> Variable {
    let row = try (mixer.norm.map { try $0(u) } ?? u).reshaped([u.shape[0], u.shape[2]])
    let parts = try (short.step(mixer.input(row)) + mixer.shortBias).split(axis: 1, 3)
    let x = try parts[0] * parts[2]
    let convolved = try gated.step(x)
    var y = try Variable.pointwise([convolved, x, mixer.convolution.skip, parts[1]]) {
      [($0[0] + $0[1] * $0[2]) * $0[3]]
    }[0]
    if let direct, let residual = mixer.residual {
      y = try y + direct.step(row).map(row, residual.skip) { $0 + $1 * $2 }
    }
    return try mixer.output(y).reshaped(u.shape)
  }
}
