package import Memory
package import Tiles

/// ``MonarchGradient`` for 8,192 points: sums over the batch of T(g) · conj T(u), a tile of 128 rows shared by two groups.
///
/// Floor: 4 bytes a point (8 with gates, 12 where products are kept) over the bandwidth; 24 products of 64 by 64 by 64 a channel
/// and row of the batch over the rate of the matrix units.
package enum MonarchWideGradient {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// bfloat16 or float16.
    package var type: ElementType
    /// Whether u and g are multiplied by a gate each.
    package var isGated = false
    /// Whether the products with the gates are results too.
    package var keepsProducts = false
    /// Tiles of a channel's row, as in ``MonarchWide/Shape/chunks``.
    package var chunks = 1
    /// Whether sequences are shorter than transforms, and their rows folded.
    package var isFolded = false

    /// How sequences lie in rows of tiles, if they are folded.
    package var fold: SequenceFold? {
      isFolded ? SequenceFold(rows: MonarchWide.height * chunks, step: MonarchConstants.side) : nil
    }

    /// Sums for a convolution without gates where nothing else is said.
    package init(type: ElementType, isGated: Bool = false, keepsProducts: Bool = false) {
      (self.type, self.isGated, self.keepsProducts) = (type, isGated, keepsProducts)
    }

    var variant: String {
      "\(isGated ? "gated_" : "")\(keepsProducts ? "keeping_" : "")\(chunks > 1 ? "chunks_" : "")\(isFolded ? "folded_" : "")"
        + type.rawValue
    }
  }

  /// Arguments: ``MonarchWide/constants(_:)``, u and g (each with its gate, where gated) `[B, H · 128, 64]`, then sums re and im
  /// float32 `[P, H · 128, 2, 32]`, where P is the batch over the integer: how many rows of the batch a task visits.
  /// Folded sequences are all `[B, H, L]`. Where kept, the products with the gates, as u and g, come next, and of two chunks ``MonarchSums/Kept``.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_wide_gradient_\(shape.variant)") { k in
      let (side, height) = (MonarchConstants.side, MonarchWide.height)
      let (batch, rows, parts, share) = (
        k.extent("B"), k.extent("R"), k.extent("P"), k.argument("share")
      )
      let stacks = MonarchWide.stacks(k, shape.type)
      let extents = MonarchTile.extents(k, batch, rows, isFolded: shape.isFolded)
      let inputs = (shape.isGated ? ["u", "w", "g", "v"] : ["u", "g"]).map {
        k.input($0, shape.type, extents)
      }
      let width = MonarchTile.width
      let outputs = ["sums_re", "sums_im"].map { k.output($0, .float32, [parts, rows, 2, Index(width)]) }
      let products = (shape.keepsProducts ? ["x", "y"] : []).map {
        k.output($0, shape.type, extents)
      }
      var schedule = Kernel.Schedule(groups: 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      // Else the sums of two chunks, or the float32 steps of bfloat16 where threads copy, leave too few registers.
      schedule.settlesFactors = shape.chunks > 1 || shape.isFolded && shape.isGated && shape.type == .bfloat16
      let chunks = MonarchChunks(count: shape.chunks)
      let grid = [rows / Index(height * shape.chunks), parts]
      let kept = shape.chunks > 1 ? MonarchSums.Kept(k, type: shape.type, grid) : nil
      k.grid(grid, schedule: schedule) { task in
        let row = task[0] * Index(height * shape.chunks)
        let tile = MonarchWide.tile(k, shape.type, from: stacks)
        let sums = (0..<2).map { MonarchSums(k, kept, half: $0, task: Array(task[..<2])) }
        let first = task[1] * share
        func at(_ number: Index, _ chunk: Index) -> [Index] {
          [first + number, row + Index(height) * chunk, 0]
        }
        chunks.visit(
          k, rows: (batch - first).min(share), stages: shape.isGated ? 1 : 2,
          load: { number, chunk in
            inputs.map {
              k.load(
                $0, at: at(number, chunk), rows: height, columns: side, validRows: Index(height),
                validColumns: Index(side), fold: shape.fold)
            }
          },
          compute: { number, chunk, tiles, turn in
            func spectra(_ factor: Int) -> [MonarchTile.Pair] {
              let x =
                shape.isGated
                ? MonarchTile.gated(tiles[2 * factor], tiles[2 * factor + 1], k)
                : tiles[factor]
              if shape.keepsProducts {
                k.store(x, to: products[factor], at: at(number, chunk), fold: shape.fold)
              }
              let turned = tile.turned(x)
              return [0, 1].map { tile.spectrum(turned, half: $0) }.map(tile.pair)
            }
            // Whole, one factor finds room in 16 bits.
            let u = spectra(0).map(tile.factor)
            for (sums, (g, u)) in zip(sums, zip(spectra(1), u)) { sums.add(g, u, turn: turn) }
          })
        for (half, sums) in sums.enumerated() {
          for (chunk, parts) in sums.parts.enumerated() {
            for (sum, output) in zip(parts, outputs) {
              k.store(
                sum, to: output, at: [task[1], row + Index(height * chunk), Index(half), 0], rowAxis: 1,
                columnAxis: 3)
            }
          }
        }
      }
    }
  }
}
