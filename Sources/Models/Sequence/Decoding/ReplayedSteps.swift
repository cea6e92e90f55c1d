internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// What the layers of ``ReplayedSteps`` share: where kernels and buffers are, and how linear layers are made.
struct StepMemory {
  let device: Device
  let preparation: Preparation
  let workspace: Workspace
  /// Sequences.
  let batch: Int
  /// Positions that each can have.
  let capacity: Int
  /// What layers of H3 keep, where there are such.
  var spans: H3Spans?

  /// Whether products are of 16-bit factors.
  var isSixteenBit: Bool { device.factors != device.scalar && device.executor.prefersSixteenBit }

  /// Type in which linear layers take what they multiply.
  var activation: ElementType { (isSixteenBit ? Linear.Arithmetic.sixteenBit : .exact).activation }

  /// A normalisation that hands its result on as linear layers take it.
  ///
  /// - Parameter input: type of what it takes.
  func norm(_ kind: Normalisation, width: Int, input: ElementType = .float32) throws -> any CompiledKernel {
    try preparation.kernel("norm \(kind) \(width) \(input)") {
      try kind.kernel(width: width, input: input, output: activation)
    }
  }

  /// A linear layer of parameters.
  func linear(
    _ weight: Variable, _ bias: Variable?, addsResidual: Bool = false, activation: Activation? = nil,
    output: ElementType = .float32
  ) throws -> LinearLayer {
    try LinearLayer(
      weight.value, bias: bias?.value, exact: !isSixteenBit, addsResidual: addsResidual,
      activation: activation, output: output, preparation: preparation)
  }
}

/// What differs from step to step, as data.
struct StepInput {
  /// int32 `[B]` each.
  let tokens: Tensor
  let positions: Tensor
  /// Steps since the prompts, int32 `[1]`, from 0 again at ``Kernels/LikeliestToken/clockTurn``.
  let clock: Tensor
  /// What ends with this step, where mixers have spans.
  var ends: SpanEnd
  /// Where any layer attends.
  let attention: AttentionWork?
}

/// Steps of a network as kernels on memory that stays where it is, so that a GPU starts a whole step as one.
///
/// For networks of mixers that are ``ReplayableMixer``, with dense or block-diagonal feed-forward layers, on machines with memory
/// of their own. Prompts go through the network as when it trains; states are handed over. Positions are data: sequences may be of
/// different lengths.
final class ReplayedSteps {
  /// Sequences.
  var batch: Int { shared.batch }
  private let network: SequenceNetwork
  private let shared: StepMemory
  private let replay: StepReplay
  private let layers: [Layer]
  private let head: LinearLayer
  /// The embeddings, and what the first layer's mixer takes of them, by a norm with these weights.
  private let embed: (kernel: any CompiledKernel, norm: [Tensor])
  private let likeliest: (parts: any CompiledKernel, token: any CompiledKernel)
  private let lists: WorkLists?
  /// The likeliest tokens of the last steps and their log-probabilities, `[steps, B]`: what step c takes, at c modulo their number.
  private let found: (tokens: Tensor, logProbabilities: Tensor)
  /// Steps since the prompts.
  private var stepsTaken = 0

  /// Steps that may follow each other before somebody looks.
  static let longestRun = 32

  private struct Layer {
    let mixer: any MixerSteps
    /// From the mixer to the feed-forward layers.
    let middle: StepSeam
    /// Those, to the next layer or the head.
    let feedForward: FeedForwardSteps
  }

  /// Lists that attention's work is made of.
  private struct WorkLists {
    let shape: AttentionSteps.Shape
    let queryType: ElementType
    let kernel: any CompiledKernel
    let runs: Tensor
    let items: Tensor
    let pages: Tensor
    let mergeBlocks: Tensor
    /// No angle: positions are learned, or none.
    let angles: Tensor
  }

  /// Whether there is such a form.
  static func suits(_ network: SequenceNetwork) -> Bool {
    let device = network.parameters.device
    guard !device.executor.sharesHostMemory, device.scalar == .float32 else { return false }
    return network.blocks.allSatisfy { block in
      FeedForwardSteps.suits(block.feedForward)
        && (block.mixer as? any ReplayableMixer)?.hasReplayableSteps ?? false
    }
  }

