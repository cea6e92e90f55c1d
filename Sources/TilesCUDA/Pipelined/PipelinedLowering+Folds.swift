internal import Memory
internal import Tiles

/// Rows of folded sequences, which begin and end anywhere, so that bulk copies cannot bring them: all threads of the loader copy pieces
/// of 16 bytes, and those of a group store them.
extension PipelinedLowering {
  /// Pieces of a row, each of which a thread copies.
  private static let pieces = 8

  /// Whether threads fill the ring.
  func isFolded(_ ring: Int) -> Bool {
    placement.places.contains { tile, place in
      if case .ring(ring, _) = place { placement.references[tile]?.fold != nil } else { false }
    }
  }

  /// What precedes what one thread of the loader does where all of them run.
  var byOneThread: String {
    !isGroup && rings.contains { isFolded($0.number) } ? "if (thread == 0) " : ""
  }

  /// Whether rows of a tile are whole pieces of 16 bytes.
  private func hasPieces(_ shared: SharedTile, _ reference: TileReference, columns: Int) -> Bool {
    let last = reference.tensor.extents.count - 1
    return shared.type.blockBytes == 2 && shared.panelElements == 8 * Self.pieces && !shared.isTransposed
      && shared.inner == columns && columns <= reference.fold?.step ?? 0
      && reference.origin[last].remainder(by: SequenceFold.alignment) == 0
  }

  /// Copies rows of a tile, zeros where a sequence has none.
  mutating func printFoldedCopy(
    _ number: Int, _ reference: TileReference, _ fold: SequenceFold, ring: Int, slot: Int, prefetches: Bool
  ) {
    let shared = rings[ring].slots[slot]
    guard let tile = placement.tiles[number], hasPieces(shared, reference, columns: tile.columns),
      tile.validColumns.constantValue == tile.columns,
      !rings[ring].slots.contains(where: \.isVector)
    else { return fail("rows of \(reference.tensor.name) cannot be copied by threads; take whole rows of 64 numbers") }
    folds.insert(reference.tensor.number)
    code.open("")
    let rows = printSequences(tile, reference, fold)
    for panel in 0..<shared.panels {
      code.line("#pragma unroll \(prefetches ? 1 : Self.unrolled)")
      code.open("for (int i = thread; i < \(tile.rows * (prefetches ? 1 : Self.pieces)); i += 128)")
      code.line("const int row = \(prefetches ? "i" : "i >> 3");")
      let column = "\(prefetches ? 0 : 8) * (i & 7) + \(panel * shared.panelElements)"
      let piece = rows.piece(column)
      for line in piece.lines { code.line(line) }
      if prefetches {
        code.line("prefetch_folded(\(piece.arguments));")
      } else {
        code.line(
          "copy_folded(\(slotAddress(ring, slot)) + swizzled<128, \(shared.panelBytes)>(row, 2 * (\(column))), \(piece.arguments));"
        )
      }
      code.close()
    }
    code.close()
  }

  /// Pieces that a thread of the loader has in hand at a time.
  private static let unrolled = 2

  /// How what the rows of a tile have in common is named.
  private struct FoldedRows {
    let fold: SequenceFold
    /// Whether the tile is a part of one sequence, rather than some of them.
    let isPart: Bool
    /// From one sequence to the next.
    let stride: String
    /// Whether all rows are there.
    let isWhole: Bool

    /// Lines that set `at`, the number of its sequence with which a piece of row `row` begins, and arguments that say where it lies.
    func piece(_ column: String) -> (lines: [String], arguments: String) {
      let length = isWhole ? "length" : "row < valid ? length : 0"
      if isPart {
        return (["const int at = start + row * \(fold.step) + \(column);"], "place, at, \(length)")
      }
      return (
        [
          "const u32 own = (u32)row / \(fold.rows);",
          "const int at = start + row % \(fold.rows) * \(fold.step) + \(column) - (int)((begun + own) * (u32)length % \(SequenceFold.alignment)u);",
        ], "place + \(stride) * own, at, \(length)"
      )
    }
  }

  /// Prints where the sequences of a tile lie.
  private mutating func printSequences(
    _ tile: Tile, _ reference: TileReference, _ fold: SequenceFold
  ) -> FoldedRows {
    let (number, extents) = (reference.tensor.number, reference.tensor.extents)
    let last = extents.count - 1
    let origin = reference.origin[last - 1]
    let (few, many) = (min(tile.rows, fold.rows), max(tile.rows, fold.rows))
    if origin.remainder(by: few) != 0 || many % few != 0 {
      fail("rows of \(reference.tensor.name) are neither whole sequences nor a part of one")
    }
    let isPart = fold.rows == many
    let before = Array(reference.origin[..<(last - 1)])
    let leading = zip(before, extents).reduce(Index(0)) { $0 * $1.1 + $1.0 } * extents[last - 1]
    let rows = FoldedRows(
      fold: fold, isPart: isPart, stride: index.stride(number, last - 1),
      isWhole: tile.validRows.constantValue == tile.rows)
    code.line("const u32 line = (u32)\(index(origin)), first = line / \(fold.rows);")
    code.line("const u32 begun = (u32)\(index(leading)) + first;")
    code.line("const int length = \(index(extents[last]));")
    if !rows.isWhole { code.line("const int valid = \(index(tile.validRows));") }
    let column = index(reference.origin[last])
    code.line(
      isPart
        ? "const int start = (int)(line % \(fold.rows)) * \(fold.step) + \(column) - (int)(begun * (u32)length % \(SequenceFold.alignment)u);"
        : "const int start = \(column);")
    code.line(
      "unsigned short *const place = (unsigned short *)a.tensor[\(number)] + (\(index.offset(number, before)) + \(rows.stride) * first);"
    )
    return rows
  }

