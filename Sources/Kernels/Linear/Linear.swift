public import Memory
public import Tiles

/// Linear layer y = x · Wᵀ with weights `[out, in]` as files store them, in any type the products read.
///
/// The result of an output does not depend on how many rows are computed with it, nor on the tile sizes. Floor: for few
/// rows the bytes of W over the memory bandwidth, for many 2·M·N·K operations over the rate of the arithmetic.
public enum Linear {
  /// How products are made.
  public enum Arithmetic: Sendable, Hashable {
    /// Weights widened to float32; each output one chain of fused multiply-adds.
    case exact
    /// Activations of ``ElementType/q16_rows`` and the integers of the weights; sums within 32 numbers are exact. The
    /// error of an output is at most 0.506 scales (a scale is 1/32,767 of the largest) of each group of activations
    /// times the sum of the magnitudes of its weights.
    case integer
    /// Activations and weights of bfloat16 with float32 sums, for machines with units for such products. Their order
    /// within a sum is the machine's. Weights in blocks are rounded to bfloat16 as they are decoded.
    case sixteenBit

    /// Type of the activations.
    public var activation: ElementType {
      switch self {
      case .exact: .float32
      case .integer: .q16_rows
      case .sixteenBit: .bfloat16
      }
    }
  }

  /// What is done to the product before it is stored.
  public enum Epilogue: Sendable, Hashable {
    case none
    /// Adds a vector `[out]`.
    case bias
    /// Adds a tensor `[M, out]`.
    case residual
    /// Adds a vector `[out]` and a tensor `[M, out]`.
    case biasAndResidual

    /// Whether it adds a vector.
    var hasBias: Bool { self == .bias || self == .biasAndResidual }
    /// Whether it adds a tensor.
    var hasResidual: Bool { self == .residual || self == .biasAndResidual }
  }

  /// Sizes of one layer and its tiles.
  public struct Shape: Sendable, Hashable {
    /// Numbers in a row of activations.
    public var inputs: Int
    /// Rows of W.
    public var outputs: Int
    /// Rows of activations a task computes.
    public var rows = 128
    /// Outputs a task computes; three groups of 16 cut the widths of common models into even numbers of tasks.
    public var columns = 48
    /// Steps along the inputs that may be loaded ahead.
    public var stages = 4
    /// Numbers along the inputs that a step takes (``Arithmetic/sixteenBit`` only).
    public var innerStep = plainStep
    /// Parts into which the inputs are cut, each a task of its own; ``Linear/parts(_:weight:)`` alone looks at it.
    public var splits = 1
    /// Whether yᵀ = W · xᵀ is formed instead, for fewer rows than matrix units take (``Arithmetic/sixteenBit`` only).
    public var swapsSides = false
    /// How groups of threads share a task.
    public var schedule = Kernel.Schedule()

    /// A layer with the default tiles.
    public init(inputs: Int, outputs: Int) {
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  /// y `[M, out]` from x `[M, in]` and W `[out, in]` of type `weight`.
  ///
  /// Arguments: x, W, then bias and residual in float32 where the epilogue has them, y.
  ///
  /// - Parameters:
  ///   - activation: of what the epilogue gives.
  ///   - output: float32 or bfloat16.
  public static func kernel(
    _ shape: Shape, weight: ElementType, arithmetic: Arithmetic, epilogue: Epilogue = .none,
    activation: Activation? = nil, output: ElementType = .float32
  ) throws(TileError) -> Kernel {
    let last = activation.map { "_\($0.rawValue)" } ?? ""
    return try Kernel("linear_\(weight.rawValue)_\(arithmetic)_\(epilogue)\(last)") { k in
      let m = k.extent("M")
      let x = k.input("x", arithmetic.activation, [m, Index(shape.inputs)])
      let w = k.input("W", weight, [Index(shape.outputs), Index(shape.inputs)])
      let bias = epilogue.hasBias ? k.input("bias", .float32, [Index(shape.outputs)]) : nil
      let residual = epilogue.hasResidual ? k.input("residual", .float32, [m, Index(shape.outputs)]) : nil
      let y = k.output("y", output, [m, Index(shape.outputs)])
      let (rows, columns) = (Index(shape.rows), Index(shape.columns))
      let schedule = shape.schedule(arithmetic, weight: w)
      k.grid([Index(shape.outputs).ceilDiv(columns), m.ceilDiv(rows)], schedule: schedule) { task in
        let (row, column) = (task[1] * rows, task[0] * columns)
        var result = products(k, x, [w], row: row, column: column, shape, arithmetic)[0]
        if let bias {
          let vector =
            shape.swapsSides
            ? k.load(bias, at: [column], rows: shape.columns, rowAxis: 0)
            : k.load(bias, at: [column], columns: shape.columns)
          result = k.map(.add, result, vector)
        }
        if let residual {
          let (axes, size) = (shape.axes, shape.tile)
          let other = k.load(
            residual, at: [row, column], rows: size.rows, columns: size.columns, rowAxis: axes.row,
            columnAxis: axes.column)
          result = k.map(.add, result, other)
        }
        if let activation { result = activation.apply(to: result, k) }
        k.store(result, to: y, at: [row, column], rowAxis: shape.axes.row, columnAxis: shape.axes.column)
      }
    }
  }

  /// The task's parts of x · Wᵀ, one for each of the weights.
  static func products(
    _ k: Recorder, _ x: TensorParameter, _ weights: [TensorParameter], row: Index, column: Index,
    _ shape: Shape, _ arithmetic: Arithmetic
  ) -> [Tile] {
    if arithmetic == .sixteenBit {
      return sixteenBitProducts(k, x, weights, row: row, column: column, shape)
    }
    return weights.map { product(k, x, $0, row: row, column: column, shape, arithmetic) }
  }

  private static func product(
    _ k: Recorder, _ x: TensorParameter, _ w: TensorParameter, row: Index, column: Index, _ shape: Shape,
    _ arithmetic: Arithmetic
  ) -> Tile {
    // Rows of integer groups cannot be cut; float32 rows are taken a step at a time to stay in cache.
    let step = arithmetic == .integer ? shape.inputs : innerStep(shape.inputs, block: w.type.blockElements)
    if step == shape.inputs {
      return k.matmul(
        k.load(x, at: [row, 0], rows: shape.rows, columns: step),
        k.load(w, at: [column, 0], rows: shape.columns, columns: step), transposesRight: true)
    }
    let m = x.extents[0]
    let sum = k.filled(
      0, rows: shape.rows, columns: shape.columns, validRows: (m - row).min(Index(shape.rows)),
      validColumns: (Index(shape.outputs) - column).min(Index(shape.columns)))
    k.pipeline(
      steps: Index(shape.inputs).ceilDiv(Index(step)), stages: shape.stages,
      load: { number in
        [
          k.load(x, at: [row, number * Index(step)], rows: shape.rows, columns: step),
          k.load(w, at: [column, number * Index(step)], rows: shape.columns, columns: step),
        ]
      },
      compute: { _, tiles in k.matmul(into: sum, tiles[0], tiles[1], transposesRight: true) })
    return sum
  }

  /// A step of about 256 numbers that whole blocks of the weights fill.
  private static func innerStep(_ inputs: Int, block: Int) -> Int {
    inputs <= 512 ? inputs : max(256, block)
  }
}
