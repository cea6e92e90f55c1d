internal import Memory
internal import Tiles

/// Rows of folded sequences, which begin and end anywhere, so that bulk copies cannot bring them: all threads of the loader copy pieces
/// of 16 bytes, and those of a group store them.
extension PipelinedLowering {
  /// Threads that share the pieces of a tile: those of the loader, or of a group.
  private static let threads = 128
  /// Bytes of a panel that they copy at a time.
  private static let turnBytes = 16 * threads

  // MARK: Rings

  /// Tiles of a ring and what they are loaded from.
  private func members(_ ring: Int) -> [(slot: Int, reference: TileReference)] {
    placement.places.compactMap { tile, place in
      guard case .ring(ring, let slot) = place, let reference = placement.references[tile] else { return nil }
      return (slot, reference)
    }
  }

  /// Whether threads fill a part of the ring.
  func isFolded(_ ring: Int) -> Bool { members(ring).contains { $0.reference.fold != nil } }

  /// Bytes of a stage that bulk copies bring.
  func bulkBytes(_ ring: Int) -> Int {
    let folded = Set(members(ring).filter { $0.reference.fold != nil }.map(\.slot))
    guard !folded.isEmpty else { return rings[ring].copiedBytes }
    return rings[ring].slots.indices.filter { !folded.contains($0) }.reduce(0) {
      $0 + rings[ring].slots[$1].bytes
    }
  }

  /// Arrivals that fill a stage: of a thread that has asked for bulk copies, and twice of each that copies itself.
  func arrivals(_ ring: Int) -> Int {
    isFolded(ring) ? 2 * Self.threads + (bulkBytes(ring) > 0 ? 1 : 0) : 1
  }

  /// Whether all threads of the loader run.
  var sharesLoads: Bool { rings.contains { isFolded($0.number) } }

  /// What precedes what one thread of the loader does where all of them run.
  var byOneThread: String { !isGroup && sharesLoads ? "if (thread == 0) " : "" }

  /// Whether one thread of several fills a ring in these steps of the loader.
  func fillsAlone(_ steps: [RoleStep]) -> Bool {
    guard !isGroup, sharesLoads else { return false }
    return steps.contains { if case .awaitEmpty(let ring) = $0 { !isFolded(ring) } else { false } }
  }

  /// Lets the groups know, once this thread's copies have arrived and what it wrote itself may be read.
  mutating func printFoldedArrival(_ ring: Int) {
    code.line("async_fence();")
    code.line("copies_arrive(full\(ring) + 8 * slot\(ring));")
    code.line("barrier_arrive(full\(ring) + 8 * slot\(ring));")
  }

  // MARK: Copies

  /// Whether rows of a tile are whole pieces, of which each turn of the threads takes whole rows.
  private func hasPieces(_ tile: Tile, _ shared: SharedTile, _ reference: TileReference) -> Bool {
    let last = reference.tensor.extents.count - 1
    return shared.type.blockBytes == 2 && !shared.isTransposed && shared.span >= 64
      && shared.inner == tile.columns
      && tile.columns <= reference.fold?.step ?? 0 && tile.validColumns.constantValue == tile.columns
      && tile.rows % (Self.turnBytes / shared.span) == 0
      && reference.origin[last].remainder(by: SequenceFold.alignment) == 0
  }

  /// Copies rows of a tile, zeros where a sequence has none.
  mutating func printFoldedCopy(
    _ number: Int, _ reference: TileReference, _ fold: SequenceFold, ring: Int, slot: Int, prefetches: Bool
  ) {
    let shared = rings[ring].slots[slot]
    guard let tile = placement.tiles[number], hasPieces(tile, shared, reference) else {
      return fail(
        "rows of \(reference.tensor.name) cannot be copied by threads; take whole rows of 32 or 64 numbers")
    }
    folds.insert(reference.tensor.number)
    code.open("")
    let rows = printSequences(tile, reference, fold, shared, first: "0")
    for panel in 0..<shared.panels {
      let column = panel * shared.panelElements
      let to = "\(slotAddress(ring, slot)) + \(panel * shared.panelBytes) + own"
      rows.forEachTurn(tile.rows, unrolled: 8, &code) { turn, at in
        if prefetches {
          return "if (piece == 0) prefetch_folded(\(at.place), \(at.number) + \(column), \(at.length));"
        }
        let place = "\(to) + \(turn) * \(Self.turnBytes), \(at.place), \(at.number) + \(column), \(at.length)"
        return "copy_folded(\(place), \(at.begins));"
      }
    }
    code.close()
  }

