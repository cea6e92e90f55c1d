internal import Fourier
internal import Memory
internal import Synchronization
internal import Tiles

/// Long convolutions as tile programs, for machines without transforms of their own: 16-bit rows on matrix units.
final class MonarchPrepared: PreparedConvolution {
  let plan: ConvolutionPlan
  private let type: ElementType
  private let isCuttable: Bool
  private let executor: any Executor
  private let states: Mutex<States>

  /// What was made so far: a convolution for each batch and number of channels, and what they work in.
  private struct States: ~Copyable {
    var convolutions: [[Int]: MonarchConvolution] = [:]
    var spectra: [String: Tensor] = [:]
    var turn: (any CompiledKernel)?
    var fastTurn: (kernel: any CompiledKernel, ones: Tensor)?
    var skips: (any CompiledKernel)?
    var column: (any CompiledKernel)?
    /// The transform of a single 1 at the start.
    var impulse: Tensor?
  }

  /// - Parameter isCuttable: see ``MonarchConvolution/Shape/isCuttable``.
  init(
    _ shape: ConvolutionShape, type: ElementType, isCuttable: Bool = true, executor: any Executor
  ) throws {
    precondition(!shape.mode.hasReverse, "what is two-sided takes MonarchTwoSided")
    let side = MonarchConstants.side
    var points = side
    while points < shape.length { points *= 2 }
    guard shape.mode == .causal || shape.length == points else {
      throw ConvolutionError.operand(
        name: "length",
        why: "\(shape.length); circular convolutions on this machine take powers of two from \(side) on")
    }
    guard type == .bfloat16 || type == .float16 else {
      throw ConvolutionError.operand(
        name: "type",
        why:
          "\(type.rawValue); this machine convolves bfloat16 and float16. Convert the rows; a recipe says precision: bfloat16"
      )
    }
    guard let columns = Radices(of: points / side), let rows = Radices(of: side) else {
      throw ConvolutionError.length(shape.length)
    }
    plan = ConvolutionPlan(shape: shape, columns: columns, rows: rows)
    (self.type, self.isCuttable, self.executor) = (type, isCuttable, executor)
    states = Mutex(States())
  }

  func spectrumShape(channels: Int) -> [Int] {
    [2, channels * plan.columns.length, plan.rows.length]
  }

  func transform(_ filters: ConvolutionFilters, into spectrum: Tensor) throws(ExecutionError) {
    try run { states in
      let channels = filters.forward.shape[0]
      _ = try convolution(batch: 1, channels: channels, &states)
        .prepare(filter: filters.forward, into: try halves(spectrum, channels: channels))
    }
  }

  func run(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor) throws(ExecutionError) {
    try run { states in
      let channels = rows.input.shape[1]
      var known = try halves(spectrum, channels: channels)
      if let skip = rows.skip { known = try adding(skip, to: known, &states) }
      try apply(rows, known, into: output, &states)
    }
  }

  func run(_ rows: ConvolutionRows, filters: ConvolutionFilters, into output: Tensor) throws(ExecutionError) {
    try run { states in
      let (batch, channels) = (rows.input.shape[0], rows.input.shape[1])
      let target = try halves(scratch("filters", channels: channels, &states), channels: channels)
      let spectrum = try convolution(batch: batch, channels: channels, &states)
        .prepare(filter: filters.forward, skip: rows.skip, into: target)
      try apply(rows, spectrum, into: output, &states)
    }
  }

