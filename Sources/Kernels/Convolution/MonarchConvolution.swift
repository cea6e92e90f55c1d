package import Memory
package import Tiles

/// Long convolution of 16-bit rows with filters, on machines that have matrix units for them.
///
/// y = after · (filter * (before · u) + skip · before · u), gates and skip where given. Spectra are prepared once by
/// ``prepare(filter:skip:)`` and used by any number of calls; rows longer than 4,096 take three passes over a workspace,
/// other lengths than powers of two are brought to the next. Not thread-safe: one call at a time.
package final class MonarchConvolution {
  /// Which products of positions count.
  package enum Mode: Sendable, Hashable {
    /// y[t] = Σ_{s ≤ t} filter[s] · u[t − s].
    case causal
    /// y[t] = Σ_s filter[s] · u[(t − s) mod length], for lengths that are powers of two from 64 on.
    case circular
  }

  /// What is fixed while kernels are recorded.
  package struct Shape: Sendable, Hashable {
    /// Rows of the batch.
    package var batch: Int
    /// Channels: filters.
    package var channels: Int
    /// Positions of a row.
    package var length: Int
    /// Numbers of a filter, up to the length.
    package var filterLength: Int
    /// Which products count.
    package var mode: Mode
    /// bfloat16 or float16.
    package var type: ElementType

    /// Filters as long as rows where nothing else is said.
    package init(
      batch: Int, channels: Int, length: Int, filterLength: Int? = nil, mode: Mode = .causal,
      type: ElementType = .bfloat16
    ) {
      (self.batch, self.channels, self.length) = (batch, channels, length)
      (self.filterLength, self.mode, self.type) = (filterLength ?? length, mode, type)
    }

    /// Points of the transform: the next power of two, from 64 on.
    package var points: Int {
      var points = MonarchConstants.side
      while points < length { points *= 2 }
      return points
    }
  }

  /// Spectra of filters, as one plan prepared them.
  package struct Spectrum: Sendable {
    /// Float32 `[rows, 64]`.
    package let re: Tensor
    /// Likewise.
    package let im: Tensor
  }

  /// What the plan is for.
  package let shape: Shape
  let executor: any Executor
  let constants: MonarchConstants
  private let spectrumShape: MonarchSpectrum.Shape
  private let matrices: Tensor
  private let precise: [Tensor]
  private let spectra: any CompiledKernel
  private var kernels: [MonarchFused.Shape: any CompiledKernel] = [:]
  private var copies: [MonarchCopy.Shape: any CompiledKernel] = [:]
  private var padded: [String: Tensor] = [:]

  /// Records and compiles what every call needs, and places the matrices.
  ///
  /// - Throws: ``MonarchError`` for what has no plan; what the executor or the recorder refuses.
  package init(_ shape: Shape, executor: any Executor) throws {
    try shape.validate()
    (self.shape, self.executor) = (shape, executor)
    constants = MonarchConstants(radix: shape.points / MonarchConstants.side, isShifted: true)
    spectrumShape = MonarchSpectrum.Shape(constants, isCircular: shape.mode == .circular)
    matrices = try executor.place(
      try MonarchFused.constants(MonarchFused.Shape(constants, type: shape.type)))
    precise = try MonarchSpectrum.constants(spectrumShape).map { try executor.place($0) }
    spectra = try executor.compile(try MonarchSpectrum.kernel(spectrumShape))
  }

  // MARK: Filters

  /// Spectra of filters.
  ///
  /// - Parameters:
  ///   - filter: float32 `[channels, filterLength]`.
  ///   - skip: float32 `[channels]`, added to each filter's first number.
  ///   - spectrum: where they go; new tensors where `nil`.
  package func prepare(filter: Tensor, skip: Tensor? = nil, into spectrum: Spectrum? = nil) throws -> Spectrum {
    let rows = shape.channels * constants.radix
    let side = MonarchConstants.side
    let result: Spectrum
    if let spectrum {
      result = spectrum
    } else {
      result = Spectrum(
        re: try executor.tensor(.float32, [rows, side]), im: try executor.tensor(.float32, [rows, side]))
    }
    var whole = filter
    if shape.filterLength != shape.points || skip != nil {
      var copy = MonarchCopy.Shape(from: .float32, to: .float32)
      (copy.addsFirst, copy.isOutput) = (skip != nil, shape.filterLength == shape.points)
      whole = try workspace("filter", .float32, shape.channels)
      try self.copy(copy).run([filter] + (skip.map { [$0] } ?? []) + [whole])
    }
    try spectra.run(precise + [whole.reshaped([rows, side]), result.re, result.im])
    return result
  }

  // MARK: Rows

  /// Writes y.
  ///
  /// - Parameters:
  ///   - u: `[batch, channels, length]` in the plan's type, as are gates and y.
  ///   - before: by which u is multiplied.
  ///   - after: by which the result is.
  package func apply(
    _ u: Tensor, _ spectrum: Spectrum, before: Tensor? = nil, after: Tensor? = nil, into y: Tensor
  ) throws {
    try run(u, spectrum, before: before, after: after.map { [$0] } ?? [], into: [y], isConjugated: false)
  }

  /// One call of the fused kernel; rows of other lengths than the transform's go by way of padded ones.
  func run(
    _ u: Tensor, _ spectrum: Spectrum, before: Tensor?, after: [Tensor], into y: [Tensor], isConjugated: Bool
  ) throws {
    var fused = MonarchFused.Shape(constants, type: shape.type)
    fused.isConjugated = isConjugated
    fused.isWhole = shape.channels * constants.radix % MonarchConstants.side == 0
    guard shape.length != shape.points else {
      (fused.isGatedBefore, fused.gatesAfter) = (before != nil, after.count)
      return try run(fused, spectrum, inputs: [u] + (before.map { [$0] } ?? []) + after, outputs: y)
    }
    let rows = shape.batch * shape.channels
    let flat = [rows, shape.length]
    let (input, output) = (try workspace("u", shape.type, rows), try workspace("y", shape.type, rows))
    var pad = MonarchCopy.Shape(from: shape.type, to: shape.type)
    (pad.isOutput, pad.gates) = (false, before == nil ? 0 : 1)
    try copy(pad).run([u.reshaped(flat)] + (before.map { [$0.reshaped(flat)] } ?? []) + [input])
    try run(fused, spectrum, inputs: [input], outputs: [output])
    for (number, target) in y.enumerated() {
      var crop = MonarchCopy.Shape(from: shape.type, to: shape.type)
      crop.gates = after.isEmpty ? 0 : 1
      let gate = after.isEmpty ? [] : [after[number].reshaped(flat)]
      try copy(crop).run([output] + gate + [target.reshaped(flat)])
    }
  }

  private func run(
    _ fused: MonarchFused.Shape, _ spectrum: Spectrum, inputs: [Tensor], outputs: [Tensor]
  ) throws {
    let side = MonarchConstants.side
    let rows = [shape.batch, shape.channels * constants.radix, side]
    let kernel = try kernels[fused] ?? executor.compile(try MonarchFused.kernel(fused))
    kernels[fused] = kernel
    try kernel.run(
      [matrices, spectrum.re, spectrum.im] + (inputs + outputs).map { $0.reshaped(rows) },
      integers: [share(tiles: (rows[1] + side - 1) / side)])
  }

  /// Rows of the batch for each task: so many that cores are filled, and no fewer than pays for what a task starts with.
  func share(tiles: Int) -> Int {
    let slots = executor.cores * 2
    func cost(_ parts: Int) -> Int {
      let share = (shape.batch + parts - 1) / parts
      // A task's start takes about as long as two of its steps.
      return (tiles * parts + slots - 1) / slots * (share + 2)
    }
    let parts = (1...shape.batch).min { cost($0) < cost($1) } ?? 1
    return (shape.batch + parts - 1) / parts
  }

  // MARK: Other lengths

  func copy(_ shape: MonarchCopy.Shape) throws -> any CompiledKernel {
    let kernel = try copies[shape] ?? executor.compile(try MonarchCopy.kernel(shape))
    copies[shape] = kernel
    return kernel
  }

  /// Zeroed rows of the transform's length; what lies beyond a row's end stays zero in those that are padded.
  func workspace(_ name: String, _ type: ElementType, _ rows: Int) throws -> Tensor {
    if let known = padded[name] { return known }
    let tensor = try executor.tensor(type, [rows, shape.points])
    padded[name] = tensor
    return tensor
  }
}

