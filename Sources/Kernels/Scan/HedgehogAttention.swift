public import Memory
public import Tiles

/// Hedgehog's attention: softmax over near positions, learned features that imitate it over all before them.
///
/// Positions come in blocks of 64. Position t of block i gives source s ≤ t the weight window · exp(scale · q_t · k_s − m_t)
/// where s is in block i or i − 1, m_t the largest scaled score among those, and linear · φ(q_t) · φ(k_s) where s is in an
/// earlier block; y_t is the mean of the values under these weights. Features are φ(x) = [softmax(W x), softmax(−W x)]
/// with a matrix W of each head for queries and one for keys, so that what lies behind the window is carried by a state of
/// fixed size. Zhang et al., 2024, arXiv:2402.04347; with the window, Zhang et al., 2024, arXiv:2410.10254.
///
/// Floor: q, k, v and y once over the bandwidth, 8·D bytes a position (B = H = 16, N = 16,384, D = 128: 4.3 GB, 1.43 ms at 3.0
/// TB/s); the products, 10·64·D·F flops a block of 64 positions with F = 2·64 features, take 0.86 ms at 800 TFLOP/s. Features
/// in memory between two kernels would add 4·D·2 bytes a position, 2.9 ms in all: so one kernel does everything. Its
/// accumulators are results turned on their side, [values, positions]: the state is then a left factor, which comes from
/// registers, and never lies in shared memory.
public enum HedgehogAttention {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of q, k and v.
    public var heads: Int
    /// Numbers in a head of q and k.
    public var headSize: Int
    /// Rows of a feature matrix; there are twice as many features.
    public var features: Int
    /// Numbers in a head of v.
    public var valueSize: Int
    /// bfloat16 or float16.
    public var type: ElementType
    /// Blocks whose values may be loaded ahead.
    public var stages = 2
    /// How groups of threads share a task: values are dealt out among them.
    public var schedule: Kernel.Schedule

