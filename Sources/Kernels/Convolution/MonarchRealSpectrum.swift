package import Memory
package import Tiles

/// Spectra of real filters of up to 4,096 points that fill tiles, nearly as precise as float32: factors are sums of two bfloat16 numbers.
///
/// Columns' first two steps are made in registers, as in ``MonarchTile``. A task keeps the matrices and visits tiles of 64 rows, of
/// which the next is read while one is transformed. Floor: 12 bytes a point over the bandwidth, and 9 products of 64 by 64 by 64 a tile.
package enum MonarchRealSpectrum {
  private static let side = MonarchConstants.side
  private typealias Pair = MonarchTile.Pair

  /// Matrices of rows, re and im, and quarters of the columns, each as two.
  package static func parts(_ constants: MonarchConstants) -> [[Double]] {
    let rows = constants.rows
    return [rows.re, rows.im, MonarchConstants.quarters].flatMap(MonarchStack.split)
  }

  /// ``parts(_:)`` `[6, 64, 64]`, and twiddles `[2, 64, 64]` in float32.
  package static func constants(_ constants: MonarchConstants) throws -> [Tensor] {
    let twiddles = constants.twiddles
    return [
      try MonarchStack.tensor(parts(constants), rows: side, columns: side, .bfloat16),
      try MonarchStack.tensor([twiddles.re, twiddles.im], rows: side, columns: side, .float32),
    ]
  }

  /// Arguments: ``constants(_:)``, filters float32 `[R, 64]`, results re and im float32 `[R, 4, 16]`, R a multiple of 64. Integer: how many
  /// tiles a task visits.
  package static func kernel(_ shape: MonarchSpectrum.Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_real_spectrum_\(shape.variant)") { k in
      let (rows, share) = (k.extent("R"), k.argument("share"))
      let stack = k.input("constants", .bfloat16, [6, Index(side), Index(side)])
      let table = k.input("twiddles", .float32, [2, Index(side), Index(side)])
      let input = k.input("filter", .float32, [rows, Index(side)])
      let outputs = ["re", "im"].map { k.output("spectrum_\($0)", .float32, [rows, 4, Index(side / 4)]) }
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      let tiles = rows / Index(side)
      k.grid([tiles.ceilDiv(share)], schedule: schedule) { task in
        func tile(_ tensor: TensorParameter, _ at: [Index]) -> Tile {
          k.load(
            tensor, at: at, rows: side, columns: side, validRows: Index(side), validColumns: Index(side))
        }
        let rowMatrices = (0..<2).map { part in
          MonarchSplit(
            high: tile(stack, [Index(2 * part), 0, 0]), low: tile(stack, [Index(2 * part + 1), 0, 0]))
        }
        let quarters = (0..<4).map { number in
          MonarchSplit(
            high: MonarchTile.quarter(number, k, stack, 4), low: MonarchTile.quarter(number, k, stack, 5))
        }
        let first = task[0] * share
        let x = k.cast(tile(input, [first * Index(side), 0]), to: .float32)
        k.loop((tiles - first).min(share)) { step in
          let factor = MonarchSplit(x, k)
          // The next one, or the last again.
          let next = (first + step + 1).min(tiles - 1)
          k.assign(x, tile(input, [next * Index(side), 0]))
          let sums = rowMatrices.map { MonarchSplit.product($0, factor, k) }
          // Read only where they are used, since registers are scarce.
          let twiddles = Pair(re: tile(table, [0, 0, 0]), im: tile(table, [1, 0, 0]))
          let turned = MonarchTile.product(Pair(re: sums[0], im: sums[1]), twiddles, k)
          let factors = MonarchTile.quarters(turned, k) { k.map($0, $1, $2) }
          for (number, part) in factors.enumerated() {
            let spectrum = MonarchSplit.product(MonarchSplit(part, k), quarters[number], k)
            MonarchSpectrum.store(
              spectrum, part: number, isCircular: shape.isCircular, scale: shape.scale, to: outputs,
              row: (first + step) * Index(side), k)
          }
        }
      }
    }
  }
}
