internal import CMicrokernels
internal import Fourier

/// The steps of a convolution of one row, dealt out among a crew.
struct RowTransform {
  let plan: ConvolutionPlan
  let tables: ConvolutionTables
  let routines: TransformRoutines
  let scratch: [ConvolutionScratch]
  let crew: Crew

  private var rows: Int { plan.columns.length }
  private var width: Int { plan.rows.length }
  private var groupStride: Int { width * GW_LINE }
  private var tiles: Int { (width + 7) / 8 }
  /// Tiles side by side share cache lines, so they are taken in pairs.
  private var pairs: Int { (tiles + 1) / 2 }

  /// A buffer of the row's owner.
  func buffer(_ name: ConvolutionScratch.Buffer) -> UnsafeMutablePointer<Float> {
    unsafe scratch[crew.owner].row(name)
  }

  /// The owner's linear convolution.
  var linear: UnsafeMutablePointer<Float> { unsafe scratch[crew.owner].linear }

  /// Transforms columns, and turns the result to rows.
  func enter(
    _ real: gw_signal, _ imaginary: gw_signal? = nil, isFilter: Bool = false,
    into row: UnsafeMutablePointer<Float>
  ) {
    let phase = unsafe isFilter ? tables.scaledPhase.base : tables.phase?.base
    crew.each(pairs) { pieces, thread in
      let lines = unsafe scratch[thread].columns
      for tile in pieces.lowerBound * 2..<min(pieces.upperBound * 2, tiles) {
        let count = min(8, width - tile * 8)
        var real = unsafe real
        if var imaginary = unsafe imaginary {
          unsafe routines.loadColumns(&real, &imaginary, rows, width, tile * 8, count, phase, lines)
        } else {
          unsafe routines.loadColumns(&real, nil, rows, width, tile * 8, count, phase, lines)
        }
        unsafe routines.transform(tables.columns, GW_SPECTRUM, lines)
        unsafe routines.spread(
          tables.order.base, tables.rowCount, lines, tables.lanes.base + tile * tables.lanesPerTile,
          factors(of: tile), row, groupStride, tile * 8, count)
      }
    }
  }

  /// Transforms rows, with what `mode` does in between.
  func pass(
    _ mode: gw_transform_mode, _ row: UnsafeMutablePointer<Float>, k: UnsafePointer<Float>? = nil,
    u: UnsafePointer<Float>? = nil, dk: UnsafeMutablePointer<Float>? = nil
  ) {
    crew.each(tables.groups) { groups, _ in
      for group in groups {
        let offset = group * groupStride
        let transform = unsafe tables.maskedRows.isEmpty ? tables.rows : tables.maskedRows[group]
        unsafe routines.transform(
          transform, mode, row + offset, k: k.map { unsafe $0 + offset }, u: u.map { unsafe $0 + offset },
          dk: dk.map { unsafe $0 + offset })
      }
    }
  }

  /// Turns rows back to columns, and writes their inverse transforms.
  func leave(
    _ real: gw_result, _ imaginary: gw_result? = nil, isFilter: Bool = false, from row: UnsafePointer<Float>
  ) {
    let phase = unsafe isFilter ? tables.scaledPhase.base : tables.phase?.base
    crew.each(pairs) { pieces, thread in
      let lines = unsafe scratch[thread].columns
      for tile in pieces.lowerBound * 2..<min(pieces.upperBound * 2, tiles) {
        let count = min(8, width - tile * 8)
        if tables.rowCount < rows { unsafe lines.update(repeating: 0, count: rows * GW_LINE) }
        unsafe routines.gather(
          tables.order.base, tables.rowCount, lines, tables.lanes.base + tile * tables.lanesPerTile,
          factors(of: tile), row, groupStride, tile * 8, count)
        unsafe routines.transform(tables.columns, GW_INVERSE, lines)
        var real = unsafe real
        if var imaginary = unsafe imaginary {
          unsafe routines.storeColumns(&real, &imaginary, rows, width, tile * 8, count, phase, lines)
        } else {
          unsafe routines.storeColumns(&real, nil, rows, width, tile * 8, count, phase, lines)
        }
      }
    }
  }

  /// Zeros the frequencies that a mask drops from a filter's spectrum.
  func mask(_ spectrum: UnsafeMutablePointer<Float>) {
    guard let dropped = tables.dropped else { return }
    let line = GW_LINE
    for (number, isDropped) in dropped.enumerated() where isDropped {
      unsafe spectrum[number / 8 * line + number % 8] = 0
      unsafe spectrum[number / 8 * line + number % 8 + 8] = 0
    }
  }

  private func factors(of tile: Int) -> UnsafePointer<Float>? {
    unsafe tables.tile.map { unsafe $0.base + tile * rows * 2 }
  }
}
