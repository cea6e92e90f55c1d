package import Memory
package import Tiles

/// Two outer stages, of 64 points and of a few, in one pass over memory: ``MonarchOuter`` twice, without the planes between.
///
/// Inputs n = n₁·few + n₂ and frequencies k = k₁ + 64·k₂ lie at rows k₁·few + k₂, as two stages leave them. Each n₂ is a
/// tile of its own, transformed along n₁ on the matrix units; the few tiles are then combined in registers. Floor: as
/// ``MonarchOuter``'s, 6 bytes a point (8 with a gate), where two stages move 14.
package enum MonarchOuterTwofold {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// Points of the second stage: 2 or 4.
    package var few: Int
    /// bfloat16 or float16.
    package var type: ElementType
    /// Gates by which inputs forth, or results back, are multiplied, each for a tensor of its own.
    package var gates = 0
    /// Numbers of a row of the first stage, where sequences of the far side are shorter than transforms, and their rows folded.
    package var foldedColumns: Int?

    /// How sequences of the far side lie in rows.
    package var fold: SequenceFold? {
      foldedColumns.map { SequenceFold(rows: MonarchConstants.side, step: $0) }
    }

    /// Stages without gates.
    package init(few: Int, type: ElementType, gates: Int = 0) {
      (self.few, self.type, self.gates) = (few, type, gates)
    }

    var variant: String {
      "\(few)\(gates > 0 ? "_gated\(gates)" : "")\(foldedColumns.map { "_folded\($0)" } ?? "")_\(type.rawValue)"
    }

    /// Columns of a tile: sums of all tiles, real and imaginary, take half of a group's registers.
    var width: Int { min(32, 128 / few) }
  }

  private typealias Pair = MonarchTile.Pair
  private static let side = MonarchConstants.side

  /// Whether there is a kernel for a second stage of so many points.
  static func takes(_ few: Int) -> Bool { [2, 4].contains(few) }

  /// What both ways have in common.
  private struct Passes {
    let k: Recorder
    let shape: Shape
    let (batch, rows, columns, share): (Index, Index, Index, Index)
    let stack: TensorParameter
    let outer: [TensorParameter]
    let inner: [TensorParameter]
    /// Extents of tensors whose sequences may be folded.
    private let far: [Index]

    init(_ k: Recorder, _ shape: Shape) {
      (self.k, self.shape) = (k, shape)
      let side = Index(side)
      (batch, rows, columns, share) = (k.extent("B"), k.extent("R"), k.extent("M"), k.argument("share"))
      stack = k.input("constants", shape.type, [3, side, side])
      let columns = columns
      outer = ["outer_re", "outer_im"].map { k.input($0, .float32, [side, columns * Index(shape.few)]) }
      inner = ["inner_re", "inner_im"].map { k.input($0, .float32, [side, columns]) }
      far =
        shape.fold == nil
        ? [batch, rows, Index(shape.few), columns] : [batch, k.extent("H"), k.extent("L")]
    }

    var tiles: Range<Int> { 0..<shape.few }

    /// Tensors `[B, R, few, M]`, where a row of R holds what lies between two inputs of the first stage.
    ///
    /// - Parameter isFar: whether sequences may be folded.
    func tensors(
      _ names: [String], isFar: Bool, _ make: (String, ElementType, [Index]) -> TensorParameter
    ) -> [TensorParameter] {
      names.map { make($0, shape.type, isFar ? far : [batch, rows, Index(shape.few), columns]) }
    }

    var gates: [TensorParameter] {
      tensors((0..<shape.gates).map { "gate\($0)" }, isFar: true) { k.input($0, $1, $2) }
    }

    /// One of the few tiles of a tensor.
    func load(_ tensor: TensorParameter, _ at: [Index], _ number: Int) -> Tile {
      k.load(
        tensor, at: place(tensor, at, number), rows: side, columns: shape.width, rowAxis: 1,
        validRows: Index(side), validColumns: Index(shape.width), fold: fold(tensor))
    }

    func store(_ tile: Tile, _ tensor: TensorParameter, _ at: [Index], _ number: Int) {
      k.store(tile, to: tensor, at: place(tensor, at, number), rowAxis: 1, fold: fold(tensor))
    }

    private func fold(_ tensor: TensorParameter) -> SequenceFold? {
      tensor.extents.count == 3 ? shape.fold : nil
    }

    private func place(_ tensor: TensorParameter, _ at: [Index], _ number: Int) -> [Index] {
      guard let fold = fold(tensor) else { return [at[0], at[1], Index(number), at[2]] }
      return [at[0], at[1], at[2] + Index(number * (fold.step / shape.few))]
    }

    /// Records what a task does with its matrices, its factors and the place of each step. `stages`: where there are two,
    /// factors of columns come ahead with the inputs, since there are no registers for their addresses.
    func grid(
      stages: Int, loading tensors: [TensorParameter],
      _ compute: @escaping (_ matrices: [Tile], Factors, _ tiles: [[Tile]], _ at: [Index]) -> Void
    ) {
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      let (side, width) = (Index(side), Index(shape.width))
      k.grid([rows / side, batch.ceilDiv(share), columns / width], schedule: schedule) { task in
        let (row, column) = (task[0] * side, task[2] * width)
        let matrices = (0..<2).map { part in
          k.load(
            stack, at: [Index(part), 0, 0], rows: MonarchOuterTwofold.side, columns: MonarchOuterTwofold.side,
            validRows: side, validColumns: side)
        }
        var factors = Factors(passes: self, column: column)
        let first = task[1] * share
        k.pipeline(
          steps: (batch - first).min(share), stages: stages,
          load: { step in
            let loaded = tensors.flatMap { tensor in
              tiles.map { load(tensor, [first + step, row, column], $0) }
            }
            if stages > 1 { factors.loadColumns() }
            return loaded
          },
          compute: { step, loaded in
            if stages == 1 { factors.loadColumns() }
            let sets = stride(from: 0, to: loaded.count, by: shape.few).map {
              Array(loaded[$0..<$0 + shape.few])
            }
            compute(matrices, factors, sets, [first + step, row, column])
          })
      }
    }
  }

  /// By what the few tiles are multiplied: e^(−2πi·(k₁ − 1/4)·n₂/(64·few)) a row before they are combined, afterwards
  /// e^(−2πi·(k₁ − 1/4)·m/S) and, a column, e^(−2πi·k₂·m/(few·M)).
  private struct Factors {
    let passes: Passes
    let column: Index
    private let shared: Pair
    private var columns: [Pair] = []

    private var k: Recorder { passes.k }

    init(passes: Passes, column: Index) {
      (self.passes, self.column) = (passes, column)
      let (k, width) = (passes.k, passes.shape.width)
      let scale = 1 / MonarchConstants.root(passes.shape.few)
      let tiles = passes.outer.map {
        let own = k.load(
          $0, at: [0, column], rows: side, columns: width, validRows: Index(side), validColumns: Index(width))
        return k.map(.multiply, own, scale)
      }
      shared = Pair(re: tiles[0], im: tiles[1])
    }

    mutating func loadColumns() {
      columns = (1..<passes.shape.few).map { number in
        let tiles = passes.inner.map {
          k.load(
            $0, at: [Index(number), column], rows: 1, columns: passes.shape.width, validRows: 1,
            validColumns: Index(passes.shape.width))
        }
        return Pair(re: tiles[0], im: tiles[1])
      }
    }

    private func product(_ a: Pair, _ b: Pair, conjugated: Bool) -> Pair {
      MonarchTile.product(a, b, k, conjugated: conjugated)
    }

    /// The factors of rows are read only here, since registers are scarce.
    func byRow(_ x: Pair, _ number: Int, conjugated: Bool = false) -> Pair {
      if number == 0 { return x }
      let rows = passes.outer.map {
        k.load($0, at: [0, passes.columns * Index(number)], rows: side, columns: 1)
      }
      return product(x, Pair(re: rows[0], im: rows[1]), conjugated: conjugated)
    }

    func byPlace(_ x: Pair, _ number: Int, conjugated: Bool = false) -> Pair {
      let turned = product(x, shared, conjugated: conjugated)
      return number == 0 ? turned : product(turned, columns[number - 1], conjugated: conjugated)
    }

    /// The transform of the few tiles, or, conjugated, its inverse times their number. Each tile is made where it is
    /// wanted, so that few are at hand at a time.
    func combined(
      _ numbers: [Int], conjugated: Bool, _ tile: (Int) -> Pair
    ) -> [Pair] {
      let count = numbers.count
      guard count > 1 else { return numbers.map(tile) }
      func half(_ parity: Int) -> [Pair] {
        combined(stride(from: parity, to: count, by: 2).map { numbers[$0] }, conjugated: conjugated, tile)
      }
      let (even, odd) = (half(0), half(1))
      let turned = odd.enumerated().map { rotated($1, $0, of: count, conjugated: conjugated) }
      return zip(even, turned).map { Pair(re: k.map(.add, $0.re, $1.re), im: k.map(.add, $0.im, $1.im)) }
        + zip(even, turned).map {
          Pair(re: k.map(.subtract, $0.re, $1.re), im: k.map(.subtract, $0.im, $1.im))
        }
    }

    /// x · e^(∓2πi·p/q) for p below q/2.
    private func rotated(_ x: Pair, _ p: Int, of q: Int, conjugated: Bool) -> Pair {
      if p == 0 { return x }
      if 4 * p == q {
        let negated = k.map(.negate, conjugated ? x.im : x.re)
        return conjugated ? Pair(re: negated, im: x.re) : Pair(re: x.im, im: negated)
      }
      let turn = MonarchMatrix.turn(conjugated ? -p : p, of: q)
      func times(_ a: Tile, _ b: Double) -> Tile { k.map(.multiply, a, b) }
      return Pair(
        re: k.map(.subtract, times(x.re, turn.re), times(x.im, turn.im)),
        im: k.map(.add, times(x.re, turn.im), times(x.im, turn.re)))
    }
  }

  /// Arguments: ``MonarchOuter/matrices(_:)`` of 64 points, the two tensors ``MonarchOuter/twiddles(_:columns:)`` of the first
  /// stage `[64, few · M]` and of the second `[64, M]`, inputs `[B, R, few, M]`, the gate, where there is one, then results
  /// re and im likewise; R rows are channels · 64. Integer: how many rows of the batch a task visits.
  package static func forward(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_outer_twofold_\(shape.variant)") { k in
      let passes = Passes(k, shape)
      let inputs = passes.tensors(["x"], isFar: true) { k.input($0, $1, $2) } + passes.gates
      let outputs = passes.tensors(["y_re", "y_im"], isFar: false) { k.output($0, $1, $2) }
      passes.grid(stages: 2, loading: inputs) { matrices, factors, tiles, at in
        let parts = factors.combined(Array(passes.tiles), conjugated: false) { number in
          let x =
            shape.gates > 0
            ? k.cast(k.map(.multiply, tiles[0][number], tiles[1][number]), to: shape.type) : tiles[0][number]
          return factors.byRow(Pair(re: k.matmul(matrices[0], x), im: k.matmul(matrices[1], x)), number)
        }
        for (number, part) in parts.enumerated() {
          let y = factors.byPlace(part, number)
          passes.store(y.re, outputs[0], at, number)
          passes.store(y.im, outputs[1], at, number)
        }
      }
    }
  }

  /// Arguments: as ``forward(_:)``'s, but inputs re and im, gates, then results: as many as gates, or one.
  package static func inverse(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_outer_twofold_inverse_\(shape.variant)") { k in
      let passes = Passes(k, shape)
      let inputs = passes.tensors(["x_re", "x_im"], isFar: false) { k.input($0, $1, $2) }
      let gates = passes.gates
      let outputs = passes.tensors((0..<max(1, shape.gates)).map { "y\($0)" }, isFar: true) {
        k.output($0, $1, $2)
      }
      passes.grid(stages: 1, loading: inputs) { matrices, factors, tiles, at in
        let own = gates.map { gate in passes.tiles.map { passes.load(gate, at, $0) } }
        let parts = factors.combined(Array(passes.tiles), conjugated: true) {
          factors.byPlace(Pair(re: tiles[0][$0], im: tiles[1][$0]), $0, conjugated: true)
        }
        let x = parts.enumerated().map { number, part in
          let x = factors.byRow(part, number, conjugated: true)
          return Pair(re: k.cast(x.re, to: shape.type), im: k.cast(x.im, to: shape.type))
        }
        for (number, x) in x.enumerated() {
          let y = k.matmul(matrices[0], x.re, transposesLeft: true)
          k.matmul(into: y, matrices[1], x.im, transposesLeft: true)
          for (place, output) in outputs.enumerated() {
            passes.store(
              own.isEmpty ? y : k.map(.multiply, y, own[place][number]), output, at, number)
          }
        }
      }
    }
  }
}
