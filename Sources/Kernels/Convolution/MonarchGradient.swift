package import Memory
package import Tiles

/// Gradients of spectra: Σ over the batch of T(g) · conj T(u), in float32.
///
/// A task keeps the sums of 64 rows in registers and visits rows of the batch. Floor: 4 bytes a point (8 with gates) over the
/// bandwidth; 8 products of 64 by 64 by 64 a tile (20 where numbers are complex, in two tasks) over the rate of the matrix units.
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
    /// Whether sequences are shorter than transforms, and their rows folded.
    package var isFolded = false

    /// How sequences lie in rows of tiles, if they are folded.
    package var fold: SequenceFold? {
      isFolded ? SequenceFold(rows: constants.radix, step: MonarchConstants.side) : nil
    }

    /// Sums for a convolution without gates.
    package init(
      _ constants: MonarchConstants, type: ElementType, isComplex: Bool = false, isGated: Bool = false
    ) {
      (self.constants, self.type, self.isComplex, self.isGated) = (constants, type, isComplex, isGated)
    }

    /// Halves of the frequencies in one task. Sums of whole complex tiles and what leads to them would not fit the registers.
    var halvesAtOnce: Int { isComplex ? 1 : 2 }

    var variant: String {
      "\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")"
        + "\(isGated ? "_gated" : "")\(isWhole ? "" : "_ragged")\(isFolded ? "_folded" : "")_\(type.rawValue)"
    }
  }

  /// Arguments: the matrices of ``MonarchFused/constants(_:)``, u and g (re and im each, where complex; each with its gate,
  /// where gated) `[B, R, 64]`, of folded sequences `[B, H, L]`, then sums re and im float32 `[P, R, 2, 32]`, where P is the batch over the integer: how many
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
      let extents = MonarchTile.extents(k, batch, rows, isFolded: shape.isFolded)
      let inputs = names.map { k.input($0, shape.type, extents) }
      let width = MonarchTile.width
      let outputs = ["sums_re", "sums_im"].map { k.output($0, .float32, [parts, rows, 2, Index(width)]) }
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: shape.isComplex ? 1 : 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      // Else gates leave too few registers.
      schedule.settlesFactors = shape.isGated
      let halves = shape.halvesAtOnce
      k.grid([rows.ceilDiv(Index(side)), parts, Index(2 / halves)], schedule: schedule) { task in
        let row = task[0] * Index(side)
        let valid = shape.isWhole ? Index(side) : (rows - row).min(Index(side))
        let own = (0..<halves).map { task[2] * Index(halves) + Index($0) }
        let tile = MonarchTile(k, from: stack, valid: valid, halves: own)
        let sums = own.map { _ in
          outputs.map { _ in
            k.filled(0, rows: side, columns: width, validRows: valid, validColumns: Index(width))
          }
        }
        let first = task[1] * share
        k.pipeline(
          steps: (batch - first).min(share), stages: inputs.count > 2 ? 1 : 2,
          load: { step in
            inputs.map {
              k.load(
                $0, at: [first + step, row, 0], rows: side, columns: side, validRows: valid, fold: shape.fold)
            }
          },
          compute: { step, tiles in
            func turned(_ number: Int) -> MonarchTile.Pair {
              guard shape.isComplex || shape.isGated else { return tile.turned(tiles[number]) }
              let (a, b) = (tiles[2 * number], tiles[2 * number + 1])
              return shape.isComplex
                ? tile.turned(MonarchTile.Pair(re: a, im: b))
                : tile.turned(MonarchTile.gated(a, b, k))
            }
            func spectra(_ number: Int) -> [MonarchTile.Pair] {
              let turned = turned(number)
              return own.indices.map { half in
                halves == 2
                  ? tile.spectrum(turned, half: half)
                  : tile.spectrum(turned, sign: Index(1) - Index(2) * task[2], tile.columns[0])
              }.map(tile.pair)
            }
            // Both halves of one factor find room in 16 bits.
            let u = halves == 2 ? spectra(0).map(tile.factor) : spectra(0)
            for (sums, (g, u)) in zip(sums, zip(spectra(1), u)) {
              let term = tile.product(g, u, conjugated: true)
              k.assign(sums[0], k.map(.add, sums[0], term.re))
              k.assign(sums[1], k.map(.add, sums[1], term.im))
            }
          })
        for (half, sums) in zip(own, sums) {
          for (sum, output) in zip(sums, outputs) {
            k.store(sum, to: output, at: [task[1], row, half, 0], rowAxis: 1, columnAxis: 3)
          }
        }
      }
    }
  }
}