  /// How a fragment leaves through a buffer for a panel of 64 rows; `nil` where threads store each number.
  func foldedStoreForm(_ tile: Tile, _ reference: TileReference, columns: Int, adds: Bool) -> SharedTile? {
    let shared = SharedTile(type: reference.tensor.type, outer: 64, inner: columns, isTransposed: false)
    return !adds && shared.panels == 1 && hasPieces(tile, shared, reference) ? shared : nil
  }

  /// Turns of a store that are printed one after the other: more of them take more registers than groups have left.
  private static let unrolledStores = 2

  mutating func printFoldedStore(
    _ tile: Tile, _ reference: TileReference, _ fold: SequenceFold, _ shared: SharedTile, blocks: Int
  ) {
    folds.insert(reference.tensor.number)
    let buffer = buffer(0, of: 1)
    for block in 0..<blocks {
      // With two buffers, all have read one before any has filled the other, but for copies in bulk.
      if storesInBulk { code.line("if (thread == 0) store_wait_read<0>();") }
      if storesInBulk || storeBuffers == 1 { code.line("group_barrier(2 + group, 128);") }
      printPanel(tile, shared, reference.tensor.type, block: block, panel: 0, buffer: buffer)
      code.line("group_barrier(2 + group, 128);")
      code.open("")
      let first = groups * blocks == 1 ? "0" : "group * \(64 * blocks) + \(64 * block)"
      let rows = printSequences(tile, reference, fold, shared, first: first)
      rows.forEachTurn(64, unrolled: Self.unrolledStores, &code) { turn, at in
        "store_folded(\(at.place), \(at.number), \(at.length), \(buffer) + own + \(turn) * \(Self.turnBytes), \(at.begins));"
      }
      code.close()
      if storeBuffers > 1 { code.line("turn ^= \(Self.storeBufferBytes);") }
    }
  }

  // MARK: Sequences

  /// How what the rows of a tile have in common is named.
  private struct FoldedRows {
    let fold: SequenceFold
    /// Whether the tile is a part of one sequence, rather than some of them.
    let isPart: Bool
    /// From one sequence to the next.
    let stride: String
    /// Whether all rows are there.
    let isWhole: Bool
    /// Rows that the threads copy at a time.
    let rows: Int

    /// Where a piece lies: its sequence, the number of it that the piece begins with, and that behind its last; and whether numbers before
    /// the first need be thought of.
    typealias Piece = (place: String, number: String, length: String, begins: String)

    /// Prints a line for each turn of the threads; `at` is of the thread's piece of the first turn, whose row is `row`.
    ///
    /// - Parameter unrolled: turns that are printed one after the other.
    func forEachTurn(
      _ count: Int, unrolled: Int, _ code: inout CodeWriter, _ line: (_ turn: String, Piece) -> String
    ) {
      code.line("#pragma unroll \(unrolled)")
      code.open("for (int k = 0; k < \(count / rows); ++k)")
      let length = isWhole ? "length" : "row + \(rows) * k < valid ? length : 0"
      if isPart {
        code.line(line("k", ("place", "at + \(rows * fold.step) * k", length, "k == 0")))
      } else if fold.rows <= rows {
        // The same row of later sequences.
        let skip = rows / fold.rows
        code.line(
          "const int moved = (int)((begun + \(skip) * k) * (u32)length % \(SequenceFold.alignment)u);")
        code.line(line("k", ("place + \(stride) * (\(skip) * k)", "at - moved", length, "true")))
      } else {
        let turns = fold.rows / rows
        code.line(
          "const int later = k / \(turns), moved = (int)((begun + later) * (u32)length % \(SequenceFold.alignment)u);"
        )
        code.line(
          line(
            "k",
            (
              "place + \(stride) * later", "at + \(rows * fold.step) * (k % \(turns)) - moved", length,
              "k % \(turns) == 0"
            )))
      }
      code.close()
    }
  }

