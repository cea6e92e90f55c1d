public import Memory
public import Tiles

/// Matrix products of a batch, C[i] = A[i] · B[i], each factor transposed or not; a batch may share one A or one B.
///
/// Floor: 2 · batch · M · N · K operations over the rate of the arithmetic, or the bytes of the three over the memory
/// bandwidth where a side is short.
public struct BatchedProduct: Sendable, Hashable {
  /// Whether A lies as `[batch, K, M]`.
  public var transposesA = false
  /// Whether B lies as `[batch, N, K]`.
  public var transposesB = false
  /// Whether A is one matrix for all.
  public var sharesA = false
  /// Whether B is one matrix for all.
  public var sharesB = false
  /// Whether C is the sum over each `share` of the batch: `[batch / share, M, N]`, rounded up. No factor is shared then.
  public var sumsBatch = false
  /// A vector that is added to C.
  public var bias = Bias.none
  /// Type of A and B: float32, or 16 bits for machines with units for such products.
  public var type = ElementType.float32
  /// Type of C; sums are float32.
  public var output = ElementType.float32
  /// Sizes of the tiles.
  public var plan: Gemm.Plan

  /// Along which side of C a vector is added.
  public enum Bias: Sendable, Hashable {
    case none
    /// `[N]`, to each row.
    case perColumn
    /// `[M]`, to each column.
    case perRow
  }

  /// Products without transposes.
  public init(plan: Gemm.Plan) { self.plan = plan }

  /// Arguments: A `[batch or 1, M, K]`, B `[batch or 1, K, N]`, the bias where there is one, C `[batch, M, N]`, or
  /// where the batch is summed `[parts, M, N]`; integer there: `share`.
  public func kernel() throws(TileError) -> Kernel {
    let sides = "\(transposesA ? "t" : "n")\(transposesB ? "t" : "n")"
    let ending = (bias == .none ? "" : bias == .perRow ? "_row_bias" : "_bias") + (sumsBatch ? "_summed" : "")
    return try Kernel("product_\(sides)_\(type.rawValue)\(ending)") { k in
      let (batch, m, n, inner) = (k.extent("batch"), k.extent("M"), k.extent("N"), k.extent("K"))
      let a = k.input("A", type, [sharesA ? 1 : batch] + (transposesA ? [inner, m] : [m, inner]))
      let b = k.input("B", type, [sharesB ? 1 : batch] + (transposesB ? [n, inner] : [inner, n]))
      let vector = bias == .none ? nil : k.input("bias", .float32, [bias == .perRow ? m : n])
      let share: Index = sumsBatch ? k.argument("share") : 1
      let parts = sumsBatch ? k.extent("parts") : batch
      let c = k.output("C", output, [parts, m, n])
      let (rows, columns, step) = (Index(plan.rows), Index(plan.columns), Index(plan.inner))
      k.grid([parts, m.ceilDiv(rows), n.ceilDiv(columns)], schedule: plan.schedule) { task in
        let (row, column) = (task[1] * rows, task[2] * columns)
        let start = task[0] * share
        let steps = inner.ceilDiv(step)
        let sum = k.filled(
          0, rows: plan.rows, columns: plan.columns, validRows: (m - row).min(rows),
          validColumns: (n - column).min(columns))
        k.pipeline(
          steps: sumsBatch ? (batch - start).min(share) * steps : steps, stages: plan.stages,
          load: { number in
            let at = (sumsBatch ? number % steps : number) * step
            let member = sumsBatch ? start + number / steps : task[0]
            let (first, second): (Index, Index) = (sharesA ? 0 : member, sharesB ? 0 : member)
            return [
              transposesA
                ? k.load(a, at: [first, at, row], rows: plan.inner, columns: plan.rows)
                : k.load(a, at: [first, row, at], rows: plan.rows, columns: plan.inner),
              transposesB
                ? k.load(b, at: [second, column, at], rows: plan.columns, columns: plan.inner)
                : k.load(b, at: [second, at, column], rows: plan.inner, columns: plan.columns),
            ]
          },
          compute: { _, tiles in
            k.matmul(
              into: sum, tiles[0], tiles[1], transposesLeft: transposesA, transposesRight: transposesB)
          })
        let term = vector.map { vector in
          bias == .perRow
            ? k.load(vector, at: [row], rows: plan.rows, rowAxis: 0)
            : k.load(vector, at: [column], columns: plan.columns)
        }
        let result = term.map { k.map(.add, sum, $0) } ?? sum
        k.store(result, to: c, at: [task[0], row, column])
      }
    }
  }
}

extension Gemm.Plan {
  /// For batches of products on matrix units: narrower tiles where wide ones would leave most of about 130 cores idle.
  public static func gpu(batch: Int, rows m: Int, columns n: Int) -> Self {
    var plan = gpu
    func tasks() -> Int {
      batch * ((m + plan.rows - 1) / plan.rows) * ((n + plan.columns - 1) / plan.columns)
    }
    while plan.columns > 64, tasks() < 100 || plan.columns >= 2 * n { plan.columns /= 2 }
    plan.stages = plan.columns == 256 ? 4 : 6
    return plan
  }
}
