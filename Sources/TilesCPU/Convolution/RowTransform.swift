internal import CMicrokernels
internal import Fourier

/// The steps of a convolution of one row, dealt out among a crew.
///
/// A short row takes less than a microsecond in the routines: what they are called with is looked up once, for all rows of a thread.
@safe final class RowTransform {
  let crew: Crew
  private let tables: ConvolutionTables
  private let routines: TransformRoutines
  private let scratch: [ConvolutionScratch]
  private let own: ConvolutionScratch
  private let rows: Int
  private let width: Int
  private let groupStride: Int
  /// Columns in one load: two tiles, which share cache lines, where rows of the matrix lie so far apart that the lines would be gone
  /// before the second.
  private let columnsAtOnce: Int
  private let phase: UnsafePointer<Float>?
  private let scaledPhase: UnsafePointer<Float>
  private let order: UnsafePointer<Int32>?
  private let orderCount: Int
  private let groups: Int
  private let lanes: UnsafePointer<Float>
  private let lanesPerTile: Int
  private let factors: UnsafePointer<Float>?
  private let columnTransform: UnsafeMutablePointer<gw_transform>
  private let rowTransform: UnsafeMutablePointer<gw_transform>
  private let forward: gw_transform_mode
  private let inverse: gw_transform_mode

  init(
    _ plan: ConvolutionPlan, _ tables: ConvolutionTables, _ routines: TransformRoutines,
    scratch: [ConvolutionScratch], crew: Crew
  ) {
    self.crew = crew
    self.tables = tables
    self.routines = routines
    self.scratch = scratch
    own = scratch[crew.owner]
    rows = plan.columns.length
    width = plan.rows.length
    groupStride = width * GW_LINE
    columnsAtOnce = rows * width * 4 > 262_144 ? 16 : 8
    unsafe phase = unsafe tables.phase?.base
    unsafe scaledPhase = unsafe tables.scaledPhase.base
    unsafe order = unsafe tables.endsInGroups ? nil : tables.order.base
    orderCount = tables.rowCount
    groups = tables.groups
    unsafe lanes = unsafe tables.lanes.base
    lanesPerTile = tables.lanesPerTile
    unsafe factors = unsafe tables.tile?.base
    unsafe columnTransform = unsafe tables.columns
    unsafe rowTransform = unsafe tables.rows
    forward = tables.endsInGroups ? GW_OPEN_SPECTRUM : GW_SPECTRUM
    inverse = tables.endsInGroups ? GW_OPEN_INVERSE : GW_INVERSE
  }

  /// A buffer of the row's owner.
  func buffer(_ name: ConvolutionScratch.Buffer) -> UnsafeMutablePointer<Float> {
    unsafe own.row(name)
  }

  /// The owner's linear convolution.
  var linear: UnsafeMutablePointer<Float> { unsafe own.linear }

  /// Transforms columns, and turns the result to rows.
  func enter(
    _ real: gw_signal, _ imaginary: gw_signal? = nil, isFilter: Bool = false,
    into row: UnsafeMutablePointer<Float>
  ) {
    let phase = unsafe isFilter ? scaledPhase : phase
    unsafe eachStrip { column, count, lines in
      var real = unsafe real
      if var imaginary = unsafe imaginary {
        unsafe routines.loadColumns(&real, &imaginary, rows, width, column, count, phase, lines)
      } else {
        unsafe routines.loadColumns(&real, nil, rows, width, column, count, phase, lines)
      }
      for first in stride(from: 0, to: count, by: 8) {
        let tile = unsafe lines + first / 8 * rows * GW_LINE
        unsafe routines.transform(columnTransform, forward, tile)
        unsafe routines.spread(
          order, orderCount, tile, lanes(at: column + first), factors(at: column + first), row,
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
    crew.each(groups) { range, _ in
      for group in range {
        let offset = group * groupStride
        let transform = unsafe tables.maskedRows.isEmpty ? rowTransform : tables.maskedRows[group]
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
    let phase = unsafe isFilter ? scaledPhase : phase
    unsafe eachStrip { column, count, lines in
      for first in stride(from: 0, to: count, by: 8) {
        let tile = unsafe lines + first / 8 * rows * GW_LINE
        if orderCount < rows { unsafe tile.update(repeating: 0, count: rows * GW_LINE) }
        unsafe routines.gather(
          order, orderCount, tile, lanes(at: column + first), factors(at: column + first), row,
          groupStride,
          column + first, min(8, count - first))
        unsafe routines.transform(columnTransform, inverse, tile)
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
    unsafe lanes + column / 8 * lanesPerTile
  }

  private func factors(at column: Int) -> UnsafePointer<Float>? {
    unsafe factors.map { unsafe $0 + column / 8 * rows * 2 }
  }
}
