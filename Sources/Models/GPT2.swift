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

  private let weights: GPT2Weights
  private let layers: [Layer]
  private let embed: any CompiledKernel
  private let gather: any CompiledKernel
  private let norm: any CompiledKernel
  private let activate: any CompiledKernel
  private let attention: AttentionCore
  private let head: LinearLayer
  private let workspace = Workspace()

  private struct Layer {
    let query: LinearLayer
    let key: LinearLayer
    let value: LinearLayer
    let output: LinearLayer
    let up: LinearLayer
    let down: LinearLayer
  }

  /// - Parameter cacheType: float32, float16 or int8.
  public init(
    _ configuration: GPT2Configuration, weights: GPT2Weights, executor: any Executor,
    cacheType: ElementType = .float32
  ) throws {
    let c = configuration
    self.configuration = c
    self.weights = weights
    cacheGeometry = PagedCache.Geometry(
      layers: c.layers, kvHeads: c.headCount, headSize: c.headSize, type: cacheType)
    let kernels = KernelCache(executor)
    func linear(_ part: GPT2Weights.Projection, addsResidual: Bool = false) throws -> LinearLayer {
      try LinearLayer(
        part.weight, bias: part.bias, exact: true, addsResidual: addsResidual, kernels: kernels)
    }
    layers = try weights.layers.map {
      Layer(
        query: try linear($0.query), key: try linear($0.key), value: try linear($0.value),
        output: try linear($0.output, addsResidual: true), up: try linear($0.up),
        down: try linear($0.down, addsResidual: true))
    }
    embed = try kernels.kernel("embed") {
      try Embedding.kernel(
        width: c.hiddenSize, table: weights.embedding.type, positions: weights.positions.type)
    }
    gather = try kernels.kernel("gather") { try Embedding.kernel(width: c.hiddenSize, table: .float32) }
    norm = try kernels.kernel("norm") {
      try Normalisation.layer(epsilon: c.normEpsilon).kernel(width: c.hiddenSize)
    }
    activate = try kernels.kernel("activate") {
      try c.activation.kernel(columns: c.feedForwardSize, output: .float32)
    }
    let shape = Rotary.Shape(kvHeads: c.headCount, group: 1, headSize: c.headSize, rotarySize: 0)
    attention = try AttentionCore(
      shape, cache: cacheType, scale: 1 / Float(c.headSize).squareRoot(), window: nil, output: .float32,
      kernels: kernels)
    head = try LinearLayer(weights.head, exact: true, kernels: kernels)
  }

  /// Computes one step; see the protocol.
  ///
  /// - Throws: ``ModelError/invalid(key:value:allowed:)`` for a position past the table.
  public func forward(_ batch: ForwardBatch, cache: PagedCache) throws -> Tensor {
    let c = configuration
    if let last = batch.positions.max(), Int(last) >= c.contextLength {
      throw ModelError.invalid(key: "position", value: "\(last)", allowed: "0 to \(c.contextLength - 1)")
    }
    let step = try StepTensors(batch, shape: attention.shape, rotary: nil, workspace: workspace)
    let x = try workspace.tensor("x", .float32, [batch.tokens.count, c.hiddenSize])
    let y = try workspace.tensor("y", .float32, x.shape)
    try embed.run([step.tokens, weights.embedding, step.positions, weights.positions, x])
    for (number, layer) in layers.enumerated() {
      try attend(layer, weights.layers[number].attentionNorm, x, into: y, step, cache.layer(number))
      try feedForward(layer, weights.layers[number].feedForwardNorm, y, into: x)
    }
    let logits = try workspace.tensor("logits", .float32, [batch.logitRows.count, c.vocabularySize])
    guard !batch.logitRows.isEmpty else { return logits }
    let wanted = try workspace.tensor("y", .float32, [batch.logitRows.count, c.hiddenSize])
    try gather.run([step.logitRows, x, wanted])
    try head(try normalized(wanted, weights.finalNorm), into: logits)
    return logits
  }

  private func normalized(_ x: Tensor, _ weights: GPT2Weights.Norm) throws -> Tensor {
    let result = try workspace.tensor("normed", .float32, x.shape)
    try norm.run([x, weights.weight, weights.bias, result])
    return result
  }

  private func attend(
    _ layer: Layer, _ weights: GPT2Weights.Norm, _ x: Tensor, into y: Tensor, _ step: StepTensors,
    _ pages: [Tensor]
  ) throws {
    let normed = try normalized(x, weights)
    let q = try workspace.tensor("q", .float32, x.shape)
    let k = try workspace.tensor("k", .float32, x.shape)
    let v = try workspace.tensor("v", .float32, x.shape)
    try layer.query(normed, into: q)
    try layer.key(normed, into: k)
    try layer.value(normed, into: v)
    let attended = try workspace.tensor("attended", .float32, x.shape)
    try attention(q: q, k: k, v: v, pairsAreInterleaved: false, step, cache: pages, into: attended)
    try layer.output(attended, residual: x, into: y)
  }

  private func feedForward(
    _ layer: Layer, _ weights: GPT2Weights.Norm, _ x: Tensor, into y: Tensor
  ) throws {
    let normed = try normalized(x, weights)
    let shape = [x.shape[0], configuration.feedForwardSize]
    let inner = try workspace.tensor("inner", .float32, shape)
    let hidden = try workspace.tensor("hidden", .float32, shape)
    try layer.up(normed, into: inner)
    try activate.run([inner, hidden])
    try layer.down(hidden, residual: x, into: y)
  }
}
