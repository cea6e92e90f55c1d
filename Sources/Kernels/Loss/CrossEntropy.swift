public import Memory
public import Tiles

/// Cross entropy of rows of logits `[M, V]` and a target each: log Σ exp(logits) − logits[target].
///
/// Rows whose target is below 0 count for nothing. Any V: columns are gone through in blocks, with the largest logit so far
/// and a sum that is scaled when a larger one comes. Floor: the logits read twice (the second time for the gradient), their
/// gradient written once, over the memory bandwidth.
public struct CrossEntropy: Sendable, Hashable {
  /// Columns of a block.
  public var columns: Int
  /// Type of logits and their gradient: float32, or 16 bits.
  public var type: ElementType
  private var rows: Int { Normalisation.rows(ofWidth: columns) }

  /// - Parameters:
  ///   - columns: of a block, any number.
  ///   - type: of logits and their gradient.
  public init(columns: Int, type: ElementType = .float32) {
    self.columns = columns
    self.type = type
  }

  private var variant: String { "\(columns)\(type == .float32 ? "" : "_\(type.rawValue)")" }

  /// Arguments: logits `[M, V]`, targets int32 `[M]`, then by row: the loss, log Σ exp (for the gradient), and 1 where no
  /// other logit is as large as the target's.
  public func kernel() throws(TileError) -> Kernel {
    try Kernel("cross_entropy_\(variant)") { k in
      let (m, v) = (k.extent("M"), k.extent("V"))
      let x = k.input("logits", type, [m, v])
      let targets = k.input("targets", .int32, [m])
      let outputs = ["loss", "normaliser", "correct"].map { k.output($0, .float32, [m]) }
      k.grid([m.ceilDiv(Index(rows))]) { task in
        let row = task[0] * Index(rows)
        let target = k.load(targets, at: [row], rows: rows, rowAxis: 0, as: .float32)
        func perRow(_ value: Float) -> Tile {
          k.filled(value, rows: rows, columns: 1, validRows: (m - row).min(Index(rows)), validColumns: 1)
        }
        // Finite, so that columns of minus infinity before others count for nothing.
        let (largest, wanted) = (perRow(-.greatestFiniteMagnitude), perRow(0))
        let (sum, equals) = (perRow(0), perRow(0))
        block(k, x, row) { logits, column in
          let now = k.map(.max, largest, k.rowMax(logits))
          k.assign(sum, k.map(.multiply, sum, k.map(.exp, k.map(.subtract, largest, now))))
          k.rowSum(k.map(.exp, k.map(.subtract, logits, now)), addingTo: sum)
          k.assign(equals, k.map(.selectGreaterEqual, largest, now, equals, 0.0))
          k.rowSum(k.map(.selectGreaterEqual, logits, now, 1.0, 0.0), addingTo: equals)
          let zero = MapValue.constant(0)
          k.rowSum(inTargetsColumn(k, logits, otherwise: zero, target, column), addingTo: wanted)
          k.assign(largest, now)
        }
        let normaliser = k.map(.add, k.map(.log, sum), largest)
        let loss = k.map(.selectGreaterEqual, target, 0.0, k.map(.subtract, normaliser, wanted), 0.0)
        let alone = k.map(.selectGreaterEqual, 1.0, equals, 1.0, 0.0)
        let correct = k.map(.selectGreaterEqual, wanted, largest, alone, 0.0)
        let counted = k.map(.selectGreaterEqual, target, 0.0, correct, 0.0)
        for (output, tile) in zip(outputs, [loss, normaliser, counted]) {
          k.store(tile, to: output, at: [row], rowAxis: 0)
        }
      }
    }
  }

  /// Arguments: logits, targets, normalisers as the forward kernel gave them, a factor `[1]`, gradient of the logits.
  public func gradient() throws(TileError) -> Kernel {
    try Kernel("cross_entropy_gradient_\(variant)") { k in
      let (m, v) = (k.extent("M"), k.extent("V"))
      let x = k.input("logits", type, [m, v])
      let targets = k.input("targets", .int32, [m])
      let normaliser = k.input("normaliser", .float32, [m])
      let factor = k.input("factor", .float32, [1])
      let dx = k.output("dx", type, [m, v])
      k.grid([m.ceilDiv(Index(rows)), v.ceilDiv(Index(columns))]) { task in
        let (row, column) = (task[0] * Index(rows), task[1] * Index(columns))
        let target = k.load(targets, at: [row], rows: rows, rowAxis: 0, as: .float32)
        let scale = k.map(.selectGreaterEqual, target, 0.0, k.load(factor, at: [0]), 0.0)
        let logits = k.load(x, at: [row, column], rows: rows, columns: columns, as: .float32)
        let shift = k.load(normaliser, at: [row], rows: rows, rowAxis: 0)
        let probability = k.map(.exp, k.map(.subtract, logits, shift))
        let less = k.map(.subtract, probability, 1.0)
        let rest = inTargetsColumn(k, less, otherwise: .tile(probability), target, column)
        k.store(k.map(.multiply, rest, scale), to: dx, at: [row, column])
      }
    }
  }

  private func block(
    _ k: Recorder, _ x: TensorParameter, _ row: Index, _ body: (Tile, Index) -> Void
  ) {
    k.loop(x.extents[1].ceilDiv(Index(columns))) { step in
      let column = step * Index(columns)
      body(k.load(x, at: [row, column], rows: rows, columns: columns, as: .float32), column)
    }
  }

  /// One value in the target's column, another elsewhere.
  private func inTargetsColumn(
    _ k: Recorder, _ value: Tile, otherwise other: MapValue, _ target: Tile, _ column: Index
  ) -> Tile {
    let place = MapValue.column(offset: column)
    let reached = k.map(.selectGreaterEqual, place, target, value, other)
    return k.map(.selectGreaterEqual, target, place, reached, other)
  }
}
