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
  /// What is added to the sums.
  public var bias = Bias.none
  /// What is done to the sums behind the bias.
  public var activation: Activation?
  /// Whether a tensor as large as C, and of its type, is added at the end.
  public var hasResidual = false
  /// Type of A and B: float32, or 16 bits for machines with units for such products.
  public var type = ElementType.float32
  /// Type of B where that is another: 16 bits, which are widened, for cores.
  public var otherType: ElementType?
  /// Type of C; sums are float32.
  public var output = ElementType.float32
  /// Whether tasks near in time are those of different rows of C and the same columns, so that B is read from memory once and A
  /// is what caches keep; else the other way round. Best where A is the smaller.
  public var sweepsRows = false
  /// Sizes of the tiles.
  public var plan: Gemm.Plan

  /// Vectors of float32 that are added to products.
  public enum Bias: String, Sendable, Hashable {
    case none
    /// `[N]`, to each row.
    case columns
    /// `[batch, N]`, to each row of one product.
    case columnsOfEach
    /// `[M]`, to each column.
    case rows
  }

  /// Products without transposes.
  public init(plan: Gemm.Plan) { self.plan = plan }

  /// Arguments: A `[batch or 1, M, K]`, B `[batch or 1, K, N]`, the bias where there is one, the residual where there is one,
  /// C `[batch, M, N]`, or where the batch is summed `[parts, M, N]`; integer there: `share`.
  public func kernel() throws(TileError) -> Kernel {
    let sides = "\(transposesA ? "t" : "n")\(transposesB ? "t" : "n")"
    let ending =
      (bias == .none ? "" : "_bias_\(bias.rawValue)") + (activation.map { "_\($0.rawValue)" } ?? "")
      + (hasResidual ? "_residual" : "") + (sweepsRows ? "_down" : "") + (sumsBatch ? "_summed" : "")
      + (otherType.map { "_by_\($0.rawValue)" } ?? "")
    return try Kernel("product_\(sides)_\(type.rawValue)\(ending)") { k in
      let (batch, m, n, inner) = (k.extent("batch"), k.extent("M"), k.extent("N"), k.extent("K"))
      let a = k.input("A", type, [sharesA ? 1 : batch] + (transposesA ? [inner, m] : [m, inner]))
      let b = k.input(
        "B", otherType ?? type, [sharesB ? 1 : batch] + (transposesB ? [n, inner] : [inner, n]))
      let vector: TensorParameter? =
        switch bias {
        case .none: nil
        case .columns: k.input("bias", .float32, [n])
        case .columnsOfEach: k.input("bias", .float32, [batch, n])
        case .rows: k.input("bias", .float32, [m])
        }
      let share: Index = sumsBatch ? k.argument("share") : 1
      let parts = sumsBatch ? k.extent("parts") : batch
      let residual = hasResidual ? k.input("residual", output, [parts, m, n]) : nil
      let c = k.output("C", output, [parts, m, n])
      let (rows, columns, step) = (Index(plan.rows), Index(plan.columns), Index(plan.inner))
      var schedule = plan.schedule
      // The copy engine brings the residual while products run.
      schedule.bringsOperands = hasResidual
      let (down, across) = (m.ceilDiv(rows), n.ceilDiv(columns))
      k.grid([parts] + (sweepsRows ? [across, down] : [down, across]), schedule: schedule) { task in
        let (row, column) = (task[sweepsRows ? 2 : 1] * rows, task[sweepsRows ? 1 : 2] * columns)
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
        var result = sum
        if let vector {
          let added =
            switch bias {
            case .columnsOfEach: k.load(vector, at: [task[0], column], columns: plan.columns)
            case .rows: k.load(vector, at: [row], rows: plan.rows, rowAxis: 0)
            case .none, .columns: k.load(vector, at: [column], columns: plan.columns)
            }
          result = k.map(.add, result, added)
        }
        if let activation { result = activation.apply(to: result, k) }
        let at = [task[0], row, column]
        if let residual {
          let other = k.load(residual, at: at, rows: plan.rows, columns: plan.columns)
          result = k.map(.add, result, other)
        }
        k.store(result, to: c, at: at)
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
    return .gpu(columns: plan.columns)
  }

  /// On matrix units, with tiles of so many columns: 64, 128 or 256.
  public static func gpu(columns: Int) -> Self {
    var plan = gpu
    plan.columns = columns
    plan.stages = columns == 256 ? 4 : 6
    return plan
  }
}

extension BatchedProduct {
  /// The plan with registers for an activation and 227 KiB of shared memory for a tile of the residual too, where there are such.
  ///
  /// - Parameter columns: of C.
  public func plan(withRoomFor columns: Int) -> Gemm.Plan {
    guard hasResidual || activation != nil, plan.columns > 128 else { return plan }
    var narrow = plan
    if hasResidual {
      // Tall, since a bias takes registers for each column: three stages of 44 KiB, and 48 KiB for the residual.
      (narrow.rows, narrow.columns, narrow.stages) = columns % 96 == 0 ? (256, 96, 3) : (128, 128, 4)
    } else {
      (narrow.columns, narrow.stages) = columns % 192 == 0 ? (192, 4) : (128, 6)
    }
    return narrow
  }
}
