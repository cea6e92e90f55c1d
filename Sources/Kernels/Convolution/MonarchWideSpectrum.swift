package import Memory
package import Tiles

/// Spectra of filters of 8,192 points in one pass, nearly as precise as float32: factors are sums of two bfloat16 numbers.
///
/// A tile of 128 rows is one channel and two groups share it; the columns' first step is made in registers, as in
/// ``MonarchTile``. A task keeps the matrices and visits channels, of which the next is read while one is transformed. Floor: 12
/// bytes a point over the bandwidth, and 36 products of 64 by 64 by 64 a channel.
package enum MonarchWideSpectrum {
  private static let side = MonarchConstants.side
  private static let height = MonarchWide.height
  private static let width = MonarchTile.width
  private typealias Pair = MonarchTile.Pair

  /// What the kernel takes first, as numbers: matrices of rows and of both halves of the columns, each as two, and twiddles.
  package static var parts: (rows: [[Double]], columns: [[Double]], twiddles: [[Double]]) {
    let (rows, twiddles) = (MonarchWide.rowMatrix, MonarchWide.twiddleMatrix)
    return (
      [rows.re, rows.im].flatMap(MonarchStack.split),
      MonarchConstants.halves.flatMap(MonarchStack.split), [twiddles.re, twiddles.im]
    )
  }

  /// ``parts`` as tensors `[4, 128, 128]`, `[4, 64, 64]` and, in float32, `[2, 128, 64]`.
  package static func constants() throws -> [Tensor] {
    let parts = parts
    return [
      try MonarchStack.tensor(parts.rows, rows: height, columns: height, .bfloat16),
      try MonarchStack.tensor(parts.columns, rows: side, columns: side, .bfloat16),
      try MonarchStack.tensor(parts.twiddles, rows: height, columns: side, .float32),
    ]
  }

  /// Arguments: ``constants()``, filters float32 `[H · 128, 64]`, results re and im float32 `[H · 128, 2, 32]`, as
  /// ``MonarchWide`` takes them, and, as `[H · 64, 4, 32]`, ``MonarchBroad``: of each row the even and then the odd frequencies. Integer: how many channels a task visits.
  ///
  /// - Parameter isCircular: as ``MonarchSpectrum/Shape/isCircular``.
  package static func kernel(isCircular: Bool) throws(TileError) -> Kernel {
    try Kernel("monarch_wide_spectrum\(isCircular ? "_circular" : "")") { k in
      let (rows, share) = (k.extent("R"), k.argument("share"))
      let parameters = parameters(k)
      let input = k.input("filter", .float32, [rows, Index(side)])
      let outputs = ["re", "im"].map { k.output("spectrum_\($0)", .float32, [rows, 2, Index(width)]) }
      var schedule = Kernel.Schedule(groups: 2)
      schedule.bringsOperands = true
      schedule.recomputesAddresses = true
      let channels = rows / Index(height)
      k.grid([channels.ceilDiv(share)], schedule: schedule) { task in
        let (rowMatrices, columnMatrices) = matrices(k, parameters)
        let first = task[0] * share
        let x = k.cast(tile(k, input, [first * Index(height), 0]), to: .float32)
        k.loop((channels - first).min(share)) { step in
          let factor = MonarchSplit(x, k)
          // The next one, or the last again.
          let next = (first + step + 1).min(channels - 1)
          k.assign(x, tile(k, input, [next * Index(height), 0]))
          let sums = rowMatrices.map { MonarchSplit.product($0, factor, k) }
          let turned = MonarchTile.product(Pair(re: sums[0], im: sums[1]), twiddles(k, parameters), k)
          for half in 0..<2 {
            let spectrum = MonarchSplit.product(folded(turned, half, k), columnMatrices[half], k)
            // Matrices scaled by 1/128; what kernels take is twice the transform, since two rotations by 1/128 are half of 1/S.
            MonarchSpectrum.store(
              spectrum, part: half, isCircular: isCircular, scale: Double(2 * height), to: outputs,
              row: (first + step) * Index(height), k)
          }
        }
      }
    }
  }

  /// The parameters for ``constants()``.
  static func parameters(_ k: Recorder) -> [TensorParameter] {
    [("rows", height), ("columns", side)].map { k.input($0, .bfloat16, [4, Index($1), Index($1)]) }
      + [k.input("twiddles", .float32, [2, Index(height), Index(side)])]
  }

  /// Matrices of rows re and im, and of both halves of the columns.
  static func matrices(
    _ k: Recorder, _ parameters: [TensorParameter]
  ) -> (rows: [MonarchSplit], columns: [MonarchSplit]) {
    func load(_ stack: Int, _ part: Int) -> MonarchSplit {
      let size = stack == 0 ? height : side
      let parts = (0..<2).map {
        k.load(
          parameters[stack], at: [Index(2 * part + $0), 0, 0], rows: size, columns: size,
          validRows: Index(size), validColumns: Index(size))
      }
      return MonarchSplit(high: parts[0], low: parts[1])
    }
    return ([0, 1].map { load(0, $0) }, [0, 1].map { load(1, $0) })
  }

  /// Twiddles, read only where they are used, since registers are scarce.
  static func twiddles(_ k: Recorder, _ parameters: [TensorParameter]) -> MonarchTile.Pair {
    let parts = (0..<2).map { tile(k, parameters[2], [Index($0), 0, 0]) }
    return Pair(re: parts[0], im: parts[1])
  }

  private static func tile(_ k: Recorder, _ tensor: TensorParameter, _ at: [Index]) -> Tile {
    k.load(tensor, at: at, rows: height, columns: side, validRows: Index(height), validColumns: Index(side))
  }

  /// Sums or differences of columns that are 32 apart, re beside im.
  private static func folded(_ x: Pair, _ half: Int, _ k: Recorder) -> MonarchSplit {
    let parts = [x.re, x.im].map { part in
      let columns = [0, width].map { k.columns(of: part, from: $0, count: width) }
      return k.map(half == 0 ? .add : .subtract, columns[0], columns[1])
    }
    return MonarchSplit(Pair(re: parts[0], im: parts[1]), k)
  }
}
