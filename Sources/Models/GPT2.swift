internal import Kernels
public import Memory
public import Tiles

/// GPT-2: learned positions, LayerNorm before each half of a block, GELU.
///
/// Radford et al., “Language Models are Unsupervised Multitask Learners”, 2019.
public final class GPT2: LanguageModel {
  /// Sizes and constants.
  public let configuration: GPT2Configuration
  /// Logits a row has.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// Longest sequence it was made for.
  public var contextLength: Int { configuration.contextLength }
  /// All keys are seen.
  public var slidingWindow: Int? { nil }
  /// Every head has keys of its own.
  public var queryGroup: Int { 1 }
  /// Sizes of its cache.
  public let cacheGeometry: PagedCache.Geometry
  /// What attention multiplies.
  public let attentionFactor: ElementType
  /// Of the linear layers.
  public var stepWeightBytes: Int {
    layers.reduce(head.weightBytes) { total, layer in
      [layer.query, layer.key, layer.value, layer.output, layer.up, layer.down].reduce(total) {
        $0 + $1.weightBytes
      }
    }
  }
  /// What it runs on.
  public let executor: any Executor

  private let embedding: Tensor
  private let positions: Tensor
  private let layers: [Layer]
  private let embed: any CompiledKernel
  private let gather: any CompiledKernel
  private let finalNorm: Norm
  private let activate: any CompiledKernel
  private let attention: AttentionCore
  private let head: LinearLayer
  private let arithmetic: Linear.Arithmetic
  private let workspace: Workspace
  private let replay: StepReplay

  private struct Layer {
    let query: LinearLayer
    let key: LinearLayer
    let value: LinearLayer
    let output: LinearLayer
    let up: LinearLayer
    let down: LinearLayer
    let attentionNorm: Norm
    let feedForwardNorm: Norm
  }

  /// Scale and shift with the kernel that hands the result on as linear layers take it.
  private struct Norm {
    let weight: Tensor
    let bias: Tensor
    let kernel: any CompiledKernel
  }

  /// - Parameters:
  ///   - exact: whether products are of float32 numbers even where the executor prefers 16-bit ones.
  ///   - cacheType: float32, float16 or int8.
  public init(
    _ configuration: GPT2Configuration, weights: GPT2Weights, executor: any Executor, exact: Bool = false,
    cacheType: ElementType = .float32
  ) throws {
    let c = configuration
    self.configuration = c
    self.executor = executor
    workspace = Workspace(executor)
    replay = StepReplay(executor, workspace)
    attentionFactor = AttentionCore.factor(cache: cacheType, executor)
    cacheGeometry = PagedCache.Geometry(
      layers: c.layers, kvHeads: c.headCount, headSize: c.headSize, type: cacheType)
    let preparation = Preparation(executor)
    func linear(_ part: GPT2Weights.Projection, addsResidual: Bool = false) throws -> LinearLayer {
      try LinearLayer(
        part.weight, bias: part.bias, exact: exact, addsResidual: addsResidual, preparation: preparation)
    }
    head = try LinearLayer(weights.head, exact: exact, preparation: preparation)
    // Files of this network hold no blocks, so that all layers multiply alike.
    let next = head.arithmetic
    arithmetic = next
    func norm(_ part: GPT2Weights.Norm) throws -> Norm {
      let kernel = try preparation.kernel("norm") {
        try Normalisation.layer(epsilon: c.normEpsilon).kernel(width: c.hiddenSize, output: next.activation)
      }
      return Norm(
        weight: try preparation.placed(part.weight), bias: try preparation.placed(part.bias), kernel: kernel)
    }
    layers = try weights.layers.map {
      Layer(
        query: try linear($0.query), key: try linear($0.key), value: try linear($0.value),
        output: try linear($0.output, addsResidual: true), up: try linear($0.up),
        down: try linear($0.down, addsResidual: true), attentionNorm: try norm($0.attentionNorm),
        feedForwardNorm: try norm($0.feedForwardNorm))
    }
    finalNorm = try norm(weights.finalNorm)
    (embedding, positions) = (
      try preparation.placed(weights.embedding), try preparation.placed(weights.positions)
    )
    embed = try preparation.kernel("embed") {
      try Embedding.kernel(
        width: c.hiddenSize, table: weights.embedding.type, positions: weights.positions.type)
    }
    gather = try preparation.kernel("gather") { try Embedding.kernel(width: c.hiddenSize, table: .float32) }
    activate = try preparation.kernel("activate") {
      try c.activation.kernel(columns: c.feedForwardSize, output: next.activation)
    }
    let shape = Rotary.Shape(kvHeads: c.headCount, group: 1, headSize: c.headSize, rotarySize: 0)
    attention = try AttentionCore(
      shape, cache: cacheType, scale: 1 / Float(c.headSize).squareRoot(), window: nil,
      output: next.activation, preparation: preparation)
  }