  func gradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws(ExecutionError) {
    try run { states in
      let (batch, channels) = (rows.input.shape[0], rows.input.shape[1])
      for (target, operand, name) in [
        (gradients.inputGate, rows.inputGate, "gate of the input"),
        (gradients.outputGate, rows.outputGate, "gate of the output"),
        (gradients.skip, rows.skip, "skip factors"),
      ] where target != nil && operand == nil {
        throw ConvolutionError.operand(name: name, why: "its gradient is wanted, there is none")
      }
      guard !isCuttable || gradients.filters?.reverse == nil else {
        throw ConvolutionError.operand(
          name: "filter of later positions", why: "its gradient is wanted, there is none")
      }
      var known = try halves(spectrum, channels: channels)
      if let skip = rows.skip { known = try adding(skip, to: known, &states) }
      // The skip factors are part of the filters' first taps, and so are their gradients.
      var filter = gradients.filters?.forward
      if filter == nil && gradients.skip != nil {
        filter = try executor.tensor(.float32, [channels, plan.shape.filterLength])
      }
      let shape = rows.input.shape
      let convolution = try convolution(batch: batch, channels: channels, &states)
      // With one gate alone the filters' gradients are found from copies, which are made of whole tensors.
      let isStrided =
        convolution.takesStridedBatches && (rows.inputGate == nil) == (rows.outputGate == nil)
      func target(_ tensor: Tensor?) throws -> Tensor? {
        try tensor.map { isTaken($0, isStrided) ? $0 : try executor.tensor(type, shape) }
      }
      let targets = (
        try target(gradients.input) ?? executor.tensor(type, shape), try target(gradients.inputGate),
        try target(gradients.outputGate)
      )
      try convolution.gradients(
        try taken(outputGradient, isStrided, &states), u: try taken(rows.input, isStrided, &states),
        known,
        before: try rows.inputGate.map { try taken($0, isStrided, &states) },
        after: try rows.outputGate.map { try taken($0, isStrided, &states) },
        into: MonarchConvolution.Gradients(
          u: targets.0, before: targets.1, after: targets.2, filter: filter,
          later: gradients.filters?.reverse))
      for (wanted, found) in [
        (gradients.input, targets.0), (gradients.inputGate, targets.1), (gradients.outputGate, targets.2),
      ] {
        if let wanted, let found, !isTaken(wanted, isStrided) { try turn(found, into: wanted, &states) }
      }
      if let skip = gradients.skip, let filter {
        // A kernel: to the driver every channel would be a copy of its own.
        let kernel = try states.column ?? executor.compile(try MonarchRows.takingColumn())
        states.column = kernel
        try kernel.run([filter.sliced(axis: 1, 0..<1), skip])
      }
    }
  }

  func step(_ rows: ConvolutionRows, stream: ConvolutionStreamState, into output: Tensor)
    throws(ExecutionError)
  {
    throw .invalid(kernel: "convolution", reason: "streams run on the cores only.")
  }

  private func run(_ body: (inout States) throws -> Void) throws(ExecutionError) {
    do {
      try states.withLock { states in try body(&states) }
    } catch let error as ExecutionError {
      throw error
    } catch {
      throw .invalid(kernel: "convolution", reason: "\(error)")
    }
  }

  private func apply(
    _ rows: ConvolutionRows, _ spectrum: MonarchConvolution.Spectrum, into output: Tensor,
    _ states: inout States
  ) throws {
    let convolution = try convolution(batch: output.shape[0], channels: output.shape[1], &states)
    let isStrided = convolution.takesStridedRows
    let target = isTaken(output, isStrided) ? output : try executor.tensor(type, output.shape)
    try convolution.apply(
      try taken(rows.input, isStrided, &states), spectrum,
      before: try rows.inputGate.map { try taken($0, isStrided, &states) },
      after: try rows.outputGate.map { try taken($0, isStrided, &states) }, into: target)
    if !isTaken(output, isStrided) { try turn(target, into: output, &states) }
  }

  private func convolution(batch: Int, channels: Int, _ states: inout States) throws -> MonarchConvolution {
    if let known = states.convolutions[[batch, channels]] { return known }
    var shape = MonarchConvolution.Shape(
      batch: batch, channels: channels, length: plan.shape.length, filterLength: plan.shape.filterLength,
      mode: plan.shape.mode == .causal ? .causal : .circular, type: type)
    shape.isCuttable = isCuttable
    let made = try MonarchConvolution(shape, executor: executor)
    states.convolutions[[batch, channels]] = made
    return made
  }