  /// Prints where the sequences of a tile lie, for the threads that share its pieces.
  private mutating func printSequences(
    _ tile: Tile, _ reference: TileReference, _ fold: SequenceFold, _ shared: SharedTile, first: String
  ) -> FoldedRows {
    let (number, extents) = (reference.tensor.number, reference.tensor.extents)
    let last = extents.count - 1
    let origin = reference.origin[last - 1]
    let (few, many) = (min(tile.rows, fold.rows), max(tile.rows, fold.rows))
    let pieces = shared.span / 16
    let rows = FoldedRows(
      fold: fold, isPart: fold.rows == many, stride: index.stride(number, last - 1),
      isWhole: tile.validRows.constantValue == tile.rows, rows: Self.threads / pieces)
    if origin.remainder(by: few) != 0 || many % few != 0
      || max(fold.rows, rows.rows) % min(fold.rows, rows.rows) != 0
    {
      fail("rows of \(reference.tensor.name) are neither whole sequences nor a part of one")
    }
    let before = Array(reference.origin[..<(last - 1)])
    code.line("const int piece = thread % \(pieces), row = thread / \(pieces) + \(first);")
    code.line("const u32 own = swizzled<\(shared.span), 0>(thread / \(pieces), 16 * piece);")
    code.line("const int length = \(index(extents[last]));")
    if !rows.isWhole { code.line("const int valid = \(index(tile.validRows));") }
    let later = rows.isPart ? "" : " + row / \(fold.rows)"
    code.line("const u32 line = (u32)\(index(origin)), sequence = line / \(fold.rows)\(later);")
    code.line("const u32 begun = (u32)\(index(reference.sequencesBefore)) + sequence;")
    let column = index(reference.origin[last])
    code.line(
      rows.isPart
        ? "const int at = ((int)(line % \(fold.rows)) + row) * \(fold.step) + \(column) + 8 * piece - (int)(begun * (u32)length % \(SequenceFold.alignment)u);"
        : "const int at = row % \(fold.rows) * \(fold.step) + \(column) + 8 * piece;")
    code.line(
      "unsigned short *const place = (unsigned short *)a.tensor[\(number)] + (\(index.offset(number, before)) + \(rows.stride) * sequence);"
    )
    return rows
  }
}

extension Prelude {
  /// Pieces of eight numbers of a sequence, of which some may lie before its first or behind its last. `begins`: whether some may lie before.
  static let folds = """
    __device__ __forceinline__ void copies_arrive(u32 barrier) {
      asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
    }
    __device__ __forceinline__ u32 number_16(const unsigned short *from, int at, int length) {
      return (u32)at < (u32)length ? from[at] : 0;
    }
    __device__ __forceinline__ void copy_folded(u32 to, const unsigned short *from, int at, int length, bool begins) {
      if (begins && at < 0) {
    #pragma unroll 1
        for (int j = 0; j < 8; j += 2) {
          const u32 two = number_16(from, at + j, length) | number_16(from, at + j + 1, length) << 16;
          asm volatile("st.shared.b32 [%0], %1;" ::"r"(to + 2 * j), "r"(two) : "memory");
        }
      } else {
        // What is not there is not read, and zero.
        const int bytes = max(0, min(16, 2 * (length - at)));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from + at), "r"(bytes) : "memory");
      }
    }
    __device__ __forceinline__ void prefetch_folded(const unsigned short *from, int at, int length) {
      at = max(at, 0);
      if (at < length) asm volatile("prefetch.global.L2 [%0];" ::"l"(from + at));
    }
    __device__ __forceinline__ void store_folded(unsigned short *to, int at, int length, u32 from, bool begins) {
      if (at >= length) return;
      u32 w[4];
      asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "r"(from) : "memory");
      if ((!begins || at >= 0) && at + 8 <= length) {
        *(uint4 *)(to + at) = make_uint4(w[0], w[1], w[2], w[3]);
      } else {
    #pragma unroll
        for (int j = 0; j < 8; ++j)
          if ((u32)(at + j) < (u32)length) to[at + j] = (unsigned short)(w[j / 2] >> 16 * (j & 1));
      }
    }
    """
}