/// What has no plan.
package enum MonarchError: Error, Equatable, CustomStringConvertible {
  case extent(name: String, value: Int, allowed: String)
  case type(ElementType)

  package var description: String {
    switch self {
    case .extent(let name, let value, let allowed):
      "long convolution: \(name) is \(value); it must be \(allowed)."
    case .type(let type):
      "long convolution: rows are \(type.rawValue). Convert them to bfloat16 or float16."
    }
  }
}

extension MonarchConvolution.Shape {
  /// - Throws: ``MonarchError`` that names what is out of bounds.
  func validate() throws(MonarchError) {
    guard batch > 0 else { throw .extent(name: "batch", value: batch, allowed: "1 or more") }
    guard channels > 0 else { throw .extent(name: "channels", value: channels, allowed: "1 or more") }
    guard (1...8_388_608).contains(length) else {
      throw .extent(name: "length", value: length, allowed: "1 to 8388608")
    }
    guard (1...length).contains(filterLength) else {
      throw .extent(name: "filterLength", value: filterLength, allowed: "1 to the length, \(length)")
    }
    guard mode == .causal || length == points else {
      throw .extent(
        name: "length", value: length, allowed: "a power of two from 64 on where convolution is circular")
    }
    guard [.bfloat16, .float16].contains(type) else { throw .type(type) }
  }
}
