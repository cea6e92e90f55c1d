internal import CMicrokernels
internal import Fourier

/// The constants of one plan, computed in float64 and rounded once.
///
/// `@unchecked Sendable`: written while it is made, only read afterwards.
@safe final class ConvolutionTables: @unchecked Sendable {
  /// The transforms of columns and of rows.
  let columns: UnsafeMutablePointer<gw_transform>
  let rows: UnsafeMutablePointer<gw_transform>
  /// The same for rows, group by group, where a mask drops some of them.
  let maskedRows: [UnsafeMutablePointer<gw_transform>]
  /// exp(πi p / 2S₁) for each row p of the matrix, `nil` where rows are paired.
  let phase: FlatArray<Float>?
  /// The phase over S, for filters: products with spectra need no other division.
  let scaledPhase: FlatArray<Float>
  /// Positions of the column transform, in the order in which rows are put in groups of eight.
  let order: FlatArray<Int32>
  /// Factors between columns and rows: a line for each position, for each tile of eight columns where ``tile`` is `nil`.
  let lanes: FlatArray<Float>
  /// What a tile's factors are multiplied by: a pair for each position, for each tile.
  let tile: FlatArray<Float>?
  /// Floats from the factors of one tile to those of the next.
  let lanesPerTile: Int
  /// Frequencies that are dropped by groups that are computed: `true` for each line's lane, or `nil`.
  let dropped: [Bool]?
  private let tables: [FlatArray<Float>]
  private let counts: [FlatArray<Int32>]

  /// Transforms up to this size have all factors in one table; beyond, a product of two small ones costs less than reading it.
  private static let wholeTable = 8192

  init(_ plan: ConvolutionPlan, mask: FrequencyMask?) {
    let (first, second) = (plan.columns, plan.rows)
    let size = plan.size
    let quarters = plan.pairsRows ? 0 : 1
    let frequencies = first.frequencies
    let rowFrequencies = second.frequencies
    func kept(_ position: Int, _ row: Int) -> Bool {
      mask?.contains(plan.frequency(column: frequencies[position], row: rowFrequencies[row])) ?? true
    }
    var order = Array(frequencies.indices)
    if mask != nil {
      order = order.filter { position in rowFrequencies.indices.contains { kept(position, $0) } }
    }
    self.order = FlatArray(order.map(Int32.init))
    endsInGroups = mask == nil && first.list.last == 8

    var (tables, counts): ([FlatArray<Float>], [FlatArray<Int32>]) = ([], [])
    unsafe columns = Self.transform(first, &tables)
    let rows = unsafe Self.transform(second, &tables)
    unsafe self.rows = unsafe rows
    var masked: [UnsafeMutablePointer<gw_transform>] = unsafe []
    var dropped: [Bool]?
    if mask != nil {
      var flags: [Bool] = []
      for group in 0..<(order.count + 7) / 8 {
        let members = order[group * 8..<min(order.count, group * 8 + 8)]
        let lines = rowFrequencies.indices.map { row in members.map { kept($0, row) } }
        for line in lines { flags += line.map { !$0 } + Array(repeating: true, count: 8 - line.count) }
        let last = second.list.last ?? 1
        var total: Int32 = 0
        var sums: [Int32] = [0]
        for block in 0..<second.length / last {
          if lines[block * last..<block * last + last].contains(where: { $0.contains(true) }) { total += 1 }
          sums.append(total)
        }
        let count = FlatArray(sums)
        counts.append(count)
        let transform = UnsafeMutablePointer<gw_transform>.allocate(capacity: 1)
        unsafe transform.initialize(to: rows.pointee)
        unsafe transform.pointee.kept = count.base
        unsafe masked.append(transform)
      }
      dropped = flags
    }
    unsafe maskedRows = masked
    self.dropped = dropped

    phase = quarters == 0 ? nil : FlatArray(Self.phases(first.length, scale: 1))
    scaledPhase = FlatArray(
      quarters == 0
        ? Array(repeating: [Float(1 / Double(size)), 0], count: first.length).flatMap { $0 }
        : Self.phases(first.length, scale: 1 / Double(size)))

    let tiles = (second.length + 7) / 8
    // exp(−2πi (k − quarters/4) n / S)
    func root(_ position: Int, _ n: Int) -> UnitRoot {
      UnitRoot(-(4 * frequencies[position] - quarters) * n, of: 4 * size)
    }
    func line(_ position: Int, _ column: Int) -> [Float] {
      let roots = (0..<8).map { root(position, column + $0) }
      return roots.map { Float($0.cosine) } + roots.map { Float($0.sine) }
    }
    if size <= Self.wholeTable {
      lanes = FlatArray((0..<tiles).flatMap { tile in frequencies.indices.flatMap { line($0, tile * 8) } })
      lanesPerTile = first.length * GW_LINE
      tile = nil
    } else {
      lanes = FlatArray(frequencies.indices.flatMap { line($0, 0) })
      lanesPerTile = 0
      var pairs: [Float] = []
      pairs.reserveCapacity(tiles * first.length * 2)
      for number in 0..<tiles {
        for position in frequencies.indices {
          let factor = root(position, number * 8)
          pairs += [Float(factor.cosine), Float(factor.sine)]
        }
      }
      tile = FlatArray(pairs)
    }
    self.tables = tables
    self.counts = counts
  }

  deinit {
    unsafe columns.deallocate()
    unsafe rows.deallocate()
    for index in unsafe maskedRows.indices { unsafe maskedRows[index].deallocate() }
  }

  /// Whether the last level of the column transform is done where groups of eight rows are formed: each block of it is one.
  let endsInGroups: Bool

  /// Rows of the matrix that are computed.
  var rowCount: Int { order.count }

  /// Groups of them.
  var groups: Int { (rowCount + 7) / 8 }

  private static func phases(_ rows: Int, scale: Double) -> [Float] {
    (0..<rows).flatMap { row in
      let root = UnitRoot(row, of: 4 * rows)
      return [Float(root.cosine * scale), Float(root.sine * scale)]
    }
  }

  private static func transform(
    _ radices: Radices, _ tables: inout [FlatArray<Float>]
  ) -> UnsafeMutablePointer<gw_transform> {
    let list = radices.list.isEmpty ? [1] : radices.list
    let transform = UnsafeMutablePointer<gw_transform>.allocate(capacity: 1)
    unsafe transform.initialize(to: gw_transform())
    unsafe transform.pointee.length = radices.length
    unsafe transform.pointee.levels = list.count
    let twiddles = radices.twiddles.map { FlatArray($0) }
    unsafe withUnsafeMutableBytes(of: &transform.pointee.radix) { bytes in
      for (level, radix) in list.enumerated() {
        unsafe bytes.storeBytes(of: Int32(radix), toByteOffset: 4 * level, as: Int32.self)
      }
    }
    unsafe withUnsafeMutableBytes(of: &transform.pointee.twiddles) { bytes in
      for (level, table) in twiddles.enumerated() {
        unsafe bytes.storeBytes(
          of: table.base, toByteOffset: MemoryLayout<UnsafePointer<Float>>.stride * level,
          as: UnsafePointer<Float>.self)
      }
    }
    tables += twiddles
    return unsafe transform
  }
}
