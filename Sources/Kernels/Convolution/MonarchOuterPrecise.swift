package import Memory
package import Tiles

/// ``MonarchOuter`` for filters, in float32: factors are sums of two bfloat16 numbers, as in ``MonarchSpectrum``.
///
/// One tile of 64 by 64 numbers a task. Floor: 12 bytes a point (16 where complex) over the bandwidth.
package enum MonarchOuterPrecise {
  private static let side = MonarchConstants.side

  /// Matrices `[6, 64, 64]` in bfloat16: re, im and −im, each as two.
  package static func matrices(_ constants: MonarchConstants) throws -> Tensor {
    let rows = constants.rows
    return try MonarchStack.tensor(
      [rows.re, rows.im, rows.im.map { -$0 }].flatMap { MonarchStack.split($0) }, rows: side, columns: side,
      .bfloat16)
  }

  /// What both ways have in common.
  private struct Stage {
    let k: Recorder
    let rows: Index
    let columns: Index
    let stack: TensorParameter
    let twiddles: [TensorParameter]

    init(_ k: Recorder) {
      self.k = k
      let side = Index(side)
      let (rows, columns) = (k.extent("R"), k.extent("M"))
      (self.rows, self.columns) = (rows, columns)
      stack = k.input("constants", .bfloat16, [6, side, side])
      twiddles = ["twiddles_re", "twiddles_im"].map { k.input($0, .float32, [side, columns]) }
    }

    func inputs(_ names: [String]) -> [TensorParameter] {
      names.map { k.input($0, .float32, [rows, columns]) }
    }

    func outputs(_ names: [String]) -> [TensorParameter] {
      names.map { k.output($0, .float32, [rows, columns]) }
    }

    /// Records what a task does; `load` brings the task's part of a tensor.
    func grid(
      _ body:
        @escaping (Sums, _ load: (TensorParameter) -> Tile, _ twiddles: () -> MonarchTile.Pair, _ at: [Index])
        -> Void
    ) {
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      let side = Index(MonarchOuterPrecise.side)
      k.grid([rows.ceilDiv(side), columns / side], schedule: schedule) { task in
        let (row, column) = (task[0] * side, task[1] * side)
        let valid = (rows - row).min(side)
        func load(_ tensor: TensorParameter, _ at: [Index], _ validColumns: Index) -> Tile {
          k.load(
            tensor, at: at, rows: MonarchOuterPrecise.side, columns: MonarchOuterPrecise.side,
            validRows: valid, validColumns: validColumns)
        }
        let matrices = (0..<3).map { part in
          MonarchSplit(
            high: load(stack, [Index(2 * part), 0, 0], valid),
            low: load(stack, [Index(2 * part + 1), 0, 0], valid))
        }
        body(
          Sums(k: k, matrices: matrices), { load($0, [row, column], side) },
          {
            let t = twiddles.map { load($0, [0, column], side) }
            return MonarchTile.Pair(re: t[0], im: t[1])
          }, [row, column])
      }
    }
  }

  /// Sums of products of matrices with factors.
  private struct Sums {
    let k: Recorder
    let matrices: [MonarchSplit]

    /// Σ matrix · factor, the first of the terms given apart.
    func callAsFunction(
      _ matrix: Int, _ factor: MonarchSplit, plus other: (matrix: Int, factor: MonarchSplit)? = nil,
      transposesLeft: Bool = false
    ) -> Tile {
      let sum = MonarchSplit.product(matrices[matrix], factor, k, transposesLeft: transposesLeft)
      if let other {
        MonarchSplit.add(
          matrices[other.matrix], other.factor, to: sum, k, transposesLeft: transposesLeft)
      }
      return sum
    }
  }

  /// Arguments: ``matrices(_:)``, ``MonarchOuter/twiddles(_:columns:)``, filters float32 `[R, M]` (re and im where complex),
  /// results re and im likewise: spectra without the scales that matrices of data have.
  package static func forward(_ constants: MonarchConstants, isComplex: Bool) throws(TileError) -> Kernel {
    try Kernel(
      "monarch_outer_precise_\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")"
    ) { k in
      let stage = Stage(k)
      let inputs = stage.inputs(isComplex ? ["x_re", "x_im"] : ["x"])
      let outputs = stage.outputs(["y_re", "y_im"])
      stage.grid { sums, load, twiddles, at in
        let x = inputs.map { MonarchSplit(load($0), k) }
        let product = MonarchTile.Pair(
          re: sums(0, x[0], plus: isComplex ? (2, x[1]) : nil),
          im: sums(1, x[0], plus: isComplex ? (0, x[1]) : nil))
        let y = MonarchTile.product(product, twiddles(), k)
        let scale = MonarchConstants.root(constants.radix) * constants.spectrumScale
        for (part, output) in zip([y.re, y.im], outputs) {
          k.store(k.map(.multiply, part, scale), to: output, at: at)
        }
      }
    }
  }

  /// Arguments: ``matrices(_:)``, ``MonarchOuter/twiddles(_:columns:)``, gradients of spectra re and im float32 `[R, M]`,
  /// results likewise, re alone where not complex: what three scaled transforms leave, over the radix.
  package static func inverse(_ constants: MonarchConstants, isComplex: Bool) throws(TileError) -> Kernel {
    try Kernel(
      "monarch_outer_precise_inverse_\(constants.radix)\(constants.isShifted ? "" : "_plain")"
        + (isComplex ? "_complex" : "")
    ) { k in
      let stage = Stage(k)
      let inputs = stage.inputs(["x_re", "x_im"])
      let outputs = stage.outputs(isComplex ? ["y_re", "y_im"] : ["y"])
      stage.grid { sums, load, twiddles, at in
        let turned = MonarchTile.product(
          MonarchTile.Pair(re: load(inputs[0]), im: load(inputs[1])), twiddles(), k, conjugated: true)
        let (re, im) = (MonarchSplit(turned.re, k), MonarchSplit(turned.im, k))
        var results = [sums(0, re, plus: (1, im), transposesLeft: true)]
        if isComplex { results.append(sums(0, im, plus: (2, re), transposesLeft: true)) }
        let root = MonarchConstants.root(constants.radix)
        let scale = root * root * root / Double(constants.radix)
        for (part, output) in zip(results, outputs) {
          k.store(k.map(.multiply, part, scale), to: output, at: at)
        }
      }
    }
  }
}
