internal import CMicrokernels
internal import Fourier
internal import Glibc
internal import Memory
internal import Synchronization
internal import Tiles

/// A convolution with its tables and its memory, run on the threads of an executor.
///
/// Channels are dealt out among the threads, so that a filter's spectrum stays in the nearest cache for a whole batch; long rows,
/// and few, are worked on by all threads together.
///
/// `@unchecked Sendable`: `scratch` is used by the launch that holds the executor's turn.
final class CPUConvolution: PreparedConvolution, @unchecked Sendable {
  let plan: ConvolutionPlan
  let mask: FrequencyMask?
  let executor: CPUExecutor
  let tables: ConvolutionTables
  let routines: TransformRoutines
  private var scratch: [ConvolutionScratch] = []
  /// Buffers of each thread's scratch, and whether only the first thread has them.
  private var reserved = (buffers: 0, shared: true)

  /// Rows from this size on are shared by all threads: together their spectra would not fit the shared cache.
  private static let sharedSize = 262_144

  init(
    _ plan: ConvolutionPlan, mask: FrequencyMask?, tables: ConvolutionTables, executor: CPUExecutor
  ) throws(ExecutionError) {
    guard let routines = TransformRoutines(named: executor.microkernelName) else {
      throw .invalid(
        kernel: "convolution", reason: "there are no transforms named \(executor.microkernelName).")
    }
    self.plan = plan
    self.mask = mask
    self.executor = executor
    self.routines = routines
    self.tables = tables
  }

  /// Whether all threads work on one row at a time.
  func sharesRows(channels: Int) -> Bool {
    executor.threads > 1 && (channels < executor.threads || plan.size >= Self.sharedSize) && plan.size >= 4096
  }

  /// Makes memory for `count` buffers a thread; for the owner alone where rows are shared.
  func reserve(_ count: Int, shared: Bool) throws(ExecutionError) {
    if reserved.buffers >= count && (shared || !reserved.shared) { return }
    var made: [ConvolutionScratch] = []
    for thread in 0..<executor.threads {
      guard
        let one = ConvolutionScratch(
          spectrum: plan.spectrumCount, rows: plan.columns.length,
          linear: plan.needsLinear ? 2 * plan.size : 0,
          buffers: shared && thread > 0 ? 0 : count)
      else { throw .outOfMemory(kernel: "convolution", bytes: plan.workspaceBytes(gradients: count > 2)) }
      made.append(one)
    }
    scratch = made
    reserved = (count, shared)
  }

  /// Calls `body` for each channel, with the steps of a row as its crew runs them.
  func eachChannel(_ channels: Int, buffers: Int, _ body: (Int, RowTransform) -> Void) throws(ExecutionError)
  {
    let shared = sharesRows(channels: channels)
    try reserve(buffers, shared: shared)
    func steps(_ crew: Crew) -> RowTransform {
      RowTransform(plan, tables, routines, scratch: scratch, crew: crew)
    }
    if shared {
      for channel in 0..<channels { body(channel, steps(.all(executor.pool))) }
      return
    }
    let next = Atomic<Int>(0)
    executor.pool.share { thread in
      let row = steps(.solo(thread))
      while true {
        let channel = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard channel < channels else { break }
        body(channel, row)
      }
    }
  }

  func spectrumShape(channels: Int) -> [Int] { [channels, plan.spectrumCount] }

  func transform(_ filters: ConvolutionFilters, into spectrum: Tensor) throws(ExecutionError) {
    try executor.turn.withLock { _ throws(ExecutionError) in try transformed(filters, into: spectrum) }
  }

  private func transformed(_ filters: ConvolutionFilters, into spectrum: Tensor) throws(ExecutionError) {
    let taps = try check(filters)
    let target = unsafe try check(spectrum: spectrum, channels: taps.channels)
    try eachChannel(taps.channels, buffers: 2) { channel, row in
      unsafe filter(taps, channel, row, into: target.advanced(by: channel * plan.spectrumCount))
    }
  }

