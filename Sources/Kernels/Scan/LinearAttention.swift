public import Memory
public import Tiles

/// Causal linear attention: y_t = Σ_{s ≤ t} φ(q_t) · φ(k_s) · v_s, or the mean of the values under these weights, with a
/// state of fixed size for all that lies before a block of 64 positions.
///
/// Within a block the weights are a masked product, between blocks Σ φ(k_s) · v_s goes on. Katharopoulos et al., 2020,
/// arXiv:2006.16236. Floor: q, k, v and y once over the bandwidth.
public enum LinearAttention {
  /// Features of a row x of q or k, as many as its numbers.
  public enum FeatureMap: Sendable, Hashable, CaseIterable {
    /// x.
    case identity
    /// elu(x) + 1: x + 1 from 0 on, exp x below.
    case eluPlusOne
    /// max(x, 0).
    case relu
    /// exp x over the sum of the row's.
    case softmax
  }

  /// Sizes and kinds that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of q, k and v.
    public var heads: Int
    /// Numbers in a head of q and k.
    public var headSize: Int
    /// Numbers in a head of v.
    public var valueSize: Int
    /// What weights are products of.
    public var features: FeatureMap
    /// Whether weights are divided by their sum; they must not be negative then.
    public var isNormalized: Bool
    /// bfloat16 or float16.
    public var type: ElementType
    /// Blocks that may be loaded ahead.
    public var stages = 2
    /// How groups of threads share a task: values are dealt out among them.
    public var schedule: Kernel.Schedule

    /// Sizes with the default tiles.
    public init(
      heads: Int, headSize: Int, valueSize: Int, features: FeatureMap, isNormalized: Bool,
      type: ElementType = .bfloat16
    ) {
      self.heads = heads
      self.headSize = headSize
      self.valueSize = valueSize
      self.features = features
      self.isNormalized = isNormalized
      self.type = type
      let groups = max(1, valueSize / 64)
      schedule = Kernel.Schedule(groups: groups, tasksPerCore: groups == 1 ? 2 : 1)
    }
  }

  /// Positions of a block.
  public static let block = 64

  /// Arguments: q and k `[B, H, N, D]`, v `[B, H, N, P]`, result y as v and the last state float32 `[B, H, P + 1, D]`: Σ v_s ·
  /// φ(k_s) and below it Σ φ(k_s).
  ///
  /// - Parameter scale: of weights; without effect where they are normalized.
  public static func kernel(_ shape: Shape, scale: Float = 1) throws(TileError) -> Kernel {
    try Kernel(
      "linear_attention_\(shape.features)_\(shape.headSize)_\(shape.valueSize)_\(shape.type.rawValue)"
    ) { k in
      let (batch, n) = (k.extent("B"), k.extent("N"))
      let (heads, d, p) = (Index(shape.heads), Index(shape.headSize), Index(shape.valueSize))
      let queries = k.input("q", shape.type, [batch, heads, n, d])
      let keys = k.input("k", shape.type, [batch, heads, n, d])
      let values = k.input("v", shape.type, [batch, heads, n, p])
      let y = k.output("y", shape.type, [batch, heads, n, p])
      let last = k.output("state", .float32, [batch, heads, p + 1, d])
      let factor = shape.isNormalized ? 1 : scale
      func scaled(_ tile: Tile) -> Tile { factor == 1 ? tile : k.map(.multiply, tile, factor) }
      k.grid([heads, batch], schedule: shape.schedule) { task in
        let (head, row) = (task[0], task[1])
        let state = FeatureState(
          valueSize: shape.valueSize, width: shape.headSize, count: 1, groups: shape.schedule.groups, k)
        k.pipeline(
          steps: n.ceilDiv(Index(block)), stages: shape.stages,
          load: { step in
            [(queries, shape.headSize), (keys, shape.headSize), (values, shape.valueSize)].map {
              k.load($0, at: [row, head, step * Index(block), 0], rows: block, columns: $1)
            }
          },
          compute: { step, tiles in
            let (query, key) = (
              shape.features.features(tiles[0], k), shape.features.features(tiles[1], k)
            )
            let scores = k.matmul(query.factor, key.factor, transposesRight: true)
            let sums = shape.isNormalized ? state.sums(k) : []
            let share = state.share(tiles[2], k)
            let weights = k.map(
              .selectGreaterEqual, MapValue.row(offset: 0), MapValue.column(offset: 0), scaled(scores), 0.0)
            var totals = shape.isNormalized ? [k.rowSum(weights)] : []
            let rounded = k.cast(weights, to: shape.type)
            for sum in sums { totals.append(k.rowSum(k.map(.multiply, query.numbers, k.transposed(sum)))) }
            var result = k.matmul(
              k.cast(scaled(state.values[0]), to: shape.type), query.factor, transposesRight: true)
            k.matmul(into: result, tiles[2], rounded, transposesLeft: true, transposesRight: true)
            state.absorb([key.factor], tiles[2], share: share, k)
            if shape.isNormalized {
              result = k.map(.multiply, result, k.transposed(k.inverse(totals.reduceSum(k))))
            }
            k.store(
              result, to: y, at: [row, head, step * Index(block), 0], rowAxis: 3, columnAxis: 2)
          })
        state.store(to: last, at: [row, head, 0, 0], k)
      }
    }
  }
}

extension LinearAttention.FeatureMap {
  /// The features as a factor of products, and as numbers.
  fileprivate func features(_ x: Tile, _ k: Recorder) -> (factor: Tile, numbers: Tile) {
    let numbers: Tile
    switch self {
    case .identity: return (x, x)
    case .eluPlusOne:
      let below = k.map(.exp2, k.map(.multiply, x, OnlineSoftmax.log2e))
      numbers = k.map(.selectGreaterEqual, x, 0.0, k.map(.add, x, 1.0), below)
    case .relu: numbers = k.map(.max, x, 0.0)
    case .softmax:
      let shift = k.map(.multiply, k.rowMax(x), -OnlineSoftmax.log2e)
      let exponentials = k.map(.exp2, k.map(.fma, x, OnlineSoftmax.log2e, shift))
      numbers = k.map(.multiply, exponentials, k.map(.reciprocal, k.rowSum(exponentials)))
    }
    return (k.cast(numbers, to: x.type), numbers)
  }
}
