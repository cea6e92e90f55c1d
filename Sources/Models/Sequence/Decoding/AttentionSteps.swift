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
  private let fill: PromptFill
  private let cache: PagedCache

  fileprivate init(_ mixer: SelfAttention, _ shared: StepMemory) throws {
    (self.mixer, self.shared) = (mixer, shared)
    let shape = Shape(shared, width: mixer.output.weight.shape[0], heads: mixer.heads)
    self.shape = shape
    projection = try shared.linear(mixer.projection.weight, mixer.projection.bias)
    core = try AttentionCore(
      shape.heads, cache: shape.cache, scale: 1 / Float(shape.heads.headSize).squareRoot(), window: nil,
      output: shared.activation, preparation: shared.preparation)
    let filling = PageFill(shape.heads, source: shared.device.factors, cache: shape.cache)
    fill = try PromptFill(filling, shared.preparation)
    let geometry = PagedCache.Geometry(
      layers: 1, kvHeads: shape.heads.kvHeads, headSize: shape.heads.headSize, type: shape.cache)
    cache = try PagedCache(geometry, pages: shared.batch * shape.pages, executor: shared.device.executor)
  }

  /// Type of the queries that ``AttentionWork`` has room for.
  var queryType: ElementType { core.factor }

  func begin(_ u: Variable, first: Int) throws -> Variable {
    try mixer.mix(u) { keys, values in
      let parts = try [keys, values].map { try $0.converted(to: shared.device.factors).value }
      try fill(parts, into: cache.layer(0), first: first * shape.pages, each: shape.pages)
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

/// Keys and values of prompts into pages: full ones on matrix units where those can, and the last, or all, by themselves.
private struct PromptFill {
  private let pageTokens: Int
  private let turning: (kernel: any CompiledKernel, ones: Tensor)?
  private let others: any CompiledKernel

  init(_ fill: PageFill, _ preparation: Preparation) throws {
    pageTokens = fill.heads.pageTokens
    turning =
      fill.canTurn && preparation.executor.prefersSixteenBit
      ? (
        try preparation.kernel("fill full \(fill)") { try fill.turning() },
        try preparation.constant("ones \(fill.source)") { try fill.ones() }
      ) : nil
    let pages: PageFill.Pages = turning == nil ? .all : .last
    others = try preparation.kernel("fill \(pages) \(fill)") { try fill.kernel(pages) }
  }

  /// - Parameters:
  ///   - parts: keys and values `[B, heads, L, D]`.
  ///   - pages: of keys and of values.
  ///   - first: page of the first sequence.
  ///   - each: pages of a sequence.
  func callAsFunction(_ parts: [Tensor], into pages: [Tensor], first: Int, each: Int) throws {
    let length = parts[0].shape[2]
    if let turning, length >= pageTokens {
      try turning.kernel.run([turning.ones] + parts + pages, integers: [first, each])
    }
    if turning == nil || length % pageTokens > 0 {
      try others.run(parts + pages, integers: [first, each])
    }
  }
}
