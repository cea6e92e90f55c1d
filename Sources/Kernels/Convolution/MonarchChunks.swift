internal import Memory
internal import Tiles

/// How a task visits rows of a batch, where a channel's row is one tile or several.
///
/// Several tiles are chunks of a causal row. With filters K_m of the chunks, spectra of results are Σ L_m · U_(i − m), where L₀ = K₀ and
/// L_m = K_m − i·K_(m − 1), since a product of transforms is a convolution modulo zˢ = i: what a chunk leaves for later ones costs
/// no transform. In the adjoint chunks come in the other order.
struct MonarchChunks {
  /// One, two, or, with ``MonarchLags``, four.
  let count: Int
  /// Whether the last chunk comes first.
  var isBackward = false

  /// Whether a step is a row: chunk after chunk of it, so that what differs between them is known while recording. That takes more registers.
  var isUnrolled = false

  /// Which chunk of a row a step works on, counted in the order in which they come.
  enum Turn {
    case known(Int)
    case step(Index)

    /// Whether it is known that nothing was handed on to it.
    var isFirst: Bool { if case .known(0) = self { true } else { false } }
  }

  /// Records the visit of a chunk for each chunk of each row.
  ///
  /// - Parameters:
  ///   - rows: how many rows of the batch.
  ///   - load: the tiles of a chunk, which is given as the row and the chunk's number.
  ///   - compute: what is done with them.
  func visit(
    _ k: Recorder, rows: Index, stages: Int, load: (Index, Index) -> [Tile],
    compute: (Index, Index, [Tile], Turn) -> Void
  ) {
    guard isUnrolled else {
      func place(_ step: Index) -> (row: Index, chunk: Index) {
        if count == 1 { return (step, 0) }
        let turn = turn(step)
        return (step / Index(count), isBackward ? Index(count - 1) - turn : turn)
      }
      return k.pipeline(
        steps: rows * Index(count), stages: stages,
        load: { step in load(place(step).row, place(step).chunk) },
        compute: { step, tiles in
          compute(place(step).row, place(step).chunk, tiles, count == 1 ? .known(0) : .step(turn(step)))
        })
    }
    k.loop(rows) { row in
      for turn in 0..<count {
        let chunk = Index(isBackward ? count - 1 - turn : turn)
        k.pipeline(
          steps: 1, stages: stages, load: { _ in load(row, chunk) },
          compute: { _, tiles in compute(row, chunk, tiles, .known(turn)) })
      }
    }
  }

  /// 0 for the chunk that comes first.
  private func turn(_ step: Index) -> Index { step % Index(count) }
}