    /// Sizes with the default tiles.
    public init(
      heads: Int, headSize: Int = 128, features: Int = 64, valueSize: Int = 128,
      type: ElementType = .bfloat16
    ) {
      self.heads = heads
      self.headSize = headSize
      self.features = features
      self.valueSize = valueSize
      self.type = type
      schedule = Kernel.Schedule(groups: max(1, valueSize / 64))
    }
  }

  /// Positions of a block.
  public static let block = 64

  /// Arguments: q and k `[B, H, N, D]`, v `[B, H, N, P]`, matrices for queries and for keys `[H, F, D]`, weights of the
  /// linear part and of the window float32 `[H]` (not negative, not both 0), results y as v and the state float32 `[B, H, P +
  /// 1, 2F]`: sums of v_s · φ(k_s) over what position N, the next, has behind its window, and below them the sums of φ(k_s).
  ///
  /// A sequence can be cut into segments of so many blocks (an integer argument), which tasks of their own run: the part
  /// ``SelectiveScan/Part/states`` takes k, v and the keys' matrices and writes what each segment adds, `[B, H, segments, P +
  /// 1, 2F]`; ``SelectiveScan/combination(_:)`` makes of them the states before each segment; ``SelectiveScan/Part/results``
  /// takes those after the weights, and its states are those after each segment.
  ///
  /// - Parameter scale: of scores, above 0.
  public static func kernel(
    _ shape: Shape, scale: Float, part: SelectiveScan.Part = .whole
  ) throws(TileError) -> Kernel {
    try Kernel(
      "hedgehog_attention_\(part)_\(shape.headSize)_\(shape.features)_\(shape.valueSize)_\(shape.type.rawValue)"
    ) { k in
      let (batch, n) = (k.extent("B"), k.extent("N"))
      let (heads, d, f) = (Index(shape.heads), Index(shape.headSize), Index(shape.features))
      let p = Index(shape.valueSize)
      let (hasResults, isSegmented) = (part != .states, part != .whole)
      let q = hasResults ? k.input("q", shape.type, [batch, heads, n, d]) : nil
      let keys = k.input("k", shape.type, [batch, heads, n, d])
      let values = k.input("v", shape.type, [batch, heads, n, p])
      let queryMap = hasResults ? k.input("queryMap", shape.type, [heads, f, d]) : nil
      let keyMap = k.input("keyMap", shape.type, [heads, f, d])
      let weights = hasResults ? ["linear", "window"].map { k.input($0, .float32, [heads]) } : []
      let segments = isSegmented ? k.extent("segments") : 1
      let length = isSegmented ? k.argument("segmentBlocks") : nil
      let states = isSegmented ? [batch, heads, segments, p + 1, 2 * f] : [batch, heads, p + 1, 2 * f]
      let before = part == .results ? k.input("before", .float32, states) : nil
      let y = hasResults ? k.output("y", shape.type, [batch, heads, n, p]) : nil
      let last = k.output("state", .float32, states)
      let block = Index(Self.block)
      k.grid([heads, batch, segments], schedule: shape.schedule) { task in
        let (head, row, segment) = (task[0], task[1], task[2])
        let start = length.map { segment * $0 } ?? 0
        let steps = length.map { (n.ceilDiv(block) - start).min($0).max(0) } ?? n.ceilDiv(block)
        let place = isSegmented ? [row, head, segment, 0, 0] : [row, head, 0, 0]
        let state = FeatureState(shape, k)
        if let before { state.load(from: before, at: place, k) }
        let keyMatrix = k.load(keyMap, at: [head, 0, 0], rows: shape.features, columns: shape.headSize)
        let query = queryMap.map { queryMap in
          Query(
            matrix: k.load(queryMap, at: [head, 0, 0], rows: shape.features, columns: shape.headSize),
            linear: scalar(weights[0], head, k) { k.map(.multiply, $0, 1.0) },
            window: scalar(weights[1], head, k) { k.map(.multiply, k.map(.log, $0), OnlineSoftmax.log2e) })
        }
        k.pipeline(
          steps: steps, stages: shape.stages,
          load: { step in
            let (at, earlier) = places(start + step)
            return ([earlier] + (hasResults ? [at] : [])).map {
              k.load(values, at: [row, head, $0, 0], rows: Self.block, columns: shape.valueSize)
            }
          },
          compute: { step, values in
            let number = start + step
            let (at, earlier) = places(number)
            // Wanted at the start of a step alone, so that the next step's come meanwhile to the same place.
            func rows(_ tensor: TensorParameter, _ at: Index) -> Tile {
              k.load(tensor, at: [row, head, at, 0], rows: Self.block, columns: shape.headSize)
            }
            let loaded = q.map { rows($0, at) }
            let earlierKeys = rows(keys, earlier)
            let scores = loaded.map { q in
              [earlierKeys, rows(keys, at)].map { k.matmul(q, $0, transposesRight: true) }
            }
            let keyProjection = k.matmul(earlierKeys, keyMatrix, transposesRight: true)
            // The block before enters the state once it is behind the window of what follows.
            let enters = number.min(1) * (n / block - number).min(1).max(0)
            guard let query, let loaded, let scores, let y else {
              let share = state.share(values[0], k)
              var features = SoftmaxFeatures(keyProjection, k)
              features.raise(k)
              state.absorb(features.normalized(enters, shape.type, k), values[0], share: share, k)
              return
            }
            let projection = k.matmul(loaded, query.matrix, transposesRight: true)
            let sums = state.sums(k)
            let window = Window(scores, number: number, scale: scale, weight: query.window, shape.type, k)
            let share = state.share(values[0], k)
            var (keyFeatures, queryFeatures) = (
              SoftmaxFeatures(keyProjection, k), SoftmaxFeatures(projection, k)
            )
            let sumRows = sums.map { k.transposed($0) }
            let result = k.matmul(
              values[0], window.weights[0], transposesLeft: true, transposesRight: true)
            k.matmul(into: result, values[1], window.weights[1], transposesLeft: true, transposesRight: true)
            keyFeatures.raise(k)
            queryFeatures.raise(k)
            let keyFactors = keyFeatures.normalized(enters, shape.type, k)
            let queryFactors = queryFeatures.normalized(query.linear, shape.type, k, against: sumRows)
            for (sum, features) in zip(state.values, queryFactors.factors) {
              k.matmul(into: result, k.cast(sum, to: shape.type), features, transposesRight: true)
            }
            state.absorb(keyFactors, values[0], share: share, k)
            let total = (window.totals + queryFactors.products).reduceSum(k)
            let inverse = k.map(
              .selectGreaterEqual, total, Float.leastNormalMagnitude, k.map(.reciprocal, total), 0.0)
            k.store(
              k.map(.multiply, result, k.transposed(inverse)), to: y, at: [row, head, at, 0], rowAxis: 3,
              columnAxis: 2)
          })
        state.store(to: last, at: place, k)
      }
    }
  }
}

