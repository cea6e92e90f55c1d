internal import Fourier
internal import Memory
internal import Synchronization
internal import Tiles

/// Two-sided convolutions by causal ones' kernels, for machines without transforms of their own.
///
/// What comes from later numbers is the transpose of a causal convolution with the second filter, and the transform of a transpose
/// is the conjugate. Products of transforms are those of polynomials modulo zˢ = i: numbers that the second filter carries past the
/// start come round as imaginary ones, as do those that the first carries past the end, so the real part is exact. With K and Q the
/// filters' spectra, y = after · C(K + conj Q) (before · u): one causal convolution with a spectrum of its own. Gradients with
/// respect to rows and gates are those of that; with S = Σ T(after · dy) · conj T(before · u), the first filter's is the inverse
/// transform of S, and the second's that of conj S.
///
/// - Complexity: that of a causal convolution; filters take two transforms, and their gradients two inverse ones.
final class MonarchTwoSided: PreparedConvolution {
  let plan: ConvolutionPlan
  private let lagZero: ConvolutionMode.LagZero
  private let causal: MonarchPrepared
  private let executor: any Executor
  private let states = Mutex(States())

  private struct States: ~Copyable {
    var tensors: [String: Tensor] = [:]
    var joining: (any CompiledKernel)?
    var clearing: (any CompiledKernel)?
  }

  init(
    _ shape: ConvolutionShape, lagZero: ConvolutionMode.LagZero, type: ElementType, executor: any Executor
  ) throws {
    let part = try ConvolutionShape(mode: .causal, length: shape.length, filterLength: shape.filterLength)
    // Chunks would need what comes later, too.
    causal = try MonarchPrepared(part, type: type, isCuttable: false, executor: executor)
    plan = ConvolutionPlan(shape: shape, columns: causal.plan.columns, rows: causal.plan.rows)
    (self.lagZero, self.executor) = (lagZero, executor)
  }

  func spectrumShape(channels: Int) -> [Int] { causal.spectrumShape(channels: channels) }

  func transform(_ filters: ConvolutionFilters, into spectrum: Tensor) throws(ExecutionError) {
    try states.withLock { states throws(ExecutionError) in try transform(filters, into: spectrum, &states) }
  }

  private func transform(
    _ filters: ConvolutionFilters, into spectrum: Tensor, _ states: inout States
  ) throws(ExecutionError) {
    let shape = filters.forward.shape
    guard let reverse = filters.reverse, reverse.shape == shape, reverse.type == .float32 else {
      throw .argumentShape(
        kernel: "convolution", tensor: "reverse filter", expected: "float32 \(shape)",
        found: filters.reverse?.shape ?? [])
    }
    let other = try scratch("spectrum", .float32, spectrumShape(channels: shape[0]), &states)
    try causal.transform(ConvolutionFilters(filters.forward), into: spectrum)
    try causal.transform(ConvolutionFilters(try later(reverse, &states)), into: other)
    if states.joining == nil {
      states.joining = try executor.compile(try typed { try MonarchRows.joiningConjugate() })
    }
    try states.joining?.run([other, spectrum])
  }

  func run(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor) throws(ExecutionError) {
    try causal.run(rows, spectrum: spectrum, into: output)
  }

  func run(_ rows: ConvolutionRows, filters: ConvolutionFilters, into output: Tensor) throws(ExecutionError) {
    try states.withLock { states throws(ExecutionError) in
      let spectrum = try scratch(
        "own", .float32, spectrumShape(channels: rows.input.shape[1]), &states)
      try transform(filters, into: spectrum, &states)
      try causal.run(rows, spectrum: spectrum, into: output)
    }
  }

  func gradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws(ExecutionError) {
    try causal.gradients(of: rows, spectrum: spectrum, outputGradient: outputGradient, into: gradients)
    guard lagZero == .causalOnly, let reverse = gradients.filters?.reverse else { return }
    try states.withLock { states throws(ExecutionError) in try clearFirst(reverse, &states) }
  }

  func step(_ rows: ConvolutionRows, stream: ConvolutionStreamState, into output: Tensor)
    throws(ExecutionError)
  {
    throw .invalid(
      kernel: "convolution", reason: "what is two-sided depends on what comes later: no streams.")
  }

  /// The filter of what comes later, without lag 0 where the other has it.
  private func later(_ reverse: Tensor, _ states: inout States) throws(ExecutionError) -> Tensor {
    guard lagZero == .causalOnly else { return reverse }
    let copy = try scratch("filter", .float32, reverse.shape, &states)
    try typed { try executor.copy(from: reverse, into: copy) }
    try clearFirst(copy, &states)
    return copy
  }

  private func clearFirst(_ filters: Tensor, _ states: inout States) throws(ExecutionError) {
    if states.clearing == nil {
      states.clearing = try executor.compile(try typed { try MonarchRows.clearing() })
    }
    try states.clearing?.run([filters.sliced(axis: 1, 0..<1)])
  }

  /// Working memory by name.
  private func scratch(_ name: String, _ type: ElementType, _ shape: [Int], _ states: inout States)
    throws(ExecutionError) -> Tensor
  {
    if let known = states.tensors[name], known.shape == shape { return known }
    let made = try typed { try executor.tensor(type, shape) }
    states.tensors[name] = made
    return made
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
}
