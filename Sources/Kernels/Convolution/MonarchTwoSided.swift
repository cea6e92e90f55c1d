internal import Fourier
internal import Memory
internal import Synchronization
internal import Tiles

/// Two-sided convolutions as two causal ones, for machines without transforms of their own.
///
/// What comes from later numbers is the transpose of a causal convolution with the second filter: its gradient with respect to
/// its input. With C(k) the matrix of the causal convolution, y = after · (C(k) + Cᵀ(q)) (before · u), and all gradients are those
/// of the two parts, the gates exchanged in the second. Both parts are rounded to the rows' type and added in float32.
///
/// - Complexity: twice a causal convolution, and one pass over the result.
final class MonarchTwoSided: PreparedConvolution {
  let plan: ConvolutionPlan
  private let lagZero: ConvolutionMode.LagZero
  private let type: ElementType
  private let causal: MonarchPrepared
  private let executor: any Executor
  private let states = Mutex(States())

  private struct States: ~Copyable {
    var rows: [String: Tensor] = [:]
    var sum: (any CompiledKernel)?
    /// Whether it takes rows of a fixed width.
    var isWide = false
  }

  init(
    _ shape: ConvolutionShape, lagZero: ConvolutionMode.LagZero, type: ElementType, executor: any Executor
  ) throws {
    let part = try ConvolutionShape(mode: .causal, length: shape.length, filterLength: shape.filterLength)
    causal = try MonarchPrepared(part, type: type, executor: executor)
    plan = ConvolutionPlan(shape: shape, columns: causal.plan.columns, rows: causal.plan.rows)
    (self.lagZero, self.type, self.executor) = (lagZero, type, executor)
  }

  func spectrumShape(channels: Int) -> [Int] { [2] + causal.spectrumShape(channels: channels) }

  func transform(_ filters: ConvolutionFilters, into spectrum: Tensor) throws(ExecutionError) {
    let shape = filters.forward.shape
    guard let reverse = filters.reverse, reverse.shape == shape, reverse.type == .float32 else {
      throw .argumentShape(
        kernel: "convolution", tensor: "reverse filter", expected: "float32 \(shape)",
        found: filters.reverse?.shape ?? [])
    }
    let halves = try halves(spectrum, channels: shape[0])
    try causal.transform(ConvolutionFilters(filters.forward), into: halves.0)
    try causal.transform(ConvolutionFilters(try later(reverse)), into: halves.1)
  }

  func run(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor) throws(ExecutionError) {
    try states.withLock { states throws(ExecutionError) in
      let halves = try halves(spectrum, channels: rows.input.shape[1])
      try causal.run(rows, spectrum: halves.0, into: output)
      var targets = ConvolutionGradients()
      targets.input = try row("input", like: output, &states)
      try causal.gradients(
        of: exchanged(rows, input: rows.input), spectrum: halves.1, outputGradient: rows.input, into: targets)
      try add(targets.input, to: output, &states)
    }
  }

  func run(_ rows: ConvolutionRows, filters: ConvolutionFilters, into output: Tensor) throws(ExecutionError) {
    let spectrum = try zeros(.float32, spectrumShape(channels: rows.input.shape[1]))
    try transform(filters, into: spectrum)
    try run(rows, spectrum: spectrum, into: output)
  }

  func gradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws(ExecutionError) {
    try states.withLock { states throws(ExecutionError) in
      let halves = try halves(spectrum, channels: rows.input.shape[1])
      var first = gradients
      first.filters = gradients.filters.map { ConvolutionFilters($0.forward) }
      try causal.gradients(of: rows, spectrum: halves.0, outputGradient: outputGradient, into: first)
      let later = exchanged(rows, input: outputGradient)
      if let input = gradients.input {
        let part = try row("input", like: input, &states)
        try causal.run(later, spectrum: halves.1, into: part)
        try add(part, to: input, &states)
      }
      // As a function of the output's gradient the second part is a causal convolution, whose own output has the gradient u.
      var second = ConvolutionGradients()
      second.inputGate = try gradients.outputGate.map { gate throws(ExecutionError) in
        try row("inputGate", like: gate, &states)
      }
      second.outputGate = try gradients.inputGate.map { gate throws(ExecutionError) in
        try row("outputGate", like: gate, &states)
      }
      second.filters = gradients.filters?.reverse.map { ConvolutionFilters($0) }
      guard second.inputGate != nil || second.outputGate != nil || second.filters != nil else { return }
      second.input = try row("unused", like: rows.input, &states)
      try causal.gradients(of: later, spectrum: halves.1, outputGradient: rows.input, into: second)
      try add(second.inputGate, to: gradients.outputGate, &states)
      try add(second.outputGate, to: gradients.inputGate, &states)
      if lagZero == .causalOnly, let reverse = gradients.filters?.reverse { try clearFirst(reverse) }
    }
  }

