public import Memory
public import Tiles

extension Linear.Shape {
  /// Numbers of rows up to which kernels of their own are made; more rows take tiles of 128.
  public static let rowLimits = [8, 16, 32, 64]

  /// Tiles for matrix units that take 64 rows at a time.
  ///
  /// - Parameters:
  ///   - rowLimit: one of ``rowLimits`` for steps of no more rows, `nil` for any.
  ///   - sums: matrices that a task multiplies with the same activations.
  ///   - weight: type of the matrices, the one with the largest blocks where they differ.
  public static func sixteenBit(
    inputs: Int, outputs: Int, rowLimit: Int?, sums: Int = 1, weight: ElementType = .bfloat16
  ) -> Self {
    if weight.isBlocked {
      return packed(inputs: inputs, outputs: outputs, rowLimit: rowLimit, sums: sums, weight: weight)
    }
    var shape = Self(inputs: inputs, outputs: outputs)
    if let rowLimit {
      // Time is that of reading W: 64 outputs a task where 128 would leave some of about 130 cores without one.
      shape.swapsSides = true
      shape.columns = outputs >= 128 * 130 ? 128 : 64
      shape.rows = rowLimit
      shape.stages = sums > 1 ? 6 : 8
      shape.schedule = Kernel.Schedule(groups: shape.columns / 64)
    } else {
      shape.rows = 128
      // Registers hold 128 numbers of sums a thread besides a residual.
      shape.columns = 128
      shape.stages = sums > 1 ? 3 : 5
      shape.schedule = Kernel.Schedule(groups: 2)
    }
    return shape
  }

  /// Tiles for weights in blocks, which are decoded to left factors: W is on that side whatever the rows.
  private static func packed(
    inputs: Int, outputs: Int, rowLimit: Int?, sums: Int, weight: ElementType
  ) -> Self {
    var shape = Self(inputs: inputs, outputs: outputs)
    shape.innerStep = packedStep
    shape.swapsSides = true
    // Two tasks a core where rows are few: one decodes while the other waits for its blocks.
    let shares = rowLimit ?? .max <= 32
    shape.columns = rowLimit == nil ? 128 : 64
    shape.schedule = Kernel.Schedule(groups: shape.columns / 64, tasksPerCore: shares ? 2 : 1)
    let weights = sums * shape.columns * packedStep / weight.blockElements * weight.blockBytes
    func stages(_ rows: Int) -> Int { stageBytes / (shares ? 2 : 1) / (weights + 2 * rows * packedStep) }
    // Registers hold 96 numbers of two sums a thread, or of a sum and a residual, and shared memory two stages of 64.
    shape.rows = rowLimit ?? (stages(96) >= 2 ? 96 : 64)
    shape.stages = max(1, min(8, stages(shape.rows)))
    return shape
  }

  /// The tiles with the inputs cut into parts where few rows would leave most of `cores` idle, and parts are long enough to
  /// pay for a second kernel that joins them.
  public func split(for cores: Int) -> Self {
    var shape = self
    let tasks = (outputs + columns - 1) / columns
    shape.splits = max(1, min(cores * schedule.tasksPerCore / max(1, tasks), inputs / Self.leastPart, 8))
    return shape
  }

  /// The tiles with the inputs cut into as many parts as there are `cores` for, where a second kernel follows anyway.
  public func cut(for cores: Int) -> Self {
    var shape = self
    let tasks = (outputs + columns - 1) / columns
    let (wanted, most) = (cores * schedule.tasksPerCore / max(1, tasks), inputs / (3 * innerStep))
    shape.splits = max(1, min(wanted, most, 8))
    // Of many rows each part costs as much to write and join as a layer of few outputs takes to read: rather narrower tiles.
    if rows == Self.rowLimits.last, wanted > Self.mostWideParts, innerStep == Self.plainStep {
      shape.splits = max(
        1, min(max(2, (inputs + Self.longPart - 1) / Self.longPart), Self.mostNarrowParts, most))
      shape.swapsSides = false
      shape.columns = 16 * ((outputs * shape.splits + 16 * cores - 1) / (16 * cores))
      shape.schedule = Kernel.Schedule()
      shape.stages = min(12, Self.stageBytes / (2 * innerStep * (rows + shape.columns)))
    }
    // No more than a part has steps: what is left is room for the next kernel, which is brought in while this one runs.
    let steps = (inputs + innerStep - 1) / innerStep
    shape.stages = min(shape.stages, max(1, (steps + shape.splits - 1) / shape.splits))
    return shape
  }