  /// Lets the groups know, once this thread's copies have arrived and what it wrote itself may be read.
  mutating func printFoldedArrival(_ ring: Int) {
    code.line("async_fence();")
    code.line("copies_arrive(full\(ring) + 8 * slot\(ring));")
    code.line("barrier_arrive(full\(ring) + 8 * slot\(ring));")
  }

  /// How a fragment leaves through a buffer for a panel of 64 rows; `nil` where threads store each number.
  func foldedStoreForm(_ tile: Tile, _ reference: TileReference, columns: Int, adds: Bool) -> SharedTile? {
    let shared = SharedTile(type: reference.tensor.type, outer: 64, inner: columns, isTransposed: false)
    guard !adds, hasPieces(shared, reference, columns: tile.columns), shared.panels == 1,
      tile.validColumns.constantValue == tile.columns
    else { return nil }
    return shared
  }

  mutating func printFoldedStore(
    _ tile: Tile, _ reference: TileReference, _ fold: SequenceFold, _ shared: SharedTile, blocks: Int
  ) {
    folds.insert(reference.tensor.number)
    let buffer = buffer(0, of: 1)
    for block in 0..<blocks {
      // With two buffers, all have read one before any has filled the other.
      if storeBuffers == 1 { code.line("group_barrier(2 + group, 128);") }
      printPanel(tile, shared, reference.tensor.type, block: block, panel: 0, buffer: buffer)
      code.line("group_barrier(2 + group, 128);")
      code.open("")
      let rows = printSequences(tile, reference, fold)
      code.line("#pragma unroll \(Self.unrolled)")
      code.open("for (int i = thread; i < \(64 * Self.pieces); i += 128)")
      let first = groups * blocks == 1 ? "" : " + group * \(64 * blocks) + \(64 * block)"
      code.line("const int row = (i >> 3)\(first);")
      let piece = rows.piece("8 * (i & 7)")
      for line in piece.lines { code.line(line) }
      code.line(
        "store_folded(\(piece.arguments), \(buffer) + swizzled<\(shared.span), 0>(i >> 3, 16 * (i & 7)));")
      code.close()
      code.close()
      if storeBuffers > 1 { code.line("turn ^= \(Self.storeBufferBytes);") }
    }
  }
}

extension Prelude {
  /// Pieces of eight numbers of a sequence, of which some may lie before its first or behind its last.
  static let folds = """
    __device__ __forceinline__ void copies_arrive(u32 barrier) {
      asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
    }
    __device__ __forceinline__ u32 number_16(const unsigned short *from, int at, int length) {
      return (u32)at < (u32)length ? from[at] : 0;
    }
    __device__ __forceinline__ void copy_folded(u32 to, const unsigned short *from, int at, int length) {
      if (at >= 0) {
        const int bytes = max(0, min(16, 2 * (length - at)));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     ::"r"(to), "l"(bytes > 0 ? from + at : from - ((unsigned long long)from % 16) / 2), "r"(bytes) : "memory");
      } else {
    #pragma unroll 1
        for (int j = 0; j < 8; j += 2) {
          const u32 two = number_16(from, at + j, length) | number_16(from, at + j + 1, length) << 16;
          asm volatile("st.shared.b32 [%0], %1;" ::"r"(to + 2 * j), "r"(two) : "memory");
        }
      }
    }
    __device__ __forceinline__ void prefetch_folded(const unsigned short *from, int at, int length) {
      at = max(at, 0);
      if (at < length) asm volatile("prefetch.global.L2 [%0];" ::"l"(from + at));
    }
    __device__ __forceinline__ void store_folded(unsigned short *to, int at, int length, u32 from) {
      u32 w[4];
      asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "r"(from) : "memory");
      if (at >= 0 && at + 8 <= length) {
        *(uint4 *)(to + at) = make_uint4(w[0], w[1], w[2], w[3]);
      } else {
    #pragma unroll
        for (int j = 0; j < 8; ++j)
          if ((u32)(at + j) < (u32)length) to[at + j] = (unsigned short)(w[j / 2] >> 16 * (j & 1));
      }
    }
    """
}