  /// - Parameters:
  ///   - batch: sequences.
  ///   - capacity: positions that each can have.
  init(_ network: SequenceNetwork, batch: Int, capacity: Int) throws {
    let device = network.parameters.device
    let executor = device.executor
    let preparation = Preparation(executor)
    var shared = StepMemory(
      device: device, preparation: preparation, workspace: Workspace(executor), batch: batch,
      capacity: capacity)
    shared.spans = try H3Spans(network.blocks.compactMap { $0.mixer as? H3 }, shared)
    (self.network, self.shared) = (network, shared)
    replay = StepReplay(executor, shared.workspace)
    let width = network.settings.width
    head = try shared.linear(network.embedding, nil)
    let norms = network.blocks.map(\.mixerNorm) + [network.norm]
    layers = try network.blocks.enumerated().map { number, block in
      guard let mixer = block.mixer as? any ReplayableMixer else {
        preconditionFailure("steps of a mixer that has none")
      }
      return Layer(
        mixer: try mixer.steps(shared),
        middle: try StepSeam(
          mixer.output.weight, mixer.output.bias, norm: block.feedForwardNorm, shared),
        feedForward: try FeedForwardSteps(block.feedForward, norm: norms[number + 1], shared))
    }
    embed = (
      try preparation.kernel("embed") {
        try Embedding.normalised(
          width: width, table: .float32, positions: network.positions == nil ? nil : .float32,
          by: .layer(epsilon: norms[0].epsilon), output: shared.activation)
      }, [norms[0].weight.value, norms[0].bias.value]
    )
    // Those that nobody has looked at yet, and the next.
    let shapeOfRun = [2 * Self.longestRun, batch]
    found = (try executor.tensor(.int32, shapeOfRun), try executor.tensor(.float32, shapeOfRun))
    likeliest = (
      try preparation.kernel("likeliest parts") { try LikeliestToken.parts() },
      try preparation.kernel("likeliest") {
        try LikeliestToken.kernel(spans: LikeliestToken.spans(of: network.settings.vocabularySize))
      }
    )
    let attention = layers.lazy.compactMap { $0.mixer as? AttentionSteps }.first
    lists = try attention.map { try Self.lists($0.shape, $0.queryType, shared) }
  }

  private static func lists(
    _ shape: AttentionSteps.Shape, _ queryType: ElementType, _ shared: StepMemory
  ) throws -> WorkLists {
    let (executor, batch) = (shared.device.executor, shared.batch)
    let blocks = (batch + PagedAttention.mergeRows - 1) / PagedAttention.mergeRows
    return WorkLists(
      shape: shape, queryType: queryType,
      kernel: try shared.preparation.kernel("work") { try DecodingWork.kernel(shape.heads) },
      runs: try executor.tensor(.int32, [batch, 4]),
      items: try executor.tensor(.int32, [batch, shape.chunks, PagedAttention.Field.allCases.count]),
      pages: try shared.device.tensor((0..<batch * shape.pages).map { Int32($0) }, [batch * shape.pages]),
      mergeBlocks: try shared.device.tensor(
        [Int32](repeating: Int32(shape.chunks), count: blocks), [blocks]),
      angles: try executor.tensor(.float32, [batch, 0]))
  }

  // MARK: Prompts

  /// Takes up sequences from `first` on, whose prompts are equally long.
  ///
  /// - Parameter tokens: `[count, L]`, row by row.
  func begin(_ tokens: [Int32], count: Int, first: Int) throws {
    let last = try network.last(tokens, batch: count) { try layers[$0].mixer.begin($1, first: first) }
    let rows = try last.converted(to: shared.activation).dense().value
    try head(rows, into: logits.sliced(axis: 0, first..<first + count))
  }

  // MARK: Steps

  /// Logits of the next token of each sequence, float32 `[B, rows of the embedding]`, until the next step.
  var logits: Tensor {
    get throws {
      try shared.workspace.tensor("logits", .float32, [batch, network.settings.embeddingRows])
    }
  }

  /// The next token of each sequence, at its position.
  func step(_ tokens: [Int32], at positions: [Int]) throws {
    try step(given(tokens, at: positions))
  }

  /// Ends the prompts: finds the likeliest next tokens, for positions behind those.
  func finishPrompts(of lengths: [Int]) throws {
    try shared.spans?.begin()
    stepsTaken = -1
    try findLikeliest(given([Int32](repeating: 0, count: batch), at: lengths.map { $0 - 1 }))
    stepsTaken = 0
  }

  /// Steps of which each takes the likeliest tokens of the one before, without the host in between.
  ///
  /// - Parameter count: up to ``longestRun``.
  /// - Returns: the tokens taken, for each step and sequence, with their log-probabilities.
  func likeliestSteps(_ count: Int) throws -> [[(token: Int32, logProbability: Float)]] {
    precondition((0...Self.longestRun).contains(count), "\(count) steps of \(Self.longestRun) that are noted")
    let executor = shared.device.executor
    var input = try self.input
    let (first, rows) = (stepsTaken, found.tokens.shape[0])
    for _ in 0..<count {
      input.ends = ends
      try step(input)
    }
    let tokens = try executor.fetch(found.tokens), logs = try executor.fetch(found.logProbabilities)
    return tokens.withElements(as: Int32.self) { tokens in
      logs.withElements(as: Float.self) { logs in
        (0..<count).map { step -> [(token: Int32, logProbability: Float)] in
          let row = (first + step) % rows * batch
          return (0..<batch).map { (tokens[row + $0], logs[row + $0]) }
        }
      }
    }
  }