  /// Parts of wide tiles at the most; where more would be wanted, narrow ones pay. On an H200 a step of 64 sequences, 12 layers of 768
  /// numbers, took 585 microseconds with four and eight parts of 64 outputs, 560 with two and four of 16 and 32; 24 layers of 1,024 840 and
  /// 780; 24 of 2,048 1,447 with four of 64 each, 1,424 with three of 48 and four of 64. Of 8 rows narrower tiles cost more than they gave.
  private static let mostWideParts = 3
  /// Parts of narrow tiles at the most.
  private static let mostNarrowParts = 4
  /// Inputs that a part of narrow tiles has.
  private static let longPart = 768
  /// Inputs of a part, at the least: reading them takes about as long as starting another kernel.
  private static let leastPart = 1024

  /// Numbers of a step along the inputs: 128 bytes, as wide as bulk copies and matrix units share a pattern.
  static let plainStep = 64
  /// Those of a step of blocks of 32: as few as are whole 16 bytes of every type.
  static let packedStep = 256
  /// Shared memory that stages of blocks may take, beside buffers for stores.
  private static let stageBytes = 200 << 10

  /// The schedule of a kernel with these weights: a step's kernels are short, and start early.
  func schedule(_ arithmetic: Linear.Arithmetic, weight: TensorParameter) -> Kernel.Schedule {
    guard arithmetic == .sixteenBit, rows <= Self.rowLimits.last ?? 0 else { return schedule }
    var result = schedule
    result.startsEarly = true
    // Blocks are brought by other copies.
    if !weight.type.isBlocked { result.prefetched = [weight.number] }
    return result
  }

  /// Rows and columns of a task's sums.
  var tile: (rows: Int, columns: Int) { swapsSides ? (columns, rows) : (rows, columns) }

  /// Axes of y along which they run.
  var axes: (row: Int, column: Int) { swapsSides ? (1, 0) : (0, 1) }
}

extension Linear {
  /// Types of weights whose blocks products in 16-bit arithmetic decode as they go.
  public static let packedTypes: Set<ElementType> = [.q4_0, .q4_1, .q8_0]

  /// Sums of products of bfloat16 activations, loaded as they are stored so that bulk copies can bring them; weights in
  /// blocks are rounded to bfloat16 as they are decoded.
  ///
  /// - Parameter split: which of the shape's parts of the inputs is summed over; all of them by default.
  static func sixteenBitProducts(
    _ k: Recorder, _ x: TensorParameter, _ weights: [TensorParameter], row: Index, column: Index,
    _ shape: Shape, split: Index? = nil
  ) -> [Tile] {
    let validRows = (x.extents[0] - row).min(Index(shape.rows))
    let validColumns = (Index(shape.outputs) - column).min(Index(shape.columns))
    let size = shape.tile
    let sums = weights.map { _ in
      k.filled(
        0, rows: size.rows, columns: size.columns, validRows: shape.swapsSides ? validColumns : validRows,
        validColumns: shape.swapsSides ? validRows : validColumns)
    }
    let step = shape.innerStep
    let range = SplitRange(inner: Index(shape.inputs), step: step, splits: shape.splits, split: split)
    k.pipeline(
      steps: range.count, stages: shape.stages,
      load: { number in
        let at = range.start(number)
        return [k.load(x, at: [row, at], rows: shape.rows, columns: step)]
          + weights.map { k.load($0, at: [column, at], rows: shape.columns, columns: step, as: .bfloat16) }
      },
      compute: { _, tiles in
        for (sum, w) in zip(sums, tiles.dropFirst()) {
          if shape.swapsSides {
            k.matmul(into: sum, w, tiles[0], transposesRight: true)
          } else {
            k.matmul(into: sum, tiles[0], w, transposesRight: true)
          }
        }
      })
    return sums
  }

  /// Sums over parts of the inputs, `[splits, M, out]` in float32, for ``SplitSum`` to join.
  ///
  /// For layers of few rows and outputs, whose tasks would leave most cores idle. Arguments: x, W, parts.
  public static func parts(_ shape: Shape, weight: ElementType) throws(TileError) -> Kernel {
    try Kernel("linear_\(weight.rawValue)_parts\(shape.splits)") { k in
      let m = k.extent("M")
      let (inputs, outputs) = (Index(shape.inputs), Index(shape.outputs))
      let x = k.input("x", .bfloat16, [m, inputs])
      let w = k.input("W", weight, [outputs, inputs])
      let parts = k.output("parts", .float32, [Index(shape.splits), m, outputs])
      let (rows, columns) = (Index(shape.rows), Index(shape.columns))
      k.grid(
        [outputs.ceilDiv(columns), m.ceilDiv(rows), Index(shape.splits)],
        schedule: shape.schedule(.sixteenBit, weight: w)
      ) { task in
        let (row, column) = (task[1] * rows, task[0] * columns)
        let sum = sixteenBitProducts(k, x, [w], row: row, column: column, shape, split: task[2])[0]
        k.store(
          sum, to: parts, at: [task[2], row, column], rowAxis: shape.axes.row + 1,
          columnAxis: shape.axes.column + 1)
      }
    }
  }
}