  func run(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor) throws(ExecutionError) {
    try executor.turn.withLock { _ throws(ExecutionError) in
      if mustTurn([rows.input, rows.inputGate, rows.outputGate, output]) {
        try turnedRun(rows, spectrum: spectrum, into: output)
      } else {
        try straightRun(rows, spectrum: spectrum, into: output)
      }
    }
  }

  private func straightRun(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor)
    throws(ExecutionError)
  {
    let operands = try check(rows, output: output)
    let spectrum = unsafe try check(spectrum: spectrum, channels: operands.channels)
    try eachChannel(operands.channels, buffers: 2) { channel, row in
      unsafe convolve(operands, channel, row, spectrum: spectrum + channel * plan.spectrumCount)
    }
  }

  private func turnedRun(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor)
    throws(ExecutionError)
  {
    _ = unsafe try check(spectrum: spectrum, channels: rows.input.shape.count == 3 ? rows.input.shape[1] : 0)
    try eachTurnedBlock(inputs: [rows.input, rows.inputGate, rows.outputGate], outputs: [output]) {
      block, inputs, outputs throws(ExecutionError) in
      guard let input = inputs[0], let target = outputs[0] else { return }
      try straightRun(
        ConvolutionRows(
          input, inputGate: inputs[1], outputGate: inputs[2], skip: rows.skip?.sliced(axis: 0, block)),
        spectrum: spectrum.sliced(axis: 0, block), into: target)
    }
  }

  func run(_ rows: ConvolutionRows, filters: ConvolutionFilters, into output: Tensor) throws(ExecutionError) {
    try executor.turn.withLock { _ throws(ExecutionError) in
      let taps = try check(filters)
      let channels = rows.input.shape.count == 3 ? rows.input.shape[1] : 0
      guard taps.channels == channels else {
        throw .argumentShape(
          kernel: "convolution", tensor: "filters", expected: "[\(channels), taps]",
          found: filters.forward.shape)
      }
      if mustTurn([rows.input, rows.inputGate, rows.outputGate, output]) {
        let shape = [channels, plan.spectrumCount]
        guard let spectrum = try? Tensor(zeros: .float32, shape) else {
          throw .outOfMemory(kernel: "convolution", bytes: 4 * shape[0] * shape[1])
        }
        try transformed(filters, into: spectrum)
        return try turnedRun(rows, spectrum: spectrum, into: output)
      }
      let operands = try check(rows, output: output)
      try eachChannel(operands.channels, buffers: 2) { channel, row in
        let spectrum = unsafe row.buffer(.filter)
        unsafe filter(taps, channel, row, into: spectrum)
        unsafe convolve(operands, channel, row, spectrum: spectrum)
      }
    }
  }

  /// The spectrum of one channel's filter.
  private func filter(
    _ taps: Taps, _ channel: Int, _ row: RowTransform, into spectrum: UnsafeMutablePointer<Float>
  ) {
    let range = 0..<plan.shape.filterLength
    unsafe row.enter(.row(taps.forward, gate: nil, 0, channel, range), isFilter: true, into: spectrum)
    unsafe row.pass(GW_SPECTRUM, spectrum)
    if let reverse = taps.reverse {
      let other = unsafe row.buffer(.work)
      unsafe row.enter(.row(reverse, gate: nil, 0, channel, range), isFilter: true, into: other)
      unsafe row.pass(GW_SPECTRUM, other)
      // The transform of a single number at 0 is that number everywhere.
      let unwanted =
        taps.skipsLagZero
        ? unsafe reverse.address(0, channel).assumingMemoryBound(to: Float.self).pointee / Float(plan.size)
        : 0
      unsafe Self.addConjugate(other, minus: unwanted, to: spectrum, count: tables.groups * plan.rows.length)
    }
    unsafe row.mask(spectrum)
  }

  private static func addConjugate(
    _ other: UnsafePointer<Float>, minus constant: Float, to spectrum: UnsafeMutablePointer<Float>, count: Int
  ) {
    let line = GW_LINE
    for start in stride(from: 0, to: count * line, by: line) {
      for lane in start..<start + 8 {
        unsafe spectrum[lane] += other[lane] - constant
        unsafe spectrum[lane + 8] -= other[lane + 8]
      }
    }
  }
}
