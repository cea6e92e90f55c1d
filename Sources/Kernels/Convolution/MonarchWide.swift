package import Memory
package import Tiles

/// ``MonarchFused`` for 8,192 points: a tile of 128 rows is one channel, and two groups share it.
///
/// Floor: as ``MonarchFused``'s, with 20 products of 64 by 64 by 64 a channel, of bfloat16 and of four chunks 24.
package enum MonarchWide {
  /// Rows of a tile, and of a channel.
  package static let height = 128
  private static let side = MonarchConstants.side

  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// bfloat16 or float16.
    package var type: ElementType
    /// Whether inputs are multiplied by a gate.
    package var isGatedBefore = false
    /// Gates by which results are multiplied, each for a tensor of its own; 0 for the results themselves.
    package var gatesAfter = 0
    /// Whether spectra are conjugated, which makes it the adjoint.
    package var isConjugated = false
    /// Tiles of a channel's row: one, or two or four of 8,192 points, of which spectra are each its own.
    package var chunks = 1
    /// Whether sequences are shorter than transforms, and their rows folded.
    package var isFolded = false

    /// How sequences lie in rows of tiles, if they are folded.
    package var fold: SequenceFold? {
      isFolded ? SequenceFold(rows: MonarchWide.height * chunks, step: MonarchConstants.side) : nil
    }

    /// A convolution without gates.
    package init(type: ElementType, isGatedBefore: Bool = false, gatesAfter: Int = 0) {
      (self.type, self.isGatedBefore, self.gatesAfter) = (type, isGatedBefore, gatesAfter)
    }

    /// Whether there are registers for a half of the filter's spectrum in float32, where it is multiplied so.
    fileprivate func isPrecise(part: Int) -> Bool {
      chunks <= 2 && (part == 0 && (chunks == 1 || !isGatedBefore) || !isGatedBefore && gatesAfter == 0)
    }

    /// Whether there are registers for both chunks of a row in one step.
    fileprivate var isUnrolled: Bool { MonarchTile.isNarrow(type) && chunks == 2 && !isGatedBefore }

    /// Into how many parts of the frequencies columns are divided: of four chunks two, since each part has branches of its own.
    package var parts: Int { MonarchTile.isNarrow(type) && chunks <= 2 ? 4 : 2 }

    var variant: String {
      let gates = "\(isGatedBefore ? "before_" : "")\(gatesAfter > 0 ? "after\(gatesAfter)_" : "")"
      let rows = chunks > 2 ? "chunks\(chunks)_" : chunks > 1 ? "chunks_" : ""
      return gates + rows + (isConjugated ? "adjoint_" : "") + (isFolded ? "folded_" : "") + type.rawValue
    }
  }

  /// Quarters of the frequency, k₁ − 1/4, of a row: those that are equal modulo 64 lie beside each other, so that ``MonarchBroad`` takes
  /// the same spectra.
  private static func quarters(_ row: Int) -> Int { 4 * (row / 2 + row % 2 * (height / 2)) - 1 }

  static var rowMatrix: MonarchMatrix {
    // A stage of two scales by 1/2, one of 64 by 1/8.
    MonarchMatrix(height, height) { row, column in
      let turn = MonarchMatrix.turn(quarters(row) * column, of: 4 * height)
      return (turn.re / 16, turn.im / 16)
    }
  }

  static var twiddleMatrix: MonarchMatrix {
    MonarchMatrix(height, side) { row, column in
      MonarchMatrix.turn(quarters(row) * column, of: 4 * height * side)
    }
  }

  /// Matrices of rows `[2, 128, 128]` and of both halves and all quarters of the columns `[3, 64, 64]`, and twiddles `[2, 128, 64]`.
  package static func constants(_ type: ElementType) throws -> [Tensor] {
    let (rows, twiddles) = (rowMatrix, twiddleMatrix)
    return [
      try MonarchStack.tensor([rows.re, rows.im], rows: height, columns: height, type),
      try MonarchStack.tensor(
        MonarchConstants.halves + [MonarchConstants.quarters], rows: side, columns: side, type),
      try MonarchStack.tensor([twiddles.re, twiddles.im], rows: height, columns: side, type),
    ]
  }

  /// The parameters for ``constants(_:)``.
  static func stacks(_ k: Recorder, _ type: ElementType) -> [TensorParameter] {
    [("rows", 2, height, height), ("columns", 3, side, side), ("twiddles", 2, height, side)]
      .map { k.input($0.0, type, [Index($0.1), Index($0.2), Index($0.3)]) }
  }

  /// The transform with its matrices, those of the columns for so many parts of the frequencies.
  static func tile(
    _ k: Recorder, _ type: ElementType, from stacks: [TensorParameter], parts: Int = 2
  ) -> MonarchTile {
    func load(_ stack: Int, _ part: Index, rows: Int, columns: Int) -> Tile {
      k.load(
        stacks[stack], at: [part, 0, 0], rows: rows, columns: columns, validRows: Index(rows),
        validColumns: Index(columns))
    }
    func pair(_ stack: Int, rows: Int, columns: Int) -> MonarchTile.Pair {
      MonarchTile.Pair(
        re: load(stack, 0, rows: rows, columns: columns), im: load(stack, 1, rows: rows, columns: columns))
    }
    return MonarchTile(
      k: k, type: type, rows: pair(0, rows: height, columns: height),
      columns: parts == 4
        ? (0..<4).map { MonarchTile.quarter($0, k, stacks[1], 2) }
        : (0..<2).map { load(1, Index($0), rows: side, columns: side) },
      twiddles: pair(2, rows: height, columns: side))
  }

  /// Arguments: ``constants(_:)``, spectra re and im float32 `[H · 128, parts, 64/parts]` as
  /// ``MonarchWideSpectrum`` leaves them, inputs `[B, H · 128, 64]`, where there are, the
  /// gate before and the gates after of that shape, then results likewise, as many as gates after or one; of four chunks
  /// ``MonarchLags/Tensors`` come last. Folded sequences are all `[B, H, L]`. Integer: how many rows of the batch a task visits.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_wide_\(shape.variant)") { k in
      let width = side / shape.parts
      let (batch, rows, share) = (k.extent("B"), k.extent("R"), k.argument("share"))
      let stacks = stacks(k, shape.type)
      let spectra = ["re", "im"].map {
        k.input("spectrum_\($0)", .float32, [rows, Index(shape.parts), Index(width)])
      }
      let extents = MonarchTile.extents(k, batch, rows, isFolded: shape.isFolded)
      func tensor(_ name: String) -> TensorParameter { k.input(name, shape.type, extents) }
      let inputs = ([tensor("u")] + (shape.isGatedBefore ? [tensor("before")] : []))
      let after = (0..<shape.gatesAfter).map { tensor("after\($0)") }
      let outputs = (0..<max(1, shape.gatesAfter)).map {
        k.output("y\($0)", shape.type, extents)
      }
      var schedule = Kernel.Schedule(groups: 2)
      schedule.bringsOperands = true
      schedule.reusesStages = shape.isUnrolled
      // With chunks, or two gates after and one before, that would take more registers than there are.
      schedule.trailsSteps = shape.chunks == 1 && !(shape.isGatedBefore && shape.gatesAfter > 1)
      // Of one tile with two gates after, the compiler finds registers for addresses better by itself.
      schedule.recomputesAddresses = shape.chunks > 1 || shape.gatesAfter < 2
      // Four chunks have no neighbouring registers to spare.
      schedule.readsPairs = shape.chunks <= 2
      // Else the float32 steps of bfloat16 leave too few registers.
      schedule.settlesFactors = shape.chunks > 2 && shape.type == .bfloat16
      var chunks = MonarchChunks(count: shape.chunks, isBackward: shape.isConjugated)
      chunks.isUnrolled = shape.isUnrolled
      let tiles = rows / Index(height * shape.chunks)
      let grid = MonarchTasks.grid(tiles: tiles, batch: batch, share: share)
      let kept =
        chunks.count > 2 ? MonarchLags.Tensors(k, type: shape.type, height: height, tasks: grid[0]) : nil
      k.grid(grid, schedule: schedule) { task in
        let tile = tile(k, shape.type, from: stacks, parts: shape.parts)
          .narrowed(keepsTwiddles: shape.chunks <= 2)
        let gateCount = shape.gatesAfter + (shape.isGatedBefore ? 1 : 0)
        MonarchTasks.visit(k, task: task[0], tiles: tiles, batch: batch, share: share) {
          number, first, count in
          let row = number * Index(height * shape.chunks)
          func load(_ tensor: TensorParameter, _ at: [Index], as type: ElementType? = nil) -> Tile {
            k.load(
              tensor, at: at, rows: height, columns: side, validRows: Index(height),
              validColumns: Index(side), as: type, fold: shape.fold)
          }
          let pieces = width / MonarchLags.width
          let filters = MonarchFilters(
            k, tile, chunks, rows: rows, width: width, isPrecise: shape.isPrecise(part:),
            asides: shape.isGatedBefore && after.isEmpty ? 1 : 2,
            lags: { part in
              kept.map { MonarchLags.Place(tensors: $0, piece: part * pieces, task: task[0]) }
            }
          ) { part, reOrIm, chunk, columns in
            k.load(
              spectra[reOrIm], at: [row + Index(height) * chunk, Index(part), Index(columns.lowerBound)],
              rows: height, columns: columns.count, rowAxis: 0, columnAxis: 2, validRows: Index(height),
              validColumns: Index(columns.count))
          }
          func at(_ number: Index, _ chunk: Index) -> [Index] {
            [first + number, row + Index(height) * chunk, 0]
          }
          chunks.visit(
            k, rows: count, stages: gateCount > 1 || shape.isGatedBefore ? 1 : 2,
            load: { number, chunk in inputs.map { load($0, at(number, chunk)) } },
            compute: { number, chunk, tiles, turn in
              let at = at(number, chunk)
              // With gates on both sides there is no room for two after but in registers.
              let early = gateCount < 3 ? after.map { load($0, at) } : []
              let x = inputs.count > 1 ? MonarchTile.gated(tiles[0], tiles[1], k) : tiles[0]
              let result = filters.real(
                filters.returned(tile.turned(x), turn: turn, conjugated: shape.isConjugated))
              for (number, y) in outputs.enumerated() {
                let gate =
                  after.isEmpty
                  ? nil : early.isEmpty ? load(after[number], at, as: .float32) : early[number]
                k.store(gate.map { tile.gatedResult(result, $0) } ?? result, to: y, at: at, fold: shape.fold)
              }
            })
        }
      }
    }
  }
}