  func step(_ rows: ConvolutionRows, stream: ConvolutionStreamState, into output: Tensor)
    throws(ExecutionError)
  {
    throw .invalid(
      kernel: "convolution", reason: "what is two-sided depends on what comes later: no streams.")
  }

  /// The rows of the second part, whose gate before is the gate after.
  private func exchanged(_ rows: ConvolutionRows, input: Tensor) -> ConvolutionRows {
    ConvolutionRows(input, inputGate: rows.outputGate, outputGate: rows.inputGate)
  }

  /// The filter of what comes later, without lag 0 where the other has it.
  private func later(_ reverse: Tensor) throws(ExecutionError) -> Tensor {
    guard lagZero == .causalOnly else { return reverse }
    let copy = try zeros(.float32, reverse.shape)
    try typed { try executor.copy(from: reverse, into: copy) }
    try clearFirst(copy)
    return copy
  }

  private func clearFirst(_ filters: Tensor) throws(ExecutionError) {
    let first = try zeros(.float32, [filters.shape[0], 1])
    try typed { try executor.copy(from: first, into: filters.sliced(axis: 1, 0..<1)) }
  }

  private func halves(_ spectrum: Tensor, channels: Int) throws(ExecutionError) -> (Tensor, Tensor) {
    let shape = spectrumShape(channels: channels)
    guard spectrum.type == .float32, spectrum.shape == shape, spectrum.isDense else {
      throw .argumentShape(
        kernel: "convolution", tensor: "spectrum", expected: "dense float32 \(shape)", found: spectrum.shape)
    }
    func half(_ number: Int) -> Tensor {
      spectrum.sliced(axis: 0, number..<number + 1).reshaped(Array(shape.dropFirst()))
    }
    return (half(0), half(1))
  }

  /// Working memory that lies as another tensor does.
  private func row(_ name: String, like tensor: Tensor, _ states: inout States) throws(ExecutionError)
    -> Tensor
  {
    let order = tensor.isDense ? [0, 1, 2] : [0, 2, 1]
    let shape = order.map { tensor.shape[$0] }
    if let known = states.rows[name], known.shape == shape { return known.permuted(order) }
    let made = try zeros(type, shape)
    states.rows[name] = made
    return made.permuted(order)
  }

  /// A tensor of zeros.
  private func zeros(_ type: ElementType, _ shape: [Int]) throws(ExecutionError) -> Tensor {
    try typed { try executor.tensor(type, shape) }
  }

  private func typed<Result>(_ body: () throws -> Result) throws(ExecutionError) -> Result {
    do {
      return try body()
    } catch let error as ExecutionError {
      throw error
    } catch {
      throw .invalid(kernel: "convolution", reason: "\(error)")
    }
  }

  private func add(_ part: Tensor?, to whole: Tensor?, _ states: inout States) throws(ExecutionError) {
    guard let part, let whole else { return }
    let order = whole.isDense ? [0, 1, 2] : [0, 2, 1]
    let isWide = whole.count % MonarchRows.wide == 0
    let columns = isWide ? MonarchRows.wide : whole.shape[order[2]]
    if states.sum == nil || states.isWide != isWide {
      let kernel = try typed { try MonarchRows.adding(type: type, width: isWide ? columns : nil) }
      (states.sum, states.isWide) = (try executor.compile(kernel), isWide)
    }
    let sizes = [whole.count / columns, columns]
    try states.sum?.run([part, whole].map { $0.permuted(order).reshaped(sizes) })
  }
}
