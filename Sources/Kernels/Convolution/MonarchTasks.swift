internal import Tiles

/// How rows of a batch in tiles of channels are dealt out: tile by tile, all rows of one before the next, to each task as many.
///
/// So tasks end together whatever the channels and the batch, and each begins a tile of channels no more often than share/batch + 1 times.
enum MonarchTasks {
  /// The grid of a kernel whose tasks visit `share` rows each.
  static func grid(tiles: Index, batch: Index, share: Index) -> [Index] { [(tiles * batch).ceilDiv(share)] }

  /// Rows of a task.
  ///
  /// - Parameter slots: tasks that run at once.
  static func share(tiles: Int, batch: Int, slots: Int) -> Int { (tiles * batch + slots - 1) / slots }

  /// Records a visit for each tile of channels of which the task has rows.
  ///
  /// - Parameter body: takes the tile, its first row of the batch and how many there are.
  static func visit(
    _ k: Recorder, task: Index, tiles: Index, batch: Index, share: Index,
    _ body: (_ tile: Index, _ first: Index, _ count: Index) -> Void
  ) {
    let start = task * share
    let end = (start + share).min(tiles * batch)
    k.loop((end - 1) / batch - start / batch + 1) { number in
      let tile = start / batch + number
      let first = (start - tile * batch).max(0)
      body(tile, first, (end - tile * batch).min(batch) - first)
    }
  }
}
