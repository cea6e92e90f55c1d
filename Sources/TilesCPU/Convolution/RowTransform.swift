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

  /// A buffer of the row's owner.
  func buffer(_ name: ConvolutionScratch.Buffer) -> UnsafeMutablePointer<Float> {
    unsafe scratch[crew.owner].row(name)
  }

  /// The owner's linear convolution.
  var linear: UnsafeMutablePointer<Float> { unsafe scratch[crew.owner].linear }

  /// Columns in one load: two tiles, which share cache lines, where rows of the matrix lie so far apart that the lines would be gone before
  /// the second.
  private var columnsAtOnce: Int { rows * width * 4 > 262_144 ? 16 : 8 }

  /// Transforms columns, and turns the result to rows.
  func enter(
    _ real: gw_signal, _ imaginary: gw_signal? = nil, isFilter: Bool = false,
    into row: UnsafeMutablePointer<Float>
  ) {
    let phase = unsafe isFilter ? tables.scaledPhase.base : tables.phase?.base
    let order = unsafe tables.endsInGroups ? nil : tables.order.base
    let mode = tables.endsInGroups ? GW_OPEN_SPECTRUM : GW_SPECTRUM
    unsafe eachStrip { column, count, lines in
      var real = unsafe real
      if var imaginary = unsafe imaginary {
        unsafe routines.loadColumns(&real, &imaginary, rows, width, column, count, phase, lines)
      } else {
        unsafe routines.loadColumns(&real, nil, rows, width, column, count, phase, lines)
      }
      for first in stride(from: 0, to: count, by: 8) {
        let tile = unsafe lines + first / 8 * rows * GW_LINE
        unsafe routines.transform(tables.columns, mode, tile)
        unsafe routines.spread(
          order, tables.rowCount, tile, lanes(at: column + first), factors(at: column + first), row,
          groupStride,
          column + first, min(8, count - first))
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
    let order = unsafe tables.endsInGroups ? nil : tables.order.base
    let mode = tables.endsInGroups ? GW_OPEN_INVERSE : GW_INVERSE
    unsafe eachStrip { column, count, lines in
      for first in stride(from: 0, to: count, by: 8) {
        let tile = unsafe lines + first / 8 * rows * GW_LINE
        if tables.rowCount < rows { unsafe tile.update(repeating: 0, count: rows * GW_LINE) }
        unsafe routines.gather(
          order, tables.rowCount, tile, lanes(at: column + first), factors(at: column + first), row,
          groupStride,
          column + first, min(8, count - first))
        unsafe routines.transform(tables.columns, mode, tile)
      }
      var real = unsafe real
      if var imaginary = unsafe imaginary {
        unsafe routines.storeColumns(&real, &imaginary, rows, width, column, count, phase, lines)
      } else {
        unsafe routines.storeColumns(&real, nil, rows, width, column, count, phase, lines)
      }
    }
  }

  /// Deals strips of columns out among the crew.
  private func eachStrip(_ body: (_ column: Int, _ count: Int, _ lines: UnsafeMutablePointer<Float>) -> Void)
  {
    let step = columnsAtOnce
    // Pieces of 16 columns, so that no two threads write to one cache line.
    crew.each((width + 15) / 16) { pieces, thread in
      let lines = unsafe scratch[thread].columns
      for column in stride(from: pieces.lowerBound * 16, to: min(pieces.upperBound * 16, width), by: step) {
        unsafe body(column, min(step, width - column), lines)
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

  private func lanes(at column: Int) -> UnsafePointer<Float> {
    unsafe tables.lanes.base + column / 8 * tables.lanesPerTile
  }

  private func factors(at column: Int) -> UnsafePointer<Float>? {
    unsafe tables.tile.map { unsafe $0.base + column / 8 * rows * 2 }
  }
}