  private func halves(_ spectrum: Tensor, channels: Int) throws(ConvolutionError)
    -> MonarchConvolution.Spectrum
  {
    let shape = spectrumShape(channels: channels)
    guard spectrum.type == .float32, spectrum.shape == shape, spectrum.isDense else {
      throw .tensor(name: "spectrum", found: "\(spectrum.shape)", expected: "dense float32 \(shape)")
    }
    func half(_ number: Int) -> Tensor {
      spectrum.sliced(axis: 0, number..<number + 1).reshaped(Array(shape.dropFirst()))
    }
    return MonarchConvolution.Spectrum(re: half(0), im: half(1))
  }

  private func scratch(_ name: String, channels: Int, _ states: inout States) throws -> Tensor {
    let shape = spectrumShape(channels: channels)
    if let known = states.spectra[name], known.shape == shape { return known }
    let made = try executor.tensor(.float32, shape)
    states.spectra[name] = made
    return made
  }

  /// The spectrum with the skip factors: D times the transform of an impulse is added.
  private func adding(
    _ skip: Tensor, to spectrum: MonarchConvolution.Spectrum, _ states: inout States
  ) throws -> MonarchConvolution.Spectrum {
    let (channels, rows) = (skip.shape[0], plan.columns.length)
    if states.impulse == nil {
      let taps = try Tensor(zeros: .float32, [1, plan.shape.filterLength])
      taps.withMutableElements(as: Float.self) { $0[0] = 1 }
      let impulse = try executor.tensor(.float32, spectrumShape(channels: 1))
      _ = try convolution(batch: 1, channels: 1, &states)
        .prepare(filter: try executor.place(taps), into: try halves(impulse, channels: 1))
      states.impulse = impulse
    }
    guard let impulse = states.impulse else { return spectrum }
    let kernel = try states.skips ?? executor.compile(try MonarchRows.addingSkip())
    states.skips = kernel
    let target = try halves(scratch("skip", channels: channels, &states), channels: channels)
    let one = try halves(impulse, channels: 1)
    for (from, unit, to) in [(spectrum.re, one.re, target.re), (spectrum.im, one.im, target.im)] {
      let sizes = [channels, rows, plan.rows.length]
      try kernel.run([from.reshaped(sizes), skip, unit, to.reshaped(sizes)])
    }
    return target
  }

  /// Whether a tensor is read and written where it lies.
  ///
  /// - Parameter isStrided: whether sequences of the batch may lie apart.
  private func isTaken(_ tensor: Tensor, _ isStrided: Bool) -> Bool {
    tensor.isDense || isStrided && tensor.holdsDenseSequences
  }

  /// The tensor itself, or a dense copy.
  private func taken(
    _ tensor: Tensor, _ isStrided: Bool, _ states: inout States
  ) throws -> Tensor {
    if isTaken(tensor, isStrided) { return tensor }
    let copy = try executor.tensor(tensor.type, tensor.shape)
    try turn(tensor, into: copy, &states)
    return copy
  }

  /// Copies between `[B, H, L]` with channels beside each other and with numbers beside each other.
  private func turn(_ source: Tensor, into target: Tensor, _ states: inout States) throws {
    let axes = [0, 2, 1]
    let (from, to) =
      source.isDense ? (source, target.permuted(axes)) : (source.permuted(axes), target)
    let kind = Turn(type: type)
    guard executor.prefersSixteenBit, kind.isFast(from, into: to) else {
      let kernel = try states.turn ?? executor.compile(try MonarchRows.turning(type: type))
      states.turn = kernel
      return try kernel.run([from, to])
    }
    let (kernel, ones) =
      try states.fastTurn ?? (executor.compile(try kind.kernel()), executor.place(kind.ones()))
    states.fastTurn = (kernel, ones)
    try kernel.run(kind.arguments(ones: ones, from, into: to))
  }
}
