internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

extension MonarchMixer: ReplayableMixer {
  var hasReplayableSteps: Bool { settings.isCausal }

  func steps(_ shared: StepMemory) throws -> any MixerSteps { try MonarchMixerSteps(self, shared) }
}

/// Steps of Monarch Mixer.
private final class MonarchMixerSteps: MixerSteps {
  private let mixer: MonarchMixer
  private let shared: StepMemory
  private let norm: (kernel: any CompiledKernel, weights: [Tensor])?
  private let projection: LinearLayer
  private let short: ShortConvolutionHistory
  private let gated: LongConvolutionHistory
  private let direct: LongConvolutionHistory?

  init(_ mixer: MonarchMixer, _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let (width, kept) = (mixer.output.weight.shape[0], LongConvolutionHistory.kept(shared))
    norm = try mixer.norm.map {
      (
        try shared.norm(.layer(epsilon: $0.epsilon), width: width, input: shared.activation),
        [$0.weight.value, $0.bias.value]
      )
    }
    projection = try shared.linear(mixer.input.weight, mixer.input.bias)
    short = try ShortConvolutionHistory(
      filter: mixer.shortFilter.reshaped([3 * width, MonarchMixer.shortTaps]), bias: mixer.shortBias, shared)
    func history(_ convolution: MonarchMixer.Convolution, _ shape: LongConvolutionStep.Result) throws
      -> LongConvolutionHistory
    {
      let filter = try shared.device.precisely { try convolution.filter(length: shared.capacity) }
      return try LongConvolutionHistory(filter: filter, skip: convolution.skip, shape, shared)
    }
    direct = try mixer.residual.map {
      let input = LongConvolutionStep.Input(isGated: false, type: shared.activation, kept: kept)
      return try history($0, LongConvolutionStep.Result(input, output: .float32))
    }
    var result = LongConvolutionStep.Result(
      LongConvolutionStep.Input(isGated: true, kept: kept), output: shared.activation)
    (result.isGated, result.addsTerm) = (true, direct != nil)
    gated = try history(mixer.convolution, result)
  }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    let rows = try mixer.norm.map { try $0(u) } ?? u
    let z = try mixer.input.channels(of: rows)
    try short.begin(z, first: first)
    try direct?.begin(rows.permuted([0, 2, 1]), first: first)
    return try mixer.mix(rows, z) { [gated] in try gated.begin($0, first: first) }
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    let (batch, width) = (normed.shape[0], normed.shape[1])
    var rows = normed
    if let norm {
      rows = try shared.workspace.tensor("normed in the mixer", normed.type, normed.shape)
      try norm.kernel.run([normed] + norm.weights + [rows])
    }
    let z = try shared.workspace.tensor("projected", .float32, [batch, 3 * width])
    try projection(rows, into: z)
    try short.step(z)
    let parts = (0..<3).map { z.sliced(axis: 1, $0 * width..<($0 + 1) * width) }
    var others = [parts[1]]
    if let direct {
      let term = try shared.workspace.tensor("direct", .float32, normed.shape)
      try direct.step([rows], [], at: input.positions, into: term)
      others.append(term)
    }
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    try gated.step([parts[2], parts[0]], others, at: input.positions, into: mixed)
    return mixed
  }
}
