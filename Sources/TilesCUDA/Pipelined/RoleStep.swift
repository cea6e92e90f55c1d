internal import Tiles

/// What one role of a block does: the loading warp, or each of the groups that compute.
///
/// Waits, releases and fences are explicit here, so that a program can be printed as it stands, and checked: every slot
/// is filled, awaited, released and advanced once a turn, and no operand is touched while a product reads it.
indirect enum RoleStep {
  /// The body for each step from `from` up to `below`.
  case loop(step: Int, from: Int, below: Index, body: [RoleStep])
  /// The body with the step set to a value.
  case with(step: Int, value: Index, body: [RoleStep])
  /// The body, reading the slots of these rings that lie one turn back.
  case behind([Int], body: [RoleStep])
  /// The body where `lower` < `upper`.
  case when(less: Index, than: Index, body: [RoleStep])

  /// Loader: waits until the groups have emptied the ring's slot.
  case awaitEmpty(Int)
  /// Loader: announces the bytes that the slot's copies will bring.
  case expect(Int)
  /// Loader: starts the copy of a tile into its slot.
  case copy(Int)
  /// Loader: asks for a tile in the second-level cache.
  case prefetch(Int)
  /// Either: goes on to the ring's next slot.
  case advance(Int)

  /// Group: waits until the slot is full.
  case awaitFull(Int)
  /// Group: gives back the slot that lies `behind` turns before the present one.
  case release(Int, behind: Int)
  /// Group: starts a product and closes its batch.
  case issue(Matmul)
  /// Group: waits until at most `pending` batches run; the accumulators of the finished ones are then readable.
  case awaitProducts(pending: Int, finished: [Tile])
  /// Group: waits for its turn to issue products, or hands the turn on.
  case awaitTurn
  case passTurn
  /// Group: rounds and packs a fragment as the left factor of coming products.
  case pack(Tile)
  /// Group: writes a fragment to shared memory as a factor.
  case stage(Tile)
  /// Groups: all have come here; what they wrote to shared memory is there for threads, and, where they fence it, for
  /// products and copies.
  case meet(fences: Bool)
  /// Group: elementwise steps.
  case map(MapProgram)
  /// Group: joins the groups' parts of a number a row, which each reduced over its own columns.
  case combine(Tile, MapStep.Reduction, continuing: Bool)
  /// Group: hands numbers of rows to columns, through shared memory.
  case transpose(Tile, from: Tile)
  /// Group: columns of fragments side by side, from one of them on.
  case columns(Tile, of: [Tile], from: Int)
  /// Group: sets a fragment.
  case fill(Tile, Float)
  /// Group: reads a fragment from global memory.
  case read(Tile, TileReference)
  /// Group: writes a fragment to global memory.
  case store(Tile, TileReference)
  /// Group: adds a fragment to global memory.
  case add(Tile, TileReference)
}
