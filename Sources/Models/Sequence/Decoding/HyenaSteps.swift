internal import Kernels
internal import Memory
internal import Tensors

extension Hyena: ReplayableMixer {
  func steps(_ shared: StepMemory) throws -> any MixerSteps { try HyenaSteps(self, shared) }
}

/// Steps of Hyena.
private final class HyenaSteps: MixerSteps {
  private let mixer: Hyena
  private let shared: StepMemory
  private let projection: LinearLayer
  private let short: ShortConvolutionHistory
  private let long: [LongConvolutionHistory]

  init(_ mixer: Hyena, _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let (width, count) = (mixer.output.weight.shape[0], mixer.order - 1)
    projection = try shared.linear(mixer.input.weight, mixer.input.bias)
    short = try ShortConvolutionHistory(
      filter: mixer.shortFilter.reshaped([(mixer.order + 1) * width, mixer.shortTaps]), bias: mixer.shortBias,
      shared)
    let filters = try shared.device.precisely { try mixer.filter(length: shared.capacity) }
      .reshaped([width, count, shared.capacity])
    let skips = try mixer.skip.reshaped([width, count])
    let input = LongConvolutionStep.Input(isGated: true, kept: LongConvolutionHistory.kept(shared))
    long = try (0..<count).map { number in
      let isLast = number == count - 1
      var result = LongConvolutionStep.Result(input, output: isLast ? shared.activation : .float32)
      result.isGated = isLast
      return try LongConvolutionHistory(
        filter: filters.sliced(axis: 1, number..<number + 1).reshaped([width, shared.capacity]),
        skip: skips.sliced(axis: 1, number..<number + 1), result, shared)
    }
  }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    let z = try mixer.input.channels(of: u)
    try short.begin(z, first: first)
    return try mixer.mix(z) { [long] in try long[$0].begin($1, first: first) }
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    let (batch, width, order) = (normed.shape[0], normed.shape[1], mixer.order)
    let z = try shared.workspace.tensor("projected", .float32, [batch, (order + 1) * width])
    try projection(normed, into: z)
    try short.step(z)
    let parts = (0...order).map { z.sliced(axis: 1, $0 * width..<($0 + 1) * width) }
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    var v = parts[order]
    for (number, history) in long.enumerated() {
      let isLast = number == long.count - 1
      // In place of what was convolved.
      let target = isLast ? mixed : parts[order]
      try history.step(
        [v, parts[order - 1 - number]], isLast ? [parts[0]] : [], at: input.positions, into: target)
      v = target
    }
    return mixed
  }
}
