internal import Memory
internal import Tiles

/// Rows of 8,192 points in one pass, and causal rows of 16,384 and 32,768 as two and four chunks of as many.
final class MonarchWhole {
  private let shape: MonarchConvolution.Shape
  private let executor: any Executor
  /// Matrices of ``MonarchWide`` and ``MonarchWideGradient``.
  let wide: [Tensor]
  /// Those of ``MonarchBroad``.
  private let broad: [Tensor]
  private let spectrumConstants: [Tensor]
  private var spectra: (any CompiledKernel)?
  /// By whether the filter is of later positions.
  private var inverses: [Bool: any CompiledKernel] = [:]
  private var wideKernels: [MonarchWide.Shape: any CompiledKernel] = [:]
  private var broadKernels: [MonarchBroad.Shape: any CompiledKernel] = [:]
  private var kept = MonarchLags.Memory()

  init(_ shape: MonarchConvolution.Shape, executor: any Executor) throws {
    (self.shape, self.executor) = (shape, executor)
    func place(_ tensors: [Tensor]) throws -> [Tensor] { try tensors.map { try executor.place($0) } }
    wide = try place(try MonarchWide.constants(shape.type))
    broad = try place(try MonarchBroad.constants(shape.type))
    spectrumConstants = try place(try MonarchWideSpectrum.constants())
  }

  /// Chunks of 8,192 points of which rows are.
  var chunks: Int { shape.wideChunks.count }

  /// Spectra of filters of whole rows.
  func prepare(_ filter: Tensor, re: Tensor, im: Tensor) throws {
    let channels = shape.channels * chunks
    let rows = channels * MonarchWide.height
    let kernel =
      try spectra
      ?? executor.compile(try MonarchWideSpectrum.kernel(isCircular: shape.mode == .circular))
    spectra = kernel
    try kernel.run(
      spectrumConstants + [filter.reshaped([rows, MonarchConstants.side])]
        + [re, im].map { $0.reshaped([rows, 2, MonarchTile.width]) },
      integers: [(channels + executor.cores - 1) / executor.cores])
  }

  /// Gradients of filters `[channels, points]` from sums `[P, rows, 64]` re and im, of up to two chunks.
  func finish(_ sums: [Tensor], into filter: MonarchConvolution.FilterGradient) throws {
    let kernel =
      try inverses[filter.isLater]
      ?? executor.compile(
        try MonarchWideInverse.kernel(isCircular: shape.mode == .circular, ofLater: filter.isLater))
    inverses[filter.isLater] = kernel
    let channels = shape.channels * chunks
    let rows = channels * MonarchWide.height
    try kernel.run(
      spectrumConstants + sums.map { $0.reshaped([$0.shape[0], rows, 2, MonarchTile.width]) }
        + [filter.target.reshaped([rows, MonarchConstants.side])],
      integers: [(channels + executor.cores - 1) / executor.cores])
  }

  /// One convolution, or its adjoint, of whole rows or of dense shorter ones.
  func run(
    _ u: Tensor, _ spectrum: MonarchConvolution.Spectrum, before: Tensor?, after: [Tensor], into y: [Tensor],
    isConjugated: Bool
  ) throws {
    let isFolded = shape.isFolded(u)
    if chunks == 1, before == nil, !after.isEmpty, !isFolded {
      var form = MonarchBroad.Shape(type: shape.type, gatesAfter: after.count)
      form.isConjugated = isConjugated
      let kernel = try broadKernels[form] ?? executor.compile(try MonarchBroad.kernel(form))
      broadKernels[form] = kernel
      return try start(
        kernel, broad, spectrum, parts: 4, [u] + after + y, height: MonarchConstants.side,
        share: MonarchConvolution.share(
          batch: shape.batch, tiles: shape.channels, slots: 2 * executor.cores))
    }
    // Two results at once have no room in registers, of two chunks only those with a gate before.
    if chunks > 1, before != nil || chunks > 2, after.count > 1 {
      for (gate, target) in zip(after, y) {
        try run(u, spectrum, before: before, after: [gate], into: [target], isConjugated: isConjugated)
      }
      return
    }
    var form = MonarchWide.Shape(type: shape.type, isGatedBefore: before != nil, gatesAfter: after.count)
    (form.isConjugated, form.chunks, form.isFolded) = (isConjugated, chunks, isFolded)
    let kernel = try wideKernels[form] ?? executor.compile(try MonarchWide.kernel(form))
    wideKernels[form] = kernel
    let share = MonarchTasks.share(tiles: shape.channels, batch: shape.batch, slots: executor.cores)
    let tasks = (shape.channels * shape.batch + share - 1) / share
    let lags =
      chunks > 2 ? try kept.tensors(shape.type, tasks: tasks, height: MonarchWide.height, executor) : []
    try start(
      kernel, wide, spectrum, parts: form.parts, [u] + (before.map { [$0] } ?? []) + after + y,
      height: MonarchWide.height, share: share, lags: lags)
  }

  /// Starts a kernel whose tiles have so many rows.
  private func start(
    _ kernel: any CompiledKernel, _ matrices: [Tensor], _ spectrum: MonarchConvolution.Spectrum,
    parts: Int, _ tensors: [Tensor], height: Int, share: Int, lags: [Tensor] = []
  ) throws {
    let rows = shape.channels * chunks * height
    let columns = shape.wideChunks.shape.points / height
    let spectra = [spectrum.re, spectrum.im].map { $0.reshaped([rows, parts, columns / parts]) }
    try kernel.run(
      matrices + spectra
        + tensors.map { shape.isFolded($0) ? $0 : $0.cutIntoRows([shape.batch, rows, columns]) }
        + lags,
      integers: [share])
  }
}
