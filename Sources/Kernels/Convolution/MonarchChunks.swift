internal import Memory
internal import Tiles

/// Which rows of a batch a task visits, where a channel's row is one tile or several.
///
/// Several tiles are chunks of a causal row. With filters K_m of the chunks, spectra of results are Σ L_m · U_(i − m), where L₀ = K₀ and
/// L_m = K_m − i·K_(m − 1), since a product of transforms is a convolution modulo zˢ = i: what a chunk leaves for later ones costs
/// no transform. In the adjoint chunks come in the other order.
struct MonarchChunks {
  /// One, two, or, with ``MonarchLags``, four.
  let count: Int
  /// Whether the last chunk comes first.
  var isBackward = false

  /// 0 for the chunk that comes first.
  func turn(_ step: Index) -> Index { count == 1 ? 0 : step % Index(count) }

  /// Row of the batch, counted from a task's first, and the chunk.
  private func place(_ step: Index) -> (row: Index, chunk: Index) {
    if count == 1 { return (step, 0) }
    let turn = turn(step)
    return (step / Index(count), isBackward ? Index(count - 1) - turn : turn)
  }

  /// Where a step's tile lies in `[B, R, 64]`.
  func at(_ step: Index, batch first: Index, row: Index, height: Int) -> [Index] {
    let place = place(step)
    return [first + place.row, row + place.chunk * Index(height), 0]
  }
}