  /// Tokens and positions from the host. What a step leaves there is the likeliest next tokens and their positions.
  private func given(_ tokens: [Int32], at positions: [Int]) throws -> StepInput {
    let last = shared.capacity - 1
    let clock = Int32(stepsTaken % LikeliestToken.clockTurn)
    let inputs = try shared.workspace.inputs(inputParts) { tensors in
      tensors[0].withMutableElements(as: Int32.self) { span in
        for index in tokens.indices { span[index] = tokens[index] }
      }
      tensors[1].withMutableElements(as: Int32.self) { span in
        for index in positions.indices { span[index] = Int32(min(positions[index], last)) }
      }
      tensors[2].withMutableElements(as: Int32.self) { $0[0] = clock }
    }
    return try input(inputs)
  }

  private var ends: SpanEnd { shared.spans == nil ? .nothing : SpanEnd(ofStep: stepsTaken) }

  private var inputParts: [(type: ElementType, shape: [Int])] {
    [(.int32, [batch]), (.int32, [batch]), (.int32, [1])]
  }

  /// What the last step left to the next.
  private var input: StepInput {
    get throws { try input(shared.workspace.inputs(inputParts, write: nil)) }
  }

  private func input(_ tensors: [Tensor]) throws -> StepInput {
    StepInput(
      tokens: tensors[0], positions: tensors[1], clock: tensors[2],
      ends: ends, attention: try work(tensors[1]))
  }

  private func step(_ input: StepInput) throws {
    let x = try shared.workspace.tensor("x", .float32, [batch, network.settings.width])
    let shape = StepReplay.Shape(
      extents: [batch], phases: [], chunks: lists?.shape.chunks ?? 0, ends: input.ends)
    try replay.run(shape, cache: logits.storage) { try run(input, x) }
    stepsTaken += 1
  }

  private func work(_ positions: Tensor) throws -> AttentionWork? {
    try lists.map { lists in
      let items = batch * lists.shape.chunks
      return try AttentionWork(
        lists.shape.heads, queryType: lists.queryType, phases: [0..<items], chunkCount: lists.shape.chunks,
        lists: (
          lists.runs, lists.items.reshaped([items, lists.items.shape[2]]), lists.pages, lists.mergeBlocks
        ), rowPositions: positions.reshaped([batch, 1]), angles: (lists.angles, lists.angles),
        shared.workspace)
    }
  }

  /// Starts the step's kernels.
  private func run(_ input: StepInput, _ x: Tensor) throws {
    let y = try shared.workspace.tensor("y", .float32, x.shape)
    let places = network.positions.map { [input.positions, $0.value] } ?? []
    if let lists {
      try lists.kernel.run([input.positions, lists.runs, lists.items], integers: [lists.shape.pages])
    }
    let normed = try shared.workspace.tensor("normed", shared.activation, x.shape)
    try embed.kernel.run([input.tokens, network.embedding.value] + places + embed.norm + [x, normed])
    for layer in layers {
      try layer.middle(layer.mixer.step(normed, input), adding: x, into: y, normalised: normed)
      try layer.feedForward(normed, adding: y, into: x)
    }
    try shared.spans?.end(input.ends, at: input.clock)
    try head(normed, into: logits)
    try findLikeliest(input)
  }

  /// Makes the likeliest next tokens, and their positions, the input of the next step.
  private func findLikeliest(_ input: StepInput) throws {
    let tokens = network.settings.vocabularySize
    let spans = LikeliestToken.spans(of: tokens)
    let tops = try shared.workspace.tensor("tops of logits", .float32, [batch, spans])
    let places = try shared.workspace.tensor("places of logits", .float32, [batch, spans])
    let sums = try shared.workspace.tensor("sums of logits", .float32, [batch, spans])
    try likeliest.parts.run([logits, tops, places, sums, input.clock], integers: [tokens])
    try likeliest.token.run(
      [tops, places, sums, input.clock, input.tokens, input.positions, found.tokens, found.logProbabilities],
      integers: [shared.capacity - 1])
  }

  /// The likeliest next tokens, once they are known; past the vocabulary where logits are not numbers.
  func likeliestTokens() throws -> [Int32] {
    let found = try shared.device.executor.fetch(input.tokens)
    return found.withElements(as: Int32.self) { span in span.indices.map { span[$0] } }
  }
}
