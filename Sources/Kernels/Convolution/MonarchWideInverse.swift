internal import Memory
package import Tiles

/// Gradients of filters of 8,192 points from sums of products of spectra in one pass: ``MonarchWideSpectrum`` back, as precise.
///
/// Floor: 8 bytes a point for each part of the sums and 4 for the result over the bandwidth, and 36 products of 64 by 64 by 64 a channel.
package enum MonarchWideInverse {
  private static let side = MonarchConstants.side
  private static let height = MonarchWide.height
  private static let width = MonarchTile.width
  private typealias Pair = MonarchTile.Pair

  /// Arguments: ``MonarchWideSpectrum/constants()``, sums re and im float32 `[P, H · 128, 2, 32]` as ``MonarchWideGradient`` leaves
  /// them, of which P parts are added up, result float32 `[H · 128, 64]`. Integer: how many channels a task visits.
  ///
  /// - Parameters:
  ///   - isCircular: as ``MonarchSpectrum/Shape/isCircular``.
  ///   - ofLater: as for ``MonarchSpectrum/inverse(_:ofLater:)``.
  package static func kernel(isCircular: Bool, ofLater: Bool = false) throws(TileError) -> Kernel {
    try Kernel("monarch_wide_inverse\(isCircular ? "_circular" : "")\(ofLater ? "_later" : "")") { k in
      let (rows, parts, share) = (k.extent("R"), k.extent("P"), k.argument("share"))
      let parameters = MonarchWideSpectrum.parameters(k)
      let inputs = ["re", "im"].map { k.input("sums_\($0)", .float32, [parts, rows, 2, Index(width)]) }
      let output = k.output("gradient", .float32, [rows, Index(side)])
      var schedule = Kernel.Schedule(groups: 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      schedule.reusesStages = true
      let channels = rows / Index(height)
      k.grid([channels.ceilDiv(share)], schedule: schedule) { task in
        let (rowMatrices, columnMatrices) = MonarchWideSpectrum.matrices(k, parameters)
        let first = task[0] * share
        k.loop((channels - first).min(share)) { step in
          let row = (first + step) * Index(height)
          let backs = (0..<2).map { half in
            let total = self.total(k, inputs, parts, row: row, half: half, isCircular, ofLater)
            return MonarchSplit.product(
              MonarchSplit(total, k), columnMatrices[half], k, transposesRight: true)
          }
          let t = MonarchWideSpectrum.twiddles(k, parameters)
          let turned = MonarchTile.product(joined(backs, k), t, k, conjugated: true)
          // One part after the other: both factors lie in one place.
          let sum = MonarchSplit.product(
            rowMatrices[0], MonarchSplit(turned.re, k), k, transposesLeft: true)
          MonarchSplit.add(rowMatrices[1], MonarchSplit(turned.im, k), to: sum, k, transposesLeft: true)
          // Three transforms were scaled by 1/128, which is to be 1/8,192.
          k.store(k.map(.multiply, sum, Double(2 * height)), to: output, at: [row, 0])
        }
      }
    }
  }

  /// The sum of all parts for a half of the frequencies.
  private static func total(
    _ k: Recorder, _ inputs: [TensorParameter], _ parts: Index, row: Index, half: Int, _ isCircular: Bool,
    _ ofLater: Bool
  ) -> MonarchTile.Pair {
    func load(_ input: TensorParameter, _ part: Index) -> Tile {
      k.load(
        input, at: [part, row, Index(half), 0], rows: height, columns: width, rowAxis: 1, columnAxis: 3,
        validRows: Index(height), validColumns: Index(width))
    }
    let totals = inputs.map { k.cast(load($0, 0), to: .float32) }
    k.loop(parts - 1) { part in
      for (input, total) in zip(inputs, totals) {
        k.assign(total, k.map(.add, total, load(input, part + 1)))
      }
    }
    if ofLater { k.assign(totals[1], k.map(.negate, totals[1])) }
    guard isCircular else { return Pair(re: totals[0], im: totals[1]) }
    return Pair(re: k.map(.subtract, totals[0], totals[1]), im: k.map(.add, totals[0], totals[1]))
  }

  /// Columns from what came back of even and odd frequencies: sums and differences.
  private static func joined(_ halves: [Tile], _ k: Recorder) -> MonarchTile.Pair {
    let parts = [0, width].map { first in
      let own = halves.map { k.columns(of: $0, from: first, count: width) }
      return k.beside(k.map(.add, own[0], own[1]), k.map(.subtract, own[0], own[1]))
    }
    return Pair(re: parts[0], im: parts[1])
  }
}
