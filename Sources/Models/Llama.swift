internal import Kernels
public import Memory
public import Tiles

/// Networks of the Llama family: RMSNorm, rotary embedding, grouped-query attention, SwiGLU.
///
/// Touvron et al., 2023, arXiv:2302.13971; also Mistral (sliding window), Qwen2 (biases on q, k, v) and SmolLM2.
public final class Llama: LanguageModel {
  /// Sizes and constants.
  public let configuration: LlamaConfiguration
  /// Logits a row has.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// Longest sequence it was made for.
  public var contextLength: Int { configuration.contextLength }
  /// Keys further back are not seen.
  public var slidingWindow: Int? { configuration.slidingWindow }
  /// Query heads a key-value head serves.
  public var queryGroup: Int { configuration.headCount / configuration.kvHeadCount }
  /// Sizes of its cache.
  public let cacheGeometry: PagedCache.Geometry
  /// What attention multiplies.
  public let attentionFactor: ElementType
  /// Of the linear layers.
  public var stepWeightBytes: Int {
    layers.reduce(head.weightBytes) { total, layer in
      let linear = [layer.query, layer.key, layer.value, layer.output, layer.down]
      return linear.reduce(total + layer.gated.weightBytes) { $0 + $1.weightBytes }
    }
  }
  /// What it runs on.
  public let executor: any Executor

  private let embedding: Tensor
  private let layers: [Layer]
  private let embed: any CompiledKernel
  private let gather: any CompiledKernel
  private let finalNorm: Norm
  private let head: LinearLayer
  private let workspace: Workspace
  private let replay: StepReplay

  private struct Layer {
    let attentionNorm: Norm
    let query: LinearLayer
    let key: LinearLayer
    let value: LinearLayer
    let attention: AttentionCore
    let output: LinearLayer
    let feedForwardNorm: Norm
    let gated: GatedLayer
    let down: LinearLayer
  }

  /// A normalisation that hands its result on in the type the next layer takes.
  private struct Norm {
    let weight: Tensor
    let kernel: any CompiledKernel
    let output: ElementType
  }

  /// - Parameters:
  ///   - exact: whether weights are widened to float32 instead of multiplied as integers or 16-bit numbers.
  ///   - cacheType: float32, float16 or int8.
  public init(
    _ configuration: LlamaConfiguration, weights: LlamaWeights, executor: any Executor, exact: Bool,
    cacheType: ElementType = .float32
  ) throws {
    self.configuration = configuration
    self.executor = executor
    workspace = Workspace(executor)
    replay = StepReplay(executor, workspace)
    attentionFactor = AttentionCore.factor(cache: cacheType, executor)
    cacheGeometry = PagedCache.Geometry(
      layers: configuration.layers, kvHeads: configuration.kvHeadCount, headSize: configuration.headSize,
      type: cacheType)
    let preparation = Preparation(executor)
    let width = configuration.hiddenSize
    layers = try weights.layers.map {
      try Self.layer($0, configuration, exact: exact, cacheType: cacheType, preparation)
    }
    embedding = try preparation.placed(weights.embedding)
    embed = try preparation.kernel("embed") {
      try Embedding.kernel(width: width, table: weights.embedding.type)
    }
    gather = try preparation.kernel("gather") { try Embedding.kernel(width: width, table: .float32) }
    head = try LinearLayer(weights.head, exact: exact, preparation: preparation)
    finalNorm = try Self.norm(weights.finalNorm, configuration, next: head.arithmetic, preparation)
  }

  private static func norm(
    _ weight: Tensor, _ configuration: LlamaConfiguration, next: Linear.Arithmetic,
    _ preparation: Preparation
  ) throws -> Norm {
    let output = next.activation
    let kind = Normalisation.rms(epsilon: configuration.normEpsilon)
    let kernel = try preparation.kernel("norm \(kind) \(output)") {
      try kind.kernel(width: configuration.hiddenSize, output: output)
    }
    return Norm(weight: try preparation.placed(weight), kernel: kernel, output: output)
  }

