package import Memory
package import Tiles

/// Convolution with filters whose spectra are known, of up to 4,096 points, or of causal rows of 8,192 as two chunks of as many, in one
/// pass over memory.
///
/// A task keeps the spectra of 64 rows, 64/radix channels, in registers, and beside them, where there is room, the rows' matrices, and visits
/// rows of the batch (``MonarchTasks``). Floor: 4 bytes a point (8 with gates) over the bandwidth; of float16 6 products of 64 by 64 by 64
/// a tile (10 where numbers are complex), 768 operations a point, of bfloat16 8 and 12, over the rate of the matrix units, which is the
/// higher for inputs without gates.
package enum MonarchFused {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// Points and kind of the transform.
    package var constants: MonarchConstants
    /// bfloat16 or float16.
    package var type: ElementType
    /// Whether numbers are complex, in two tensors; such convolutions have no gates.
    package var isComplex = false
    /// Whether inputs are multiplied by a gate.
    package var isGatedBefore = false
    /// Gates by which results are multiplied, each for a tensor of its own; 0 for the results themselves.
    package var gatesAfter = 0
    /// Whether spectra are conjugated, which makes it the adjoint: a correlation.
    package var isConjugated = false
    /// Whether rows are known to be a multiple of 64.
    package var isWhole = true
    /// Tiles of a channel's row: one, or two chunks of 4,096 points, of which spectra are each its own.
    package var chunks = 1
    /// Whether sequences are shorter than transforms, and their rows folded.
    package var isFolded = false

    /// How sequences lie in rows of tiles, if they are folded.
    package var fold: SequenceFold? {
      isFolded ? SequenceFold(rows: constants.radix * chunks, step: MonarchConstants.side) : nil
    }

    /// A convolution without gates.
    package init(_ constants: MonarchConstants, type: ElementType, isComplex: Bool = false) {
      (self.constants, self.type, self.isComplex) = (constants, type, isComplex)
    }

    /// Whether there are registers for a half of the filter's spectrum in float32, where it is multiplied so.
    fileprivate func isPrecise(part: Int) -> Bool {
      chunks == 1 || part == 0 && !isGatedBefore
    }

    /// Whether there are registers for both chunks of a row in one step.
    fileprivate var isUnrolled: Bool {
      MonarchTile.isNarrow(type) && chunks > 1 && !(isFolded && isGatedBefore && gatesAfter > 0)
    }

    /// Whether tasks hold both of the rows' matrices in registers; see ``visiting(_:)``.
    private(set) var holdsRows = false

    /// The shape for tasks that visit so many rows each. Threads read matrices that they hold when a task starts, which costs about what 30
    /// rows save.
    package func visiting(_ share: Int) -> Shape {
      var shape = self
      shape.holdsRows = hasRoomForRows && chunks == 1 && share >= 32
      return shape
    }

    /// Whether there are registers for a matrix of the rows beside a filter's spectrum or two: not beside gates or what folded rows take, nor
    /// where steps are in float32.
    private var hasRoomForRows: Bool {
      MonarchTile.isNarrow(type) && isWhole && !isFolded && !isComplex && !isGatedBefore && gatesAfter == 0
    }

    fileprivate var held: MonarchTile.HeldRows {
      holdsRows ? .both : hasRoomForRows && chunks > 1 ? .back : .none
    }

    /// Into how many parts of the frequencies columns are divided.
    package var parts: Int { MonarchTile.isNarrow(type) ? 4 : 2 }

    /// What kernels of the shape are named by.
    var variant: String {
      let gates = "\(isGatedBefore ? "_before" : "")\(gatesAfter > 0 ? "_after\(gatesAfter)" : "")"
      return "\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")\(gates)"
        + "\(chunks > 1 ? "_chunks" : "")\(isConjugated ? "_adjoint" : "")\(isWhole ? "" : "_ragged")\(isFolded ? "_folded" : "")\(holdsRows ? "_held" : "")_\(type.rawValue)"
    }

    /// Tensors that a call takes before its results: inputs, gate before, gates after.
    package var inputCount: Int { (isComplex ? 2 : 1) + (isGatedBefore ? 1 : 0) + gatesAfter }
    /// Tensors of results.
    package var outputCount: Int { isComplex ? 2 : max(1, gatesAfter) }
  }

  /// Matrices that kernels of the shape take.
  package static func constants(_ shape: Shape) throws -> Tensor {
    let side = MonarchConstants.side
    return try MonarchStack.tensor(
      MonarchTile.parts(shape.constants), rows: side, columns: side, shape.type)
  }

  /// Arguments: ``constants(_:)``, spectra re and im float32 `[R, parts, 64/parts]`, inputs `[B, R, 64]`, where there are, the gate before
  /// and the gates after of that shape, then results likewise; R rows are channels · radix · chunks. Folded sequences are all
  /// `[B, H, L]`. Integer: how many rows of the batch a task visits.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_fused_\(shape.variant)") { k in
      let (side, width) = (MonarchConstants.side, MonarchConstants.side / shape.parts)
      let (batch, rows, share) = (k.extent("B"), k.extent("R"), k.argument("share"))
      let stack = k.input(
        "constants", shape.type, [Index(MonarchTile.count), Index(side), Index(side)])
      let spectra = ["re", "im"].map {
        k.input("spectrum_\($0)", .float32, [rows, Index(shape.parts), Index(width)])
      }
      let extents = MonarchTile.extents(k, batch, rows, isFolded: shape.isFolded)
      func tensors(_ names: [String], _ make: (String, ElementType, [Index]) -> TensorParameter)
        -> [TensorParameter]
      { names.map { make($0, shape.type, extents) } }
      let inputs = tensors(shape.isComplex ? ["re", "im"] : ["u"]) { k.input($0, $1, $2) }
      let before = tensors(shape.isGatedBefore ? ["before"] : []) { k.input($0, $1, $2) }
      let after = tensors((0..<shape.gatesAfter).map { "after\($0)" }) { k.input($0, $1, $2) }
      let outputs = tensors((0..<shape.outputCount).map { "y\($0)" }) { k.output($0, $1, $2) }
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      schedule.reusesStages = shape.isUnrolled
      var chunks = MonarchChunks(count: shape.chunks, isBackward: shape.isConjugated)
      chunks.isUnrolled = shape.isUnrolled
      let height = Index(side * shape.chunks)
      let tiles = rows.ceilDiv(height)
      k.grid(MonarchTasks.grid(tiles: tiles, batch: batch, share: share), schedule: schedule) { task in
        func tile(_ valid: Index) -> MonarchTile {
          MonarchTile(
            k, from: stack, valid: valid, parts: shape.parts, held: shape.held
          ).narrowed()
        }
        let whole = shape.isWhole ? tile(Index(side)) : nil
        MonarchTasks.visit(k, task: task[0], tiles: tiles, batch: batch, share: share) {
          number, first, count in
          let row = number * height
          let valid = shape.isWhole ? Index(side) : (rows - row).min(Index(side))
          let tile = whole ?? tile(valid)
          func load(_ tensor: TensorParameter, _ at: [Index]) -> Tile {
            k.load(tensor, at: at, rows: side, columns: side, validRows: valid, fold: shape.fold)
          }
          let filters = MonarchFilters(
            k, tile, chunks, rows: rows, width: width, isPrecise: shape.isPrecise(part:)
          ) { part, reOrIm, chunk, columns in
            k.load(
              spectra[reOrIm], at: [row + Index(side) * chunk, Index(part), Index(columns.lowerBound)],
              rows: side, columns: columns.count, rowAxis: 0, columnAxis: 2, validRows: valid,
              validColumns: Index(columns.count))
          }
          func at(_ number: Index, _ chunk: Index) -> [Index] {
            [first + number, row + Index(side) * chunk, 0]
          }
          chunks.visit(
            k, rows: count, stages: shape.isGatedBefore ? 1 : 2,
            load: { number, chunk in (inputs + before).map { load($0, at(number, chunk)) } },
            compute: { number, chunk, tiles, turn in
              let at = at(number, chunk)
              let gates = after.map { load($0, at) }
              let turned: MonarchTile.Pair
              if shape.isComplex {
                turned = tile.turned(MonarchTile.Pair(re: tiles[0], im: tiles[1]))
              } else {
                let gated =
                  shape.isGatedBefore ? MonarchTile.gated(tiles[0], tiles[1], k) : tiles[0]
                turned = tile.turned(gated)
              }
              let returned = filters.returned(turned, turn: turn, conjugated: shape.isConjugated)
              let y = filters.real(returned)
              if shape.isComplex {
                let imaginary = filters.imaginary(returned)
                k.store(y, to: outputs[0], at: at, fold: shape.fold)
                k.store(imaginary, to: outputs[1], at: at, fold: shape.fold)
              } else {
                for (number, output) in outputs.enumerated() {
                  let result = gates.isEmpty ? y : tile.gatedResult(y, gates[number])
                  k.store(result, to: output, at: at, fold: shape.fold)
                }
              }
            })
        }
      }
    }
  }
}
