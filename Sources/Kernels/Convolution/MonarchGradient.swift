package import Memory
package import Tiles

/// Gradients of spectra: Σ over the batch of T(g) · conj T(u), in float32.
///
/// A task keeps the sums of 64 rows in registers and visits rows of the batch. Floor: 4 bytes a point (8 with gates) over the
/// bandwidth; 12 products of 64 by 64 by 64 a tile (16 where numbers are complex) over the rate of the matrix units.
package enum MonarchGradient {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// Points and kind of the transform.
    package var constants: MonarchConstants
    /// bfloat16 or float16.
    package var type: ElementType
    /// Whether numbers are complex, in two tensors; such have no gates.
    package var isComplex = false
    /// Whether u and g are multiplied by a gate each.
    package var isGated = false
    /// Whether rows are known to be a multiple of 64.
    package var isWhole = true

    /// Sums for a convolution without gates.
    package init(
      _ constants: MonarchConstants, type: ElementType, isComplex: Bool = false, isGated: Bool = false
    ) {
      (self.constants, self.type, self.isComplex, self.isGated) = (constants, type, isComplex, isGated)
    }

    var variant: String {
      "\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")"
        + "\(isGated ? "_gated" : "")\(isWhole ? "" : "_ragged")_\(type.rawValue)"
    }
  }

  /// Arguments: the matrices of ``MonarchFused/constants(_:)``, u and g (re and im each, where complex; each with its gate,
  /// where gated) `[B, R, 64]`, then sums re and im float32 `[P, R, 32, 2]`, where P is the batch over the integer: how many
  /// rows of the batch a task visits.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_gradient_\(shape.variant)") { k in
      let side = MonarchConstants.side
      let (batch, rows, parts, share) = (
        k.extent("B"), k.extent("R"), k.extent("P"), k.argument("share")
      )
      let stack = k.input(
        "constants", shape.type, [Index(MonarchTile.count), Index(side), Index(side)])
      let names =
        shape.isComplex
        ? ["u_re", "u_im", "g_re", "g_im"] : shape.isGated ? ["u", "w", "g", "v"] : ["u", "g"]
      let inputs = names.map { k.input($0, shape.type, [batch, rows, Index(side)]) }
      let width = MonarchTile.width
      let outputs = ["sums_re", "sums_im"].map { k.output($0, .float32, [parts, rows, Index(width), 2]) }
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: shape.isComplex ? 1 : 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      // Sums of whole tiles and what leads to them would not fit the registers: a task has half of the frequencies.
      k.grid([rows.ceilDiv(Index(side)), parts, 2], schedule: schedule) { task in
        let row = task[0] * Index(side)
        let valid = shape.isWhole ? Index(side) : (rows - row).min(Index(side))
        let tile = MonarchTile(k, shape.constants, from: stack, valid: valid, halves: [task[2]])
        let sign = Index(1) - Index(2) * task[2]
        let sums = outputs.map { _ in
          k.filled(0, rows: side, columns: width, validRows: valid, validColumns: Index(width))
        }
        let first = task[1] * share
        k.pipeline(
          steps: (batch - first).min(share), stages: inputs.count > 2 ? 1 : 2,
          load: { step in
            inputs.map {
              k.load($0, at: [first + step, row, 0], rows: side, columns: side, validRows: valid)
            }
          },
          compute: { step, tiles in
            func spectrum(_ number: Int) -> MonarchTile.Pair {
              func spectrum(_ turned: MonarchTile.Pair) -> MonarchTile.Pair {
                tile.pair(tile.spectrum(turned, sign: sign, tile.columns[0]))
              }
              guard shape.isComplex || shape.isGated else { return spectrum(tile.turned(tiles[number])) }
              let (a, b) = (tiles[2 * number], tiles[2 * number + 1])
              return spectrum(
                shape.isComplex
                  ? tile.turned(MonarchTile.Pair(re: a, im: b))
                  : tile.turned(k.cast(k.map(.multiply, a, b), to: shape.type)))
            }
            let u = spectrum(0)
            let term = tile.product(spectrum(1), u, conjugated: true)
            k.assign(sums[0], k.map(.add, sums[0], term.re))
            k.assign(sums[1], k.map(.add, sums[1], term.im))
          })
        for (sum, output) in zip(sums, outputs) {
          k.store(sum, to: output, at: [task[1], row, 0, task[2]], rowAxis: 1, columnAxis: 2)
        }
      }
    }
  }
}