  private static func layer(
    _ weights: LlamaWeights.Layer, _ configuration: LlamaConfiguration, exact: Bool, cacheType: ElementType,
    _ preparation: Preparation
  ) throws -> Layer {
    let c = configuration
    let query = try LinearLayer(
      weights.query, bias: weights.queryBias, exact: exact, preparation: preparation)
    let key = try LinearLayer(weights.key, bias: weights.keyBias, exact: exact, preparation: preparation)
    let value = try LinearLayer(
      weights.value, bias: weights.valueBias, exact: exact, preparation: preparation)
    let output = try LinearLayer(
      weights.output, bias: weights.outputBias, exact: exact, addsResidual: true, preparation: preparation)
    let down = try LinearLayer(weights.down, exact: exact, addsResidual: true, preparation: preparation)
    let gated = try GatedLayer(
      gate: weights.gate, up: weights.up, exact: exact, next: down.arithmetic, preparation: preparation)
    // The three projections read one normalised input, so they must agree on its type.
    let inputs = Set([query.arithmetic, key.arithmetic, value.arithmetic])
    guard let first = inputs.first, inputs.count == 1 else {
      throw ModelError.mixedArithmetic(layer: "attention inputs")
    }
    let shape = Rotary.Shape(
      kvHeads: c.kvHeadCount, group: c.headCount / c.kvHeadCount, headSize: c.headSize,
      rotarySize: c.rotarySize)
    return Layer(
      attentionNorm: try norm(weights.attentionNorm, c, next: first, preparation), query: query, key: key,
      value: value,
      attention: try AttentionCore(
        shape, cache: cacheType, scale: 1 / Float(c.headSize).squareRoot(), window: c.slidingWindow,
        output: output.arithmetic.activation, preparation: preparation),
      output: output,
      feedForwardNorm: try norm(weights.feedForwardNorm, c, next: gated.arithmetic, preparation),
      gated: gated, down: down)
  }

  /// Computes one step; see the protocol.
  public func forward(_ batch: ForwardBatch, cache: PagedCache) throws -> Tensor {
    let c = configuration
    let step = try StepTensors(
      batch, shape: layers[0].attention.shape, queryType: layers[0].attention.factor, rotary: c.rotary,
      workspace: workspace, isPadded: !executor.sharesHostMemory)
    try replay.run(step.shape, cache: cache.keys.storage) { try run(step, cache) }
    return try workspace.tensor("logits", .float32, [batch.logitRows.count, c.vocabularySize])
  }

  /// Starts the step's kernels; logits go to the buffer of that name.
  private func run(_ step: StepTensors, _ cache: PagedCache) throws {
    let c = configuration
    let x = try workspace.tensor("x", .float32, [step.batch.tokens.count, c.hiddenSize])
    let y = try workspace.tensor("y", .float32, x.shape)
    try embed.run([step.tokens, embedding, x])
    for (number, layer) in layers.enumerated() {
      try attend(layer, x, into: y, step, cache.layer(number))
      try feedForward(layer, y, into: x)
    }
    let count = step.batch.logitRows.count
    guard count > 0 else { return }
    let wanted = try workspace.tensor("y", .float32, [count, c.hiddenSize])
    try gather.run([step.logitRows, x, wanted])
    try head(
      normalized(wanted, finalNorm), into: workspace.tensor("logits", .float32, [count, c.vocabularySize]))
  }

  private func normalized(_ x: Tensor, _ norm: Norm) throws -> Tensor {
    let result = try workspace.tensor("normed", norm.output, x.shape)
    try norm.kernel.run([x, norm.weight, result])
    return result
  }

  private func attend(
    _ layer: Layer, _ x: Tensor, into y: Tensor, _ step: StepTensors, _ pages: [Tensor]
  ) throws {
    let c = configuration
    let rows = x.shape[0]
    let normed = try normalized(x, layer.attentionNorm)
    let q = try workspace.tensor("q", .float32, [rows, c.headCount * c.headSize])
    let k = try workspace.tensor("k", .float32, [rows, c.kvHeadCount * c.headSize])
    let v = try workspace.tensor("v", .float32, [rows, c.kvHeadCount * c.headSize])
    try layer.query(normed, into: q)
    try layer.key(normed, into: k)
    try layer.value(normed, into: v)
    let attended = try workspace.tensor(
      "attended", layer.output.arithmetic.activation, [rows, c.headCount * c.headSize])
    try layer.attention(
      q: q, k: k, v: v, pairsAreInterleaved: c.pairsAreInterleaved, step.attention,
      cache: pages, into: attended)
    try layer.output(attended, residual: x, into: y)
  }

  private func feedForward(_ layer: Layer, _ x: Tensor, into y: Tensor) throws {
    let c = configuration
    let rows = x.shape[0]
    let normed = try normalized(x, layer.feedForwardNorm)
    let hidden = try workspace.tensor(
      "hidden", layer.down.arithmetic.activation, [rows, c.feedForwardSize])
    try layer.gated(normed, into: hidden)
    try layer.down(hidden, residual: x, into: y)
  }
}
