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
      k.grid([rows / Index(height * shape.chunks), parts, 2], schedule: schedule) { task in
        let row = task[0] * Index(height * shape.chunks)
        let tile = MonarchWide.tile(k, shape.type, from: stacks, halves: [task[2]])
        let sums = MonarchSums(k, chunks, type: shape.type) {
          k.filled(0, rows: height, columns: width, validRows: Index(height), validColumns: Index(width))
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
            func spectrum(_ number: Int) -> MonarchTile.Pair {
              let x =
                shape.isGated
                ? k.cast(k.map(.multiply, tiles[2 * number], tiles[2 * number + 1]), to: shape.type)
                : tiles[number]
              if shape.keepsProducts {
                // Two tasks make both, and write one each: all take as long.
                let (lower, upper) = number == 0 ? (task[2], Index(1)) : (Index(0), task[2])
                k.when(lower, lessThan: upper) { k.store(x, to: products[number], at: at(step)) }
              }
              let sign = Index(1) - Index(2) * task[2]
              return tile.pair(tile.spectrum(tile.turned(x), sign: sign, tile.columns[0]))
            }
            let u = spectrum(0)
            sums.add(spectrum(1), u, step: step)
          })
        for (chunk, parts) in sums.parts.enumerated() {
          for (sum, output) in zip(parts, outputs) {
            k.store(
              sum, to: output, at: [task[1], row + Index(height * chunk), 0, task[2]], rowAxis: 1,
              columnAxis: 2)
          }
        }
      }
    }
  }
}
