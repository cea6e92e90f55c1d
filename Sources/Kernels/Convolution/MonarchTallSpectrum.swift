package import Memory
package import Tiles

/// Spectra of filters of 16,384 points in one pass, as ``MonarchBroad`` takes them and as precise as ``MonarchWideSpectrum``'s.
///
/// A tile of 128 rows and 128 columns is one channel and two groups share it; columns halve twice in registers, as in
/// ``MonarchQuarters``. A task has two quarters, since sums for all would take more registers than there are; both make all products of
/// rows. Floor: 16 bytes a point over the bandwidth, and 120 products of 64 by 64 by 64 a channel.
package enum MonarchTallSpectrum {
  private static let side = MonarchConstants.side
  private static let height = 2 * side
  private static let width = MonarchTile.width
  private typealias Pair = MonarchTile.Pair

  /// What the kernel takes first, as numbers: matrices of rows and of both halves of 64 columns, each as two, twiddles and turns.
  package static var parts: (rows: [[Double]], columns: [[Double]], factors: [[Double]]) {
    let rows = MonarchQuarters.rows(height: height)
    let (twiddles, turns) = (MonarchQuarters.twiddles(height: height), MonarchQuarters.turns(height: height))
    return (
      [rows.re, rows.im].flatMap(MonarchStack.split),
      [0, 1].map(MonarchConstants.columns(half:)).flatMap(MonarchStack.split),
      [twiddles.re + twiddles.im, turns.re + turns.im + turns.im + turns.re.map { -$0 }]
    )
  }

  /// ``parts`` as tensors `[4, 128, 128]`, `[4, 64, 64]` and, in float32, `[2, 128, 64]` and `[12, 128]`, of which the second half is
  /// times −i.
  package static func constants() throws -> [Tensor] {
    let parts = parts
    let size = height * side
    let twiddles = [0, 1].map { Array(parts.factors[0][$0 * size..<($0 + 1) * size]) }
    return [
      try MonarchStack.tensor(parts.rows, rows: height, columns: height, .bfloat16),
      try MonarchStack.tensor(parts.columns, rows: side, columns: side, .bfloat16),
      try MonarchStack.tensor(twiddles, rows: height, columns: side, .float32),
      try MonarchStack.tensor([parts.factors[1]], rows: 12, columns: height, .float32).reshaped([12, height]),
    ]
  }

  /// Arguments: ``constants()``, filters float32 `[H · 128, 128]`, results re and im float32 `[H · 128, 4, 32]`. Integer: how many
  /// channels a task visits.
  ///
  /// - Parameter isCircular: as ``MonarchSpectrum/Shape/isCircular``.
  package static func kernel(isCircular: Bool) throws(TileError) -> Kernel {
    try Kernel("monarch_tall_spectrum\(isCircular ? "_circular" : "")") { k in
      let (rows, share) = (k.extent("R"), k.argument("share"))
      let matrices = [("rows", height), ("columns", side)].map {
        k.input($0, .bfloat16, [4, Index($1), Index($1)])
      }
      let twiddles = k.input("twiddles", .float32, [2, Index(height), Index(side)])
      let turns = k.input("turns", .float32, [12, Index(height)])
      let input = k.input("filter", .float32, [rows, Index(MonarchQuarters.columns)])
      let outputs = ["re", "im"].map { k.output("spectrum_\($0)", .float32, [rows, 4, Index(width)]) }
      var schedule = Kernel.Schedule(groups: 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      schedule.reusesStages = true
      schedule.settlesFactors = true
      let channels = rows / Index(height)
      k.grid([channels.ceilDiv(share), 2], schedule: schedule) { task in
        func load(_ stack: Int, _ part: Int, _ size: Int) -> MonarchSplit {
          let parts = (0..<2).map {
            k.load(
              matrices[stack], at: [Index(2 * part + $0), 0, 0], rows: size, columns: size,
              validRows: Index(size), validColumns: Index(size))
          }
          return MonarchSplit(high: parts[0], low: parts[1])
        }
        func pair(_ tensor: TensorParameter, columns: Int, at: (Int) -> [Index]) -> Pair {
          let parts = (0..<2).map {
            k.load(
              tensor, at: at($0), rows: height, columns: columns, rowAxis: 1, columnAxis: columns > 1 ? 2 : nil,
              validRows: Index(height), validColumns: Index(columns))
          }
          return Pair(re: parts[0], im: parts[1])
        }
        let (rowMatrices, columnMatrices) = ([0, 1].map { load(0, $0, height) }, [0, 1].map { load(1, $0, side) })
        // Odd columns are differences, and theirs are by −i.
        let (parity, sign) = (task[1], Index(1) - Index(2) * task[1])
        let near = pair(turns, columns: 1) { [Index(3 * $0) + Index(6) * parity, 0] }
        let far = pair(turns, columns: 1) { [Index(1 + 3 * $0), 0] }
        func combined(_ a: Pair, _ b: Pair) -> Pair {
          Pair(re: k.map(.fma, b.re, sign, a.re), im: k.map(.fma, b.im, sign, a.im))
        }
        let first = task[0] * share
        k.loop((channels - first).min(share)) { step in
          let row = (first + step) * Index(height)
          let x = [0, side].flatMap { column in
            let half = k.load(
              input, at: [row, Index(column)], rows: height, columns: side, validRows: Index(height),
              validColumns: Index(side))
            let factor = MonarchSplit(half, k)
            return columns(rowMatrices.map { MonarchSplit.product($0, factor, k) }, k)
          }
          let even = combined(x[0], MonarchTile.product(x[2], far, k))
          let odd = MonarchTile.product(combined(x[1], MonarchTile.product(x[3], far, k)), near, k)
          let halves = MonarchButterflies(k: k, turns: []).halves(even, odd)
          for (half, sums) in halves.enumerated() {
            let t = pair(twiddles, columns: width) { [Index($0), 0, parity * Index(width)] }
            let factor = MonarchSplit(MonarchTile.product(sums, t, k), k)
            let spectrum = MonarchSplit.product(factor, columnMatrices[half], k)
            store(spectrum, Index(half) + Index(2) * parity, isCircular, to: outputs, row: row, k)
          }
        }
      }
    }
  }

  /// Columns that are 32 apart.
  private static func columns(_ sums: [Tile], _ k: Recorder) -> [Pair] {
    [0, width].map { first in
      let parts = sums.map { k.columns(of: $0, from: first, count: width) }
      return Pair(re: parts[0], im: parts[1])
    }
  }

  private static func store(
    _ spectrum: Tile, _ quarter: Index, _ isCircular: Bool, to outputs: [TensorParameter], row: Index,
    _ k: Recorder
  ) {
    var parts = [0, width].map { k.columns(of: spectrum, from: $0, count: width) }
    if isCircular { parts = [k.map(.add, parts[0], parts[1]), k.map(.subtract, parts[1], parts[0])] }
    // Matrices scale by 1/128.
    let scale = Double(height) * MonarchQuarters.spectrumScale(height: height)
    for (part, output) in zip(parts, outputs) {
      k.store(
        k.map(.multiply, part, scale), to: output, at: [row, quarter, 0], rowAxis: 0, columnAxis: 2)
    }
  }
}
