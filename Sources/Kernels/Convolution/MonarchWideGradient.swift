package import Memory
package import Tiles

/// ``MonarchGradient`` for 8,192 points: sums over the batch of T(g) · conj T(u), a tile of 128 rows shared by two groups.
///
/// Rows are in the order of ``MonarchStages``. A task has the even or the odd frequencies of the columns. Floor: 4 bytes a point (8 with gates) over
/// the bandwidth; 40 products of 64 by 64 by 64 a channel and row of the batch over the rate of the matrix units.
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

    /// Halves of the columns' frequencies that a task has: of two chunks there are registers for one.
    package var halves: Int { chunks > 1 ? 1 : 2 }

    /// Sums for a convolution without gates where nothing else is said.
    package init(type: ElementType, isGated: Bool = false, keepsProducts: Bool = false) {
      (self.type, self.isGated, self.keepsProducts) = (type, isGated, keepsProducts)
    }

    var variant: String {
      "\(isGated ? "gated_" : "")\(keepsProducts ? "keeping_" : "")\(chunks > 1 ? "chunks_" : "")\(type.rawValue)"
    }
  }

  /// Arguments: ``MonarchWide/constants(_:_:)`` in the order of stages, u and g (each with its gate, where gated) `[B, H · 128, 64]`, then sums re and im
  /// float32 `[P, H · 128, 32, 2]`, where P is the batch over the integer: how many rows of the batch a task visits.
  /// Where kept, the products with the gates, as u and g, come last.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_wide_gradient_\(shape.variant)") { k in
      let (side, height) = (MonarchConstants.side, MonarchWide.height)
      let (batch, rows, parts, share) = (
        k.extent("B"), k.extent("R"), k.extent("P"), k.argument("share")
      )
      let stacks = MonarchWide.stacks(k, shape.type)
      let inputs = (shape.isGated ? ["u", "w", "g", "v"] : ["u", "g"]).map {
        k.input($0, shape.type, [batch, rows, Index(side)])
      }
      let width = MonarchTile.width
      let outputs = ["sums_re", "sums_im"].map { k.output($0, .float32, [parts, rows, Index(width), 2]) }
      let products = (shape.keepsProducts ? ["x", "y"] : []).map {
        k.output($0, shape.type, [batch, rows, Index(side)])
      }
      var schedule = Kernel.Schedule(groups: 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      let chunks = MonarchChunks(count: shape.chunks)
      k.grid([rows / Index(height * shape.chunks), parts, Index(2 / shape.halves)], schedule: schedule) { task in
        let row = task[0] * Index(height * shape.chunks)
        let halves = (0..<shape.halves).map { task[2] + Index($0) }
        let tile = MonarchWide.tile(k, shape.type, from: stacks, halves: halves)
        let sums = halves.map { _ in
          MonarchSums(k, chunks, type: shape.type) {
            k.filled(0, rows: height, columns: width, validRows: Index(height), validColumns: Index(width))
          }
        }
        let first = task[1] * share
        func at(_ step: Index) -> [Index] { chunks.at(step, batch: first, row: row, height: height) }
        k.pipeline(
          steps: (batch - first).min(share) * Index(shape.chunks), stages: shape.isGated ? 1 : 2,
          load: { step in
            inputs.map {
              k.load(
                $0, at: at(step), rows: height, columns: side, validRows: Index(height),
                validColumns: Index(side))
            }
          },
          compute: { step, tiles in
            func spectra(_ number: Int) -> [MonarchTile.Pair] {
              let x =
                shape.isGated
                ? k.cast(k.map(.multiply, tiles[2 * number], tiles[2 * number + 1]), to: shape.type)
                : tiles[number]
              if shape.keepsProducts, shape.halves > 1 {
                k.store(x, to: products[number], at: at(step))
              } else if shape.keepsProducts {
                // Two tasks make both, and write one each: all take as long.
                let (lower, upper) = number == 0 ? (task[2], Index(1)) : (Index(0), task[2])
                k.when(lower, lessThan: upper) { k.store(x, to: products[number], at: at(step)) }
              }
              let turned = tile.turned(x)
              guard shape.halves > 1 else {
                let sign = Index(1) - Index(2) * task[2]
                return [tile.pair(tile.spectrum(turned, sign: sign, tile.columns[0]))]
              }
              return [0, 1].map { tile.spectrum(turned, half: $0) }.map(tile.pair)
            }
            // Both halves of one factor find room in 16 bits.
            let u = shape.halves > 1 ? spectra(0).map(tile.factor) : spectra(0)
            for (sums, (g, u)) in zip(sums, zip(spectra(1), u)) { sums.add(g, u, step: step) }
          })
        for (half, sums) in zip(halves, sums) {
          for (chunk, parts) in sums.parts.enumerated() {
            for (sum, output) in zip(parts, outputs) {
              k.store(
                sum, to: output, at: [task[1], row + Index(height * chunk), 0, half], rowAxis: 1,
                columnAxis: 2)
            }
          }
        }
      }
    }
  }
}
