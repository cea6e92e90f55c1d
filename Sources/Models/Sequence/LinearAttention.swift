internal import Formats
internal import Kernels
internal import Tensors

/// Linear attention with Based's weights: 1 + x + x²/2 of x = q·k / √features instead of exp x, divided by their sum.
///
/// Weights are products of features, 1, x and x², of queries and of keys, so earlier chunks of positions are known by one sum of
/// features times values; within a chunk weights are computed as such. Where positions see later ones too, one sum serves all. All
/// weights are at least ½, so sums are not 0.
///
/// Arora et al., “Simple linear attention language models balance the recall-throughput tradeoff”, 2024, arXiv:2402.18668.
struct LinearAttention: SequenceMixer {
  /// What a layer is built with.
  struct Settings: MixerSettings {
    static let form = SettingForm(
      "linear_attention",
      "Attention with weights of second order instead of exponentials (arXiv:2402.18668).",
      keys: [
        SettingKey("features", .integer(1...256), default: 16, "Numbers of a head's queries and keys.")
      ])
    static let canBeTwoSided = true
    static let isRecurrent = true
    static let hasHeads = true
    static let examples = [Settings(features: 3)]

    /// Numbers of a head's queries and keys.
    var features = 16
  }

  /// Positions of a chunk.
  var chunk = 64
  let queries: AffineLayer
  let keys: AffineLayer
  let values: AffineLayer
  let output: AffineLayer
  let heads: Int
  let features: Int
  let isCausal: Bool

  /// - Parameters:
  ///   - features: numbers of a head's queries and keys.
  ///   - isCausal: whether positions see earlier ones alone.
  ///   - deviation: of the output projection's weights when they are drawn.
  init(
    _ scope: ParameterScope, width: Int, heads: Int, features: Int, isCausal: Bool = true,
    deviation: Float = 0.02
  ) throws {
    (self.heads, self.features, self.isCausal) = (heads, features, isCausal)
    func layer(_ name: String, _ inputs: Int, _ outputs: Int, _ deviation: Float = 0.02) throws -> AffineLayer
    {
      try AffineLayer(
        scope.scope(name), inputs: inputs, outputs: outputs, hasBias: false, deviation: deviation)
    }
    queries = try layer("proj_q", width, heads * features)
    keys = try layer("proj_k", width, heads * features)
    values = try layer("proj_v", width, width)
    output = try layer("out_proj", width, width, deviation)
  }

  func callAsFunction(_ u: Variable) throws -> Variable {
    let (b, length, d) = (u.shape[0], u.shape[1], u.shape[2])
    let size = isCausal ? min(chunk, length) : length
    let chunks = (length + size - 1) / size
    let (q, k, v) = try parts(u, chunk: size)
    let sums = try isCausal ? causalSums(q, k, v) : allSums(q, k, v)
    let last = d / heads
    let mixed = try sums.sliced(axis: 3, 0..<last).map(sums.sliced(axis: 3, last..<last + 1)) { $0 / $1 }
    let joined = try mixed.reshaped([b, heads, chunks * size, last]).permuted([0, 2, 1, 3])
      .reshaped([b, chunks * size, d])
    return try output(joined.sliced(axis: 1, 0..<length))
  }

  /// Queries and keys `[B · heads, chunks, chunk, features]`, values with a column of ones `[B · heads, chunks, chunk, D / heads + 1]`; the
  /// last chunk is filled up with zeros.
  func parts(_ u: Variable, chunk: Int) throws -> (q: Variable, k: Variable, v: Variable) {
    let (b, length, size) = (u.shape[0], u.shape[1], u.shape[2] / heads)
    let chunks = (length + chunk - 1) / chunk
    func split(_ x: Variable, _ width: Int) throws -> Variable {
      try x.padded(axis: 1, after: chunks * chunk - length)
        .reshaped([b, chunks, chunk, heads, width]).permuted([0, 3, 1, 2, 4])
        .reshaped([b * heads, chunks, chunk, width])
    }
    // Half of the scale for each side.
    let scale = 1 / Float(features).squareRoot().squareRoot()
    let ones = try u.device.constant([1], [1, 1, 1, 1]).broadcast(to: [b * heads, chunks, chunk, 1])
    return (
      try split(queries(u) * scale, features), try split(keys(u) * scale, features),
      try .joined([split(values(u), size), ones], axis: 3)
    )
  }

  /// Weights times values and ones, over earlier positions.
  private func causalSums(_ q: Variable, _ k: Variable, _ v: Variable) throws -> Variable {
    let within = try weights(q, k).product(v)
    guard q.shape[1] > 1 else { return within }
    return try within + expanded(q).product(earlier(expanded(k), v))
  }

  /// Weights times values and ones, over all positions.
  private func allSums(_ q: Variable, _ k: Variable, _ v: Variable) throws -> Variable {
    try expanded(q).product(expanded(k).product(v, transposesSelf: true))
  }

  /// Weights within a chunk, `[G, chunks, size, size]`, 0 for later positions.
  private func weights(_ q: Variable, _ k: Variable) throws -> Variable {
    let size = q.shape[2]
    let mask = try q.device.constant(
      (0..<size * size).map { (place: Int) -> Float in place % size <= place / size ? 1 : 0 },
      [size, size])
    return try q.product(k, transposesOther: true).map(mask) { (1 + $0 + 0.5 * $0 * $0) * $1 }
  }

  /// `[…, f]` → `[…, 1 + f + f²]`: 1, the numbers, and their products over √2.
  func expanded(_ x: Variable) throws -> Variable {
    let (outer, f) = (Array(x.shape.dropLast()), features)
    let root = Float(0.5).squareRoot()
    let products = try x.reshaped(outer + [f, 1]).map(x.reshaped(outer + [1, f])) { root * $0 * $1 }
    let ones = try x.device.constant([1], [1, 1, 1, 1]).broadcast(to: outer + [1])
    return try .joined([ones, x, products.reshaped(outer + [f * f])], axis: 3)
  }

  /// Σ over earlier chunks of features times values, `[G, chunks, features, values]`.
  private func earlier(_ features: Variable, _ v: Variable) throws -> Variable {
    let sums = try features.product(v, transposesSelf: true)
    let (g, chunks, rows, columns) = (sums.shape[0], sums.shape[1], sums.shape[2], sums.shape[3])
    let before = try v.device.constant(
      (0..<chunks * chunks).map { (place: Int) -> Float in place / chunks < place % chunks ? 1 : 0 },
      [chunks, chunks])
    return try sums.permuted([0, 2, 3, 1]).product(before)
      .reshaped([g, rows, columns, chunks]).permuted([0, 3, 1, 2])
  }
}

extension LinearAttention.Settings {
  init(_ node: JSONNode?) throws(FormatError) {
    features = try node?.optional("features")?.integer(in: 1...256) ?? 16
  }

  var json: JSON { ["features": .integer(features)] }

  func make(_ scope: ParameterScope, _ context: MixerContext) throws -> any SequenceMixer {
    try LinearAttention(
      scope, width: context.width, heads: context.heads, features: features, isCausal: context.isCausal,
      deviation: context.deviation)
  }
}

extension SequenceSettings.Mixer {
  /// Attention with weights of second order instead of exponentials: numbers of a head's queries and keys.
  public static func linearAttention(features: Int) -> Self {
    .listed(ListedMixer(LinearAttention.Settings(features: features)))
  }
}