extension HedgehogAttention {
  /// Where a block starts, and the block before it; the first block stands for the one it has not.
  private static func places(_ number: Index) -> (at: Index, earlier: Index) {
    (number * Index(block), (number - 1).max(0) * Index(block))
  }

  /// A function of a head's number, which every thread then holds.
  private static func scalar(
    _ tensor: TensorParameter, _ head: Index, _ k: Recorder, _ function: (Tile) -> Tile
  ) -> Tile {
    function(k.load(tensor, at: [head], columns: 1, columnAxis: 0))
  }

  /// What queries need besides their rows.
  private struct Query {
    /// The matrix of their features `[F, D]`.
    let matrix: Tile
    /// Weight of the linear part.
    let linear: Tile
    /// Weight of the window, in units of log₂.
    let window: Tile
  }

  /// Weights of a block's queries for the keys of the block before and of their own.
  private struct Window {
    /// Rounded to 16 bits `[block, block]`.
    let weights: [Tile]
    /// Their sums `[block, 1]`.
    let totals: [Tile]

    /// From the scores for both blocks; the first block, `number` 0, has none before it.
    init(
      _ scores: [Tile], number: Index, scale: Float, weight: Tile, _ type: ElementType, _ k: Recorder
    ) {
      let own = k.map(
        .selectGreaterEqual, MapValue.row(offset: 0), MapValue.column(offset: 0), scores[1], -Float.infinity)
      let tops = [k.rowMax(scores[0]), k.rowMax(own)]
      let before = k.map(.selectGreaterEqual, number, 1.0, tops[0], -Float.infinity)
      let top = k.map(.max, before, tops[1])
      let own2 = k.map(.fma, top, -scale * OnlineSoftmax.log2e, weight)
      let before2 = k.map(.selectGreaterEqual, number, 1.0, own2, -Float.infinity)
      let exponentials = zip([scores[0], own], [before2, own2]).map { scores, shift in
        k.map(.exp2, k.map(.fma, scores, scale * OnlineSoftmax.log2e, shift))
      }
      var (weights, totals): ([Tile], [Tile]) = ([], [])
      for exponential in exponentials {
        totals.append(k.rowSum(exponential))
        weights.append(k.cast(exponential, to: type))
      }
      (self.weights, self.totals) = (weights, totals)
    }
  }

  /// [softmax(z), softmax(−z)] of a projection `[block, F]`, in the stages between which groups of threads meet.
  private struct SoftmaxFeatures {
    private let projection: Tile
    private let tops: [Tile]
    private var exponentials: [Tile] = []
    private var totals: [Tile] = []

    /// Finds the largest of z and of −z.
    init(_ projection: Tile, _ k: Recorder) {
      self.projection = projection
      tops = [k.rowMax(projection), k.rowMax(k.map(.negate, projection))]
    }

    /// Takes exponentials and their sums.
    mutating func raise(_ k: Recorder) {
      for (top, sign) in zip(tops, [OnlineSoftmax.log2e, -OnlineSoftmax.log2e]) {
        let shift = k.map(.multiply, top, -OnlineSoftmax.log2e)
        exponentials.append(k.map(.exp2, k.map(.fma, projection, sign, shift)))
      }
      for exponential in exponentials { totals.append(k.rowSum(exponential)) }
    }

