package import Memory
package import Tiles

/// Long convolution of 16-bit rows with filters, on machines that have matrix units for them.
///
/// y = after · (filter * (before · u) + skip · before · u), gates and skip where given. Spectra are prepared once by
/// ``prepare(filter:skip:)`` and used by any number of calls; rows up to 8,192, and causal ones up to 32,768, take one pass,
/// longer ones three over a workspace, other lengths than powers of two are brought to the next. Causal rows of 32,768 keep
/// 96 KiB for each multiprocessor. Not thread-safe: one call at a time.
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
    /// Whether causal rows may be cut into chunks: not where spectra are other than a causal filter's.
    var isCuttable = true

    /// Filters as long as rows where nothing else is said.
    package init(
      batch: Int, channels: Int, length: Int, filterLength: Int? = nil, mode: Mode = .causal,
      type: ElementType = .bfloat16
    ) {
      (self.batch, self.channels, self.length) = (batch, channels, length)
      (self.filterLength, self.mode, self.type) = (filterLength ?? length, mode, type)
    }

    /// Into how many chunks causal rows are cut, and the shape of rows that are each one of them.
    var chunks: (count: Int, shape: Shape) { cut([8_192: 2, 16_384: 2, 32_768: 4]) }

    /// The same of chunks of 8,192 points.
    var wideChunks: (count: Int, shape: Shape) { cut([16_384: 2, 32_768: 4]) }

    private func cut(_ counts: [Int: Int]) -> (count: Int, shape: Shape) {
      guard mode == .causal, isCuttable, let count = counts[points] else { return (1, self) }
      return (
        count,
        Shape(batch: batch, channels: channels * count, length: points / count, mode: mode, type: type)
      )
    }

    /// Whether sequences are shorter than the transform, so that they lie folded in its rows.
    func isFolded(_ sequences: Tensor) -> Bool { sequences.shape[2] != points }

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

    /// Both as kernels for rows take them, by parts of the frequencies.
    func cut(into parts: Int) -> [Tensor] { [re, im].map { $0.cut(into: parts) } }
  }

  /// What the plan is for.
  package let shape: Shape
  /// Chunks of which causal rows are, each with a transform of its own: two of 4,096 points, two or four of 8,192, or one.
  let chunks: Int
  /// Rows of which each is a chunk, as the transforms see them.
  let chunked: Shape
  let executor: any Executor
  /// The transform of the innermost stage.
  let constants: MonarchConstants
  let spectrumShape: MonarchSpectrum.Shape
  let matrices: Tensor
  let precise: [Tensor]
  /// The outer stages of more than 4,096 points, where ``sumsChunks`` is not so.
  let stages: MonarchStages?
  /// Kernels for 8,192 points, and rows of such chunks, which need no outer stages but for gradients of filters of four chunks.
  let wide: MonarchWhole?
  /// The same for filters' gradients of rows of two chunks of 4,096 points.
  private var uncut: MonarchWhole?
  /// The innermost stage of filters' transforms, of which 8,192 points have another.
  private let spectra: (any CompiledKernel)?
  /// Its matrices where filters are real and fill tiles: ``MonarchRealSpectrum``'s.
  private let real: [Tensor]?
  private var kernels: [MonarchFused.Shape: any CompiledKernel] = [:]
  private var copies: [MonarchCopy.Shape: any CompiledKernel] = [:]
  private var padded: [String: Tensor] = [:]
  var gradients: [MonarchGradient.Shape: any CompiledKernel] = [:]
  var wideGradients: [MonarchWideGradient.Shape: any CompiledKernel] = [:]
  /// By whether the filter is of later positions.
  var filterInverses: [Bool: any CompiledKernel] = [:]
  private var sums: [Tensor] = []
  /// What ``MonarchSums`` keeps.
  var laterSums: [Tensor] = []

  /// Records and compiles what every call needs, and places the matrices.
  ///
  /// - Parameter workspaceBytes: how much rows in hand may take between the passes of long transforms; rows that take more
  ///   are in hand one by one.
  /// - Throws: ``MonarchError`` for what has no plan; what the executor or the recorder refuses.
  package init(_ shape: Shape, workspaceBytes: Int = 2 << 30, executor: any Executor) throws {
    try shape.validate()
    (self.shape, self.executor) = (shape, executor)
    let side = MonarchConstants.side
    (chunks, chunked) = shape.chunks
    let points = chunked.points
    let isLong = points > side * side
    constants = MonarchConstants(radix: isLong ? side : points / side, isShifted: !isLong)
    let isWide = points == MonarchWide.height * side
    stages =
      isLong && !(isWide && chunks <= 2)
      ? try MonarchStages(shape, workspaceBytes: workspaceBytes, executor: executor) : nil
    spectrumShape = MonarchSpectrum.Shape(
      constants, isComplex: isLong, isCircular: shape.mode == .circular)
    matrices = try executor.place(
      try MonarchFused.constants(MonarchFused.Shape(constants, type: shape.type)))
    precise = try MonarchSpectrum.constants(spectrumShape).map { try executor.place($0) }
    wide = isWide ? try MonarchWhole(shape, executor: executor) : nil
    let isReal = !isLong && chunked.channels * points % (side * side) == 0
    real =
      isReal ? try MonarchRealSpectrum.constants(constants).map { try executor.place($0) } : nil
    spectra =
      wide != nil
      ? nil
      : try executor.compile(
        isReal ? try MonarchRealSpectrum.kernel(spectrumShape) : try MonarchSpectrum.kernel(spectrumShape))
  }

  // MARK: Filters

  /// Spectra of filters.
  ///
  /// - Parameters:
  ///   - filter: float32 `[channels, filterLength]`.
  ///   - skip: float32 `[channels]`, added to each filter's first number.
  ///   - spectrum: where they go; new tensors where `nil`.
  package func prepare(filter: Tensor, skip: Tensor? = nil, into spectrum: Spectrum? = nil) throws -> Spectrum
  {
    let side = MonarchConstants.side
    let rows = shape.channels * shape.points / side
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
    guard let spectra else {
      try wide?.prepare(whole, re: result.re, im: result.im)
      return result
    }
    if let stages {
      try stages.prepare(whole, re: result.re, im: result.im)
      try spectra.run(precise + [result.re, result.im, result.re, result.im])
    } else if let real {
      let tiles = rows / side
      let share = MonarchTasks.share(tiles: tiles, batch: 1, slots: 2 * executor.cores)
      try spectra.run(
        real + [whole.reshaped([rows, side])] + result.cut(into: 4), integers: [share])
    } else {
      try spectra.run(precise + [whole.reshaped([rows, side]), result.re, result.im])
    }
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

  /// One convolution, or its adjoint. Rows that are shorter than the transform are read where they lie; if they cannot be, they go by way of
  /// padded ones.
  func run(
    _ u: Tensor, _ spectrum: Spectrum, before: Tensor?, after: [Tensor], into y: [Tensor], isConjugated: Bool
  ) throws {
    guard shape.length != shape.points, !takesFolded([u] + (before.map { [$0] } ?? []) + after + y) else {
      return try runWhole(
        u, spectrum, before: before, after: after, into: y, isConjugated: isConjugated)
    }
    let input = try padded(u, gate: before, "u")
    let rows = shape.batch * shape.channels
    let output = try workspace("y", shape.type, rows)
    let sizes = [shape.batch, shape.channels, shape.points]
    try runWhole(
      input, spectrum, before: nil, after: [], into: [output.reshaped(sizes)], isConjugated: isConjugated)
    let flat = [rows, shape.length]
    for (number, target) in y.enumerated() {
      var crop = MonarchCopy.Shape(from: shape.type, to: shape.type)
      crop.gates = after.isEmpty ? 0 : 1
      let gate = after.isEmpty ? [] : [after[number].reshaped(flat)]
      try copy(crop).run([output] + gate + [target.reshaped(flat)])
    }
  }

  /// Whether such sequences, shorter than the transform, can be seen folded in its rows.
  func takesFolded(_ tensors: [Tensor]) -> Bool {
    if wide == nil, let stages { return stages.takesFolded(tensors) }
    return holdsFolded && tensors.allSatisfy(\.canBeFolded)
  }

  /// Whether there is room for sequences wherever they begin.
  var holdsFolded: Bool {
    let side = MonarchConstants.side
    return SequenceFold(rows: shape.points / side, step: side).holds(length: shape.length)
  }

  private func runWhole(
    _ u: Tensor, _ spectrum: Spectrum, before: Tensor?, after: [Tensor], into y: [Tensor], isConjugated: Bool
  ) throws {
    if let wide {
      return try wide.run(
        u, spectrum, before: before, after: after, into: y, isConjugated: isConjugated)
    }
    var fused = MonarchFused.Shape(constants, type: shape.type, isComplex: stages != nil)
    fused.isConjugated = isConjugated
    guard let stages else {
      fused.chunks = chunks
      fused.isWhole = shape.channels * constants.radix % MonarchConstants.side == 0
      (fused.isGatedBefore, fused.gatesAfter) = (before != nil, after.count)
      fused.isFolded = shape.isFolded(u)
      return try run(fused, spectrum, inputs: [u] + (before.map { [$0] } ?? []) + after, outputs: y)
    }
    let rows = shape.points / MonarchConstants.side
    for part in stages.parts(isFolded: shape.isFolded(u)) {
      func cut(_ tensor: Tensor) -> Tensor {
        tensor.sliced(axis: 0, part.batch).sliced(axis: 1, part.channels)
      }
      let planes = try stages.planes(part)
      let own = (part.channels.lowerBound * rows)..<(part.channels.upperBound * rows)
      try stages.forward(cut(u), gate: before.map(cut), to: planes)
      try run(
        fused,
        Spectrum(re: spectrum.re.sliced(axis: 0, own), im: spectrum.im.sliced(axis: 0, own)),
        inputs: planes, outputs: planes)
      try stages.inverse(planes, gates: after.map(cut), to: y.map(cut))
    }
  }

  /// The fused kernel on dense rows.
  private func run(
    _ fused: MonarchFused.Shape, _ spectrum: Spectrum, inputs: [Tensor], outputs: [Tensor]
  ) throws {
    let side = MonarchConstants.side
    let rows = [inputs[0].shape[0], spectrum.re.shape[0], side]
    let tensors = inputs + outputs
    let height = side * fused.chunks
    let tiles = (rows[1] + height - 1) / height
    let share = MonarchTasks.share(tiles: tiles, batch: rows[0], slots: 2 * executor.cores)
    let fused = fused.visiting(share)
    let kernel = try kernels[fused] ?? executor.compile(try MonarchFused.kernel(fused))
    kernels[fused] = kernel
    try kernel.run(
      [matrices] + spectrum.cut(into: fused.parts)
        + (fused.isFolded ? tensors : tensors.map { $0.cutIntoRows(rows) }),
      integers: [share])
  }

  /// Rows of the batch for each task: so many that cores are filled, and no fewer than pays for what a task starts with.
  static func share(batch: Int, tiles: Int, slots: Int) -> Int {
    func cost(_ parts: Int) -> Int {
      // A task's start takes about as long as two of its steps.
      (tiles * parts + slots - 1) / slots * ((batch + parts - 1) / parts + 2)
    }
    let parts = (1...batch).min { cost($0) < cost($1) } ?? 1
    return (batch + parts - 1) / parts
  }

  /// Whether sequences that are convolved may lie anywhere in the batch, each dense in itself: no copies are made of them.
  var takesStridedRows: Bool { shape.length == shape.points }

  /// The same of those whose gradients are computed.
  var takesStridedBatches: Bool { shape.length == shape.points && (stages == nil || sumsChunks) }

  /// Whether gradients of filters are summed tile by tile of 8,192 points.
  var sumsChunks: Bool {
    let (count, tile) = shape.wideChunks
    return tile.points == MonarchWide.height * MonarchConstants.side && count <= 2
  }

  /// Kernels for that.
  func sumsOfChunks() throws -> MonarchWhole? {
    guard sumsChunks else { return nil }
    if let known = wide ?? uncut { return known }
    uncut = try MonarchWhole(shape, executor: executor)
    return uncut
  }

  // MARK: Other lengths

  func copy(_ shape: MonarchCopy.Shape) throws -> any CompiledKernel {
    let kernel = try copies[shape] ?? executor.compile(try MonarchCopy.kernel(shape))
    copies[shape] = kernel
    return kernel
  }

  /// u, times a gate where there is one, in rows of the transform's length.
  func padded(_ u: Tensor, gate: Tensor?, _ name: String) throws -> Tensor {
    let rows = shape.batch * shape.channels
    let flat = [rows, shape.length]
    let target = try workspace(name, shape.type, rows)
    var pad = MonarchCopy.Shape(from: shape.type, to: shape.type)
    (pad.isOutput, pad.gates) = (shape.length == shape.points, gate == nil ? 0 : 1)
    try copy(pad).run([u.reshaped(flat)] + (gate.map { [$0.reshaped(flat)] } ?? []) + [target])
    return target.reshaped([shape.batch, shape.channels, shape.points])
  }

  /// Two float32 tensors for sums over the batch.
  func accumulators(_ sizes: [Int]) throws -> [Tensor] {
    let count = sizes.reduce(1, *)
    if (sums.first?.count ?? 0) < count {
      sums = try (0..<2).map { _ in try executor.tensor(.float32, [count]) }
    }
    return sums.map { $0.sliced(axis: 0, 0..<count).reshaped(sizes) }
  }

  /// Zeroed rows of the transform's length; what lies beyond a row's end stays zero in those that are padded.
  func workspace(_ name: String, _ type: ElementType, _ rows: Int) throws -> Tensor {
    if let known = padded[name] { return known }
    let tensor = try executor.tensor(type, [rows, shape.points])
    padded[name] = tensor
    return tensor
  }
}

extension Tensor {
  /// Sequences `[B, H, L]`, each dense, as `[B, rows, columns]`.
  func cutIntoRows(_ shape: [Int]) -> Tensor {
    if isDense { return reshaped(shape) }
    precondition(holdsDenseSequences && shape[0] == self.shape[0], "\(self.shape) with strides \(strides)")
    return Tensor(
      unchecked: storage, byteOffset: byteOffset, type: type, shape: shape,
      strides: [strides[0], shape[2], 1])
  }

  /// Whether sequences of 16-bit numbers can be seen folded in rows: dense, from a multiple of 16 bytes on.
  var canBeFolded: Bool { isDense && byteOffset % 16 == 0 }

  /// Rows of 64 frequencies as parts of them.
  func cut(into parts: Int) -> Tensor {
    reshaped(Array(shape.dropLast()) + [parts, MonarchConstants.side / parts])
  }

  /// Whether each of `[B, H, L]` is dense and begins where bulk copies can.
  var holdsDenseSequences: Bool {
    strides[2] == 1 && strides[1] == shape[2] && strides[0] * type.blockBytes % 16 == 0
      && byteOffset % 16 == 0
  }
}
