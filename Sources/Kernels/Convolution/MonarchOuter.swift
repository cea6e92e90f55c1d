package import Memory
package import Tiles

/// The outer stage of transforms that are longer than one tile: rows of `radix` · columns points are transformed along their
/// first digit, and multiplied by twiddles; or the way back.
///
/// A task keeps the twiddles of 64 by 64 numbers in registers and visits rows of the batch. Floor: 6 bytes a point (8 with a
/// gate, or where numbers are complex) over the bandwidth; 2 or 4 products of 64 by 64 by 64 a tile.
package enum MonarchOuter {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// The digit.
    package var constants: MonarchConstants
    /// bfloat16 or float16.
    package var type: ElementType
    /// Whether the far side, of inputs forth and results back, is complex too.
    package var isComplex = false
    /// Gates by which inputs forth, or results back, are multiplied, each for a tensor of its own.
    package var gates = 0
    /// Whether rows are known to be a multiple of 64.
    package var isWhole = true
    /// Numbers of a row, where sequences of the far side are shorter than transforms, and their rows folded.
    package var foldedColumns: Int?

    /// How sequences of the far side lie in rows.
    package var fold: SequenceFold? { foldedColumns.map { SequenceFold(rows: constants.radix, step: $0) } }

    /// A stage without gates.
    package init(_ constants: MonarchConstants, type: ElementType, isComplex: Bool = false, gates: Int = 0) {
      (self.constants, self.type, self.isComplex, self.gates) = (constants, type, isComplex, gates)
    }

    var variant: String {
      "\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")"
        + "\(gates > 0 ? "_gated\(gates)" : "")\(isWhole ? "" : "_ragged")"
        + "\(foldedColumns.map { "_folded\($0)" } ?? "")_\(type.rawValue)"
    }
  }

  static let side = MonarchConstants.side

  /// Matrices for both ways: `[3, 64, 64]`, the third the negated imaginary part.
  package static func matrices(_ shape: Shape) throws -> Tensor {
    let rows = shape.constants.rows
    return try MonarchStack.tensor(
      [rows.re, rows.im, rows.im.map { -$0 }], rows: side, columns: side, shape.type)
  }

  /// Twiddles re and im, float32 `[64, columns]`.
  package static func twiddles(_ constants: MonarchConstants, columns: Int) throws -> [Tensor] {
    let matrix = constants.twiddles(columns: columns)
    return try [matrix.re, matrix.im].map {
      try MonarchStack.tensor([$0], rows: side, columns: columns, .float32).reshaped([side, columns])
    }
  }

  /// What both ways have in common.
  private struct Stage {
    let k: Recorder
    let shape: Shape
    let batch: Index
    let rows: Index
    let columns: Index
    let share: Index
    let stack: TensorParameter
    let twiddles: [TensorParameter]
    /// Extents of tensors of the far side.
    private let far: [Index]

    init(_ k: Recorder, _ shape: Shape) {
      (self.k, self.shape) = (k, shape)
      let side = Index(side)
      (batch, rows, columns, share) = (k.extent("B"), k.extent("R"), k.extent("M"), k.argument("share"))
      far = shape.fold == nil ? [batch, rows, columns] : [batch, k.extent("H"), k.extent("L")]
      stack = k.input("constants", shape.type, [3, side, side])
      let columns = columns
      twiddles = ["twiddles_re", "twiddles_im"].map { k.input($0, .float32, [side, columns]) }
    }

    var extents: [Index] { [batch, rows, columns] }

    /// How a tensor's sequences lie in rows, if they are folded.
    func fold(_ tensor: TensorParameter) -> SequenceFold? { tensor.extents == extents ? nil : shape.fold }

    func inputs(_ names: [String], isFar: Bool) -> [TensorParameter] {
      names.map { k.input($0, shape.type, isFar ? far : extents) }
    }

    func outputs(_ names: [String], isFar: Bool) -> [TensorParameter] {
      names.map { k.output($0, shape.type, isFar ? far : extents) }
    }

    var gates: [TensorParameter] { inputs((0..<shape.gates).map { "gate\($0)" }, isFar: true) }

    func store(_ tile: Tile, to tensor: TensorParameter, at: [Index]) {
      k.store(tile, to: tensor, at: at, fold: fold(tensor))
    }

    /// Records what a task does with its matrices, its twiddles and the place of each tile.
    func grid(
      loading tensors: [TensorParameter],
      _ compute:
        @escaping (_ matrices: [Tile], _ twiddles: MonarchTile.Pair, _ tiles: [Tile], _ at: [Index]) -> Void
    ) {
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      let side = Index(MonarchOuter.side)
      k.grid([rows.ceilDiv(side), batch.ceilDiv(share), columns / side], schedule: schedule) { task in
        let (row, column) = (task[0] * side, task[2] * side)
        let valid = shape.isWhole ? side : (rows - row).min(side)
        func load(
          _ tensor: TensorParameter, _ at: [Index], _ validColumns: Index, fold: SequenceFold? = nil
        ) -> Tile {
          k.load(
            tensor, at: at, rows: MonarchOuter.side, columns: MonarchOuter.side, validRows: valid,
            validColumns: validColumns, fold: fold)
        }
        let matrices = (0..<(shape.isComplex ? 3 : 2)).map { load(stack, [Index($0), 0, 0], valid) }
        let t = twiddles.map { load($0, [0, column], side) }
        let first = task[1] * share
        k.pipeline(
          steps: (batch - first).min(share), stages: tensors.count > 2 ? 1 : 2,
          load: { step in tensors.map { load($0, [first + step, row, column], side, fold: fold($0)) } },
          compute: { step, tiles in
            compute(
              matrices, MonarchTile.Pair(re: t[0], im: t[1]), tiles, [first + step, row, column])
          })
      }
    }
  }

  /// Arguments: ``matrices(_:)``, ``twiddles(_:columns:)``, inputs `[B, R, M]` (re and im where complex), the gate, where
  /// there is one, then results re and im likewise; R rows are channels · radix; folded sequences `[B, H, L]`. Integer: how many rows of the batch a
  /// task visits.
  package static func forward(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_outer_\(shape.variant)") { k in
      let stage = Stage(k, shape)
      let inputs = stage.inputs(shape.isComplex ? ["x_re", "x_im"] : ["x"], isFar: true) + stage.gates
      let outputs = stage.outputs(["y_re", "y_im"], isFar: false)
      stage.grid(loading: inputs) { matrices, twiddles, tiles, at in
        let x = shape.gates > 0 ? k.cast(k.map(.multiply, tiles[0], tiles[1]), to: shape.type) : tiles[0]
        let (re, im) = (k.matmul(matrices[0], x), k.matmul(matrices[1], x))
        if shape.isComplex {
          k.matmul(into: re, matrices[2], tiles[1])
          k.matmul(into: im, matrices[0], tiles[1])
        }
        let y = MonarchTile.product(MonarchTile.Pair(re: re, im: im), twiddles, k)
        k.store(y.re, to: outputs[0], at: at)
        k.store(y.im, to: outputs[1], at: at)
      }
    }
  }

  /// Arguments: ``matrices(_:)``, ``twiddles(_:columns:)``, inputs re and im `[B, R, M]`, gates, then results: as many as
  /// gates, or one, or re and im where complex. Integer: how many rows of the batch a task visits.
  package static func inverse(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_outer_inverse_\(shape.variant)") { k in
      let stage = Stage(k, shape)
      let inputs = stage.inputs(["x_re", "x_im"], isFar: false) + stage.gates
      let outputs = stage.outputs(
        (0..<(shape.isComplex ? 2 : max(1, shape.gates))).map { "y\($0)" }, isFar: true)
      stage.grid(loading: inputs) { matrices, twiddles, tiles, at in
        let turned = MonarchTile.product(
          MonarchTile.Pair(re: tiles[0], im: tiles[1]), twiddles, k, conjugated: true)
        let x = MonarchTile.Pair(
          re: k.cast(turned.re, to: shape.type), im: k.cast(turned.im, to: shape.type))
        let y = k.matmul(matrices[0], x.re, transposesLeft: true)
        k.matmul(into: y, matrices[1], x.im, transposesLeft: true)
        guard !shape.isComplex else {
          let imaginary = k.matmul(matrices[0], x.im, transposesLeft: true)
          k.matmul(into: imaginary, matrices[2], x.re, transposesLeft: true)
          stage.store(y, to: outputs[0], at: at)
          return stage.store(imaginary, to: outputs[1], at: at)
        }
        for (number, output) in outputs.enumerated() {
          stage.store(shape.gates == 0 ? y : k.map(.multiply, y, tiles[2 + number]), to: output, at: at)
        }
      }
    }
  }
}
