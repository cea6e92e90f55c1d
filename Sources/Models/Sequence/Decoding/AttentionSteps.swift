internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

extension SelfAttention: ReplayableMixer {
  func steps(_ shared: StepMemory) throws -> any MixerSteps { try AttentionSteps(self, shared) }
}

/// Steps of attention: keys and values in pages, as in the engine.
final class AttentionSteps: MixerSteps {
  /// Sizes that all layers of a network share.
  struct Shape {
    let heads: Rotary.Shape
    let cache: ElementType
    /// Pages of a sequence.
    let pages: Int
    /// Chunks of a sequence.
    let chunks: Int

    fileprivate init(_ shared: StepMemory, width: Int, heads: Int) {
      self.heads = Rotary.Shape(kvHeads: heads, group: 1, headSize: width / heads, rotarySize: 0)
      cache = shared.isSixteenBit ? .float16 : .float32
      chunks = (shared.capacity + PagedAttention.chunkTokens - 1) / PagedAttention.chunkTokens
      // Chunks are whole pages of the list.
      pages = chunks * PagedAttention.chunkTokens / self.heads.pageTokens
    }
  }

  private let mixer: SelfAttention
  /// Equal in all layers of a network.
  let shape: Shape
  private let shared: StepMemory
  private let projection: LinearLayer
  private let core: AttentionCore
  private let fill: any CompiledKernel
  private let cache: PagedCache

  fileprivate init(_ mixer: SelfAttention, _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let shape = Shape(shared, width: mixer.output.weight.shape[0], heads: mixer.heads)
    self.shape = shape
    projection = try shared.linear(mixer.projection.weight, mixer.projection.bias)
    core = try AttentionCore(
      shape.heads, cache: shape.cache, scale: 1 / Float(shape.heads.headSize).squareRoot(), window: nil,
      output: shared.activation, preparation: shared.preparation)
    let source = shared.device.factors
    fill = try shared.preparation.kernel("fill \(shape.heads) \(source) \(shape.cache)") {
      try PageFill.kernel(shape.heads, source: source, cache: shape.cache)
    }
    let geometry = PagedCache.Geometry(
      layers: 1, kvHeads: shape.heads.kvHeads, headSize: shape.heads.headSize, type: shape.cache)
    cache = try PagedCache(geometry, pages: shared.batch * shape.pages, executor: shared.device.executor)
  }

  /// Type of the queries that ``AttentionWork`` has room for.
  var queryType: ElementType { core.factor }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    try mixer.mix(u) { keys, values in
      let parts = try [keys, values].map { try $0.converted(to: shared.device.factors).value }
      try fill.run(parts + cache.layer(0), integers: [first * shape.pages, shape.pages])
    }
  }

  func step(_ normed: Tensor, _ input: StepInput) throws -> Tensor {
    guard let work = input.attention else { preconditionFailure("a step of attention without its work list") }
    let (batch, width) = (normed.shape[0], normed.shape[1])
    let z = try shared.workspace.tensor("projected", .float32, [batch, 3 * width])
    try projection(normed, into: z)
    let parts = (0..<3).map { z.sliced(axis: 1, $0 * width..<($0 + 1) * width) }
    let mixed = try shared.workspace.tensor("mixed", shared.activation, normed.shape)
    try core(
      q: parts[0], k: parts[1], v: parts[2], pairsAreInterleaved: false, work, cache: cache.layer(0),
      into: mixed)
    return mixed
  }
}