  /// Computes one step; see the protocol.
  ///
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` for a position past the table.
  public func forward(_ batch: ForwardBatch, cache: PagedCache) throws -> Tensor {
    let c = configuration
    if let last = batch.positions.max(), Int(last) >= c.contextLength {
      throw ModelError.invalid(key: "position", value: "\(last)", allowed: "0 to \(c.contextLength - 1)")
    }
    let step = try StepTensors(
      batch, shape: attention.shape, queryType: attention.factor, rotary: nil, workspace: workspace,
      isPadded: !executor.sharesHostMemory)
    try replay.run(step.shape, cache: cache.keys.storage) { try run(step, cache) }
    return try workspace.tensor("logits", .float32, [batch.logitRows.count, c.vocabularySize])
  }

  /// Starts the step's kernels; logits go to the buffer of that name.
  private func run(_ step: StepTensors, _ cache: PagedCache) throws {
    let c = configuration
    let x = try workspace.tensor("x", .float32, [step.batch.tokens.count, c.hiddenSize])
    let y = try workspace.tensor("y", .float32, x.shape)
    try embed.run([step.tokens, embedding, step.positions, positions, x])
    for (number, layer) in layers.enumerated() {
      try attend(layer, x, into: y, step, cache.layer(number))
      try feedForward(layer, y, into: x)
    }
    let count = step.batch.logitRows.count
    guard count > 0 else { return }
    let wanted = try workspace.tensor("y", .float32, [count, c.hiddenSize])
    try gather.run([step.logitRows, x, wanted])
    let logits = try workspace.tensor("logits", .float32, [count, c.vocabularySize])
    try head(try normalized(wanted, finalNorm), into: logits)
  }

  private func normalized(_ x: Tensor, _ norm: Norm) throws -> Tensor {
    let result = try workspace.tensor("normed", arithmetic.activation, x.shape)
    try norm.kernel.run([x, norm.weight, norm.bias, result])
    return result
  }

  private func attend(
    _ layer: Layer, _ x: Tensor, into y: Tensor, _ step: StepTensors, _ pages: [Tensor]
  ) throws {
    let normed = try normalized(x, layer.attentionNorm)
    let q = try workspace.tensor("q", .float32, x.shape)
    let k = try workspace.tensor("k", .float32, x.shape)
    let v = try workspace.tensor("v", .float32, x.shape)
    try layer.query(normed, into: q)
    try layer.key(normed, into: k)
    try layer.value(normed, into: v)
    let attended = try workspace.tensor("attended", arithmetic.activation, x.shape)
    try attention(q: q, k: k, v: v, pairsAreInterleaved: false, step.attention, cache: pages, into: attended)
    try layer.output(attended, residual: x, into: y)
  }

  private func feedForward(_ layer: Layer, _ x: Tensor, into y: Tensor) throws {
    let normed = try normalized(x, layer.feedForwardNorm)
    let shape = [x.shape[0], configuration.feedForwardSize]
    let inner = try workspace.tensor("inner", .float32, shape)
    let hidden = try workspace.tensor("hidden", arithmetic.activation, shape)
    try layer.up(normed, into: inner)
    try activate.run([inner, hidden])
    try layer.down(hidden, residual: x, into: y)
  }
}