    /// The features times a number, rounded to 16 bits; and their products with rows of numbers `[1, F]`.
    func normalized(
      _ factor: some MapOperand, _ type: ElementType, _ k: Recorder, against rows: [Tile]
    ) -> (factors: [Tile], products: [Tile]) {
      let shares = totals.map { k.map(.multiply, k.map(.reciprocal, $0), factor) }
      let features = zip(exponentials, shares).map { k.map(.multiply, $0, $1) }
      let products = zip(features, rows).map { k.rowSum(k.map(.multiply, $0, $1)) }
      return (features.map { k.cast($0, to: type) }, products)
    }

    /// The features times a number, rounded to 16 bits.
    func normalized(_ factor: some MapOperand, _ type: ElementType, _ k: Recorder) -> [Tile] {
      normalized(factor, type, k, against: []).factors
    }
  }

  /// What the linear part knows of earlier positions, for each sign of the features.
  private struct FeatureState {
    /// Σ v_s · φ(k_s), `[P, F]` each.
    let values: [Tile]
    /// Σ φ(k_s) shared out over equal columns, `[F, columns]` each.
    private let shares: [Tile]
    private let shape: Shape

    /// Columns of products that only sum: the matrix units take 16 a group of threads.
    private var columns: Int { 16 * shape.schedule.groups }

    /// Zeros.
    init(_ shape: Shape, _ k: Recorder) {
      self.shape = shape
      let (p, f, columns) = (shape.valueSize, shape.features, 16 * shape.schedule.groups)
      func zeros(_ rows: Int, _ columns: Int) -> Tile {
        k.filled(0, rows: rows, columns: columns, validRows: Index(rows), validColumns: Index(columns))
      }
      values = (0..<2).map { _ in zeros(p, f) }
      shares = (0..<2).map { _ in zeros(f, columns) }
    }

    /// Σ φ(k_s), `[F, 1]` each.
    func sums(_ k: Recorder) -> [Tile] { shares.map { k.rowSum($0) } }

    /// What the sums of features are products with: as many rows as the values.
    func share(_ values: Tile, _ k: Recorder) -> Tile {
      let share = k.filled(
        1 / Float(columns), rows: HedgehogAttention.block, columns: columns, validRows: values.validRows,
        validColumns: Index(columns))
      return k.cast(share, to: values.type)
    }

    /// Adds a block's keys, by features `[block, F]`, and values `[block, P]`.
    func absorb(_ features: [Tile], _ values: Tile, share: Tile, _ k: Recorder) {
      for (sum, features) in zip(self.values, features) {
        k.matmul(into: sum, values, features, transposesLeft: true)
      }
      for (sum, features) in zip(self.shares, features) {
        k.matmul(into: sum, features, share, transposesLeft: true)
      }
    }

    /// Where the sums of one sign lie: those with values, and those without below them.
    private func places(_ place: [Index], _ sign: Int) -> (values: [Index], sums: [Index]) {
      let (first, column) = (place.dropLast(2), Index(sign * shape.features))
      return (first + [0, column], first + [Index(shape.valueSize), column])
    }

    func load(from tensor: TensorParameter, at place: [Index], _ k: Recorder) {
      for sign in 0..<2 {
        let at = places(place, sign)
        k.assign(
          values[sign], k.load(tensor, at: at.values, rows: shape.valueSize, columns: shape.features))
        let sums = k.load(
          tensor, at: at.sums, rows: shape.features, columns: 1, rowAxis: place.count - 1)
        k.assign(shares[sign], k.map(.multiply, sums, 1 / Float(columns)))
      }
    }

    func store(to tensor: TensorParameter, at place: [Index], _ k: Recorder) {
      for (sign, sums) in sums(k).enumerated() {
        let at = places(place, sign)
        k.store(values[sign], to: tensor, at: at.values)
        k.store(sums, to: tensor, at: at.sums, rowAxis: place.count - 1)
      }
    }
  }
}

extension [Tile] {
  /// Their elementwise sum; there is at least one.
  fileprivate func reduceSum(_ k: Recorder) -> Tile { dropFirst().reduce(self[0]) { k.map(.add, $0, $1) } }
}
